"""Reads a journal, and counts its damage.

A repeated record, or one older than its predecessor, is skipped. Journals of version 1, whose lines have a CRC-32 and
no number, can also be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gapcast.storage.journals import journal
from gapcast.storage.journals.record_lines import RecordReader, verify_line_v1
from gapcast.text.json_input import JsonError, decode_json

#: Maximum length of a line; a longer line is read in parts, none of which is a record.
_MAX_LINE_BYTES = 1 << 26


class Damage:
    """The damage found in a journal."""

    def __init__(self) -> None:
        #: Number of records that are damaged, or missing according to the record numbers.
        self.n_lost = 0
        self.n_repaired = 0
        #: Number of records that were skipped because their record number is not new.
        self.n_repeated = 0
        self.has_bad_header = False
        #: Whether the journal has version 1, to which nothing is appended.
        self.is_older = False
        #: Number of the last record.
        self.last = 0
        #: Length of an incomplete last record, bytes.
        self.n_bytes_cut = 0
        #: Whether the last record has no newline, so that nothing may be appended.
        self.lacks_newline = False

    def __bool__(self) -> bool:
        """Return whether any damage was found."""
        return bool(self.n_bytes_cut or self.lacks_newline or str(self))

    def __str__(self) -> str:
        """Return a description, without the incomplete last record."""
        found = [
            (self.n_lost, f"{self.n_lost} records are damaged or missing"),
            (self.n_repaired, f"{self.n_repaired} records were repaired"),
            (self.n_repeated, f"{self.n_repeated} records are repeated"),
            (self.has_bad_header, "its first line is damaged"),
        ]
        return ", ".join(text for count, text in found if count)


def read(path: Path, damage: Damage, salt: bytes = journal.NO_SALT) -> Iterator[journal.Entry]:
    """Yield the entries of the journal at ``path``; add damaged records to ``damage`` and continue after them.

    Raises :class:`StateError` if it is of a newer version, and OSError if it cannot be read at all.
    """
    n_bad = 0
    with path.open("rb") as file:
        header = journal.encode_header()
        n_wrong_bytes = _n_different(file.read(len(header)), header)
        is_current = n_wrong_bytes <= 1
        damage.has_bad_header, damage.is_older = n_wrong_bytes == 1, not is_current
        if not is_current:
            file.seek(0)
            if not _has_older_header(path, file.readline(_MAX_LINE_BYTES)):
                file.seek(0)  # its first line may be a record
        reader = RecordReader(salt, accepts_v1=not is_current)
        for record in reader.read(iter(lambda: file.readline(_MAX_LINE_BYTES), b"")):
            entry = None if record is None else journal.decode_document(record.document)
            if record is None or entry is None:
                n_bad += 1
                continue
            if record.number:
                if record.number <= damage.last:
                    damage.n_repeated += 1
                    continue
                n_bad = max(n_bad, record.number - damage.last - 1)
                damage.last = record.number
            damage.n_lost += n_bad
            damage.n_repaired += record.is_repaired
            n_bad = 0
            yield entry
    damage.n_lost += n_bad
    damage.n_bytes_cut, damage.lacks_newline = reader.n_bytes_cut, reader.lacks_newline


def _n_different(found: bytes, wanted: bytes) -> int:
    return sum(a != b for a, b in zip(found, wanted, strict=False)) + abs(len(found) - len(wanted))


def _has_older_header(path: Path, line: bytes) -> bool:
    record = verify_line_v1(line.removesuffix(b"\n"))
    try:
        document = None if record is None else decode_json(record.document)
    except JsonError:
        return False
    if not isinstance(document, dict):
        return False
    journal.check_version(path, document.get("version"))
    return True
