"""The lines of a journal: a digest for each record, checked before it is parsed, and the repair of damaged lines.

A line is ``digest number document`` and a newline. ``digest`` is 48 bits of BLAKE2b over the rest, in base64, salted
with the journal's generation, so that a record of another journal is not accepted. A newline only separates records:
losing or altering it does no damage. A single damaged byte is repaired by trying other values until the digest matches,
which happens for a wrong record with a probability of about 1e-10.
"""

from __future__ import annotations

import zlib
from binascii import b2a_base64
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

_DIGEST_BYTES, _DIGITS = 6, 8
#: Maximum digits of a record's number.
_MAX_DIGITS = 18
_CRC_BYTES = 9  # version 1: eight hexadecimal digits and a space
#: Maximum bytes hashed to repair one journal: about a second on a slow machine.
_MAX_HASHED_BYTES = 1 << 26
_HASH_COST_BYTES = 64  # of a call, in addition to its bytes
_PRINTABLE = bytes(range(0x20, 0x7F))
#: Candidates for a damaged byte, the most likely first.
_LIKELY = b"0123456789"
_UNLIKELY = bytes(sorted(set(_PRINTABLE) - set(_LIKELY)))
_ALL = bytes(range(256))


class Record(NamedTuple):
    """A record with a valid digest: its number (0: none) and its document. ``is_repaired``: it was damaged."""

    number: int
    document: bytes
    is_repaired: bool = False


def salt_of(generation: int) -> bytes:
    """Return the salt for the digests of a generation's journal."""
    return generation.to_bytes(8, "little")


def encode_line(document: bytes, number: int, salt: bytes) -> bytes:
    """Return the line of the ``number``-th record of a journal; ``document`` contains no newline."""
    text = b"%d %b" % (number, document)
    return b"%b %b\n" % (_digest_of(text, salt), text)


def encode_line_v1(document: bytes) -> bytes:
    """Return a line of version 1: the CRC-32 of ``document`` and the document."""
    return b"%08x %b\n" % (zlib.crc32(document), document)


def verify_line(line: bytes, salt: bytes) -> Record | None:
    """Return the record of a ``line`` without its newline, or None if its digest is wrong."""
    text = line[_DIGITS + 1 :]
    return _record_of(text) if line[: _DIGITS + 1] == _digest_of(text, salt) + b" " else None


def verify_line_v1(line: bytes) -> Record | None:
    """Return the record of a ``line`` of version 1 without its newline, or None if its checksum is wrong."""
    document = line[_CRC_BYTES:]
    return Record(0, document) if line[:_CRC_BYTES] == b"%08x " % zlib.crc32(document) else None


class RecordReader:
    """Reads the records of one journal from its lines."""

    def __init__(self, salt: bytes, *, accepts_v1: bool) -> None:
        """Read lines with digests of ``salt``; with ``accepts_v1`` also lines of version 1."""
        self._salt = salt
        self._accepts_v1 = accepts_v1
        self._left_bytes = _MAX_HASHED_BYTES
        #: Length of an incomplete last line, bytes, once all lines were read.
        self.n_bytes_cut = 0
        #: Whether the last line is a record without a newline.
        self.lacks_newline = False

    def read(self, lines: Iterable[bytes]) -> Iterator[Record | None]:
        """Yield each record of ``lines``, each but the last with its newline; None for one that cannot be repaired."""
        before = b""  # the directly preceding damaged line
        for line in lines:
            content = line.removesuffix(b"\n")
            record = self._verify(content)
            found = [record] if record is not None else self._repair(content, is_complete=len(line) > len(content))
            if found is None and before and (joined := self._join(before, content)) is not None:
                before, found = b"", [joined]
            if found is None and len(line) == len(content):
                self.n_bytes_cut = len(line)
                continue
            self.lacks_newline = len(line) == len(content)
            if before:
                yield None
                before = b""
            if found is None:
                before = content
            else:
                yield from found
        if before:
            yield None

    def _verify(self, line: bytes) -> Record | None:
        record = verify_line(line, self._salt)
        return verify_line_v1(line) if record is None and self._accepts_v1 else record

    def _try(self, line: bytes) -> Record | None:
        """Return the record of ``line`` if its digest is right and the repair budget is not used up."""
        self._left_bytes -= len(line) + _HASH_COST_BYTES
        return self._verify(line) if self._left_bytes > 0 else None

    def _repair(self, line: bytes, *, is_complete: bool) -> list[Record | None] | None:
        """Return the records of a line with at most one damaged byte, or None."""
        for at in range(1, len(line)):  # a damaged or missing newline between two records
            if self._left_bytes <= 0:  # a longer line would be copied for each of its bytes
                return None
            if (record := self._try(line[:at])) is not None:
                rest = line[at + 1 :]
                return [record, self._verify(rest) or self._verify(line[at:])] if rest.strip(b"\0") else [record]
        if not is_complete or self._accepts_v1:
            return None
        text = line[_DIGITS + 1 :]
        shown = line[: _DIGITS + 1]
        if sum(a != b for a, b in zip(shown, _digest_of(text, self._salt) + b" ", strict=False)) == 1:
            record = _record_of(text)
            return None if record is None else [record._replace(is_repaired=True)]
        record = self._substitute(line)
        return None if record is None else [record]

    def _substitute(self, line: bytes) -> Record | None:
        """Return the record of ``line`` with one byte of its text replaced, or None."""
        start = _DIGITS + 1
        unprintable = [at for at in range(start, len(line)) if line[at] not in _PRINTABLE]
        if len(unprintable) == 1:
            passes = [(unprintable, _ALL)]
        else:
            places = list(range(start, len(line)))
            passes = [(places, _LIKELY), (places, _UNLIKELY if not unprintable else _ALL)]
        altered = bytearray(line)
        for places, values in passes:
            for at in places:
                for value in values:
                    altered[at] = value
                    if (record := self._try(bytes(altered))) is not None:
                        return record._replace(is_repaired=True)
                altered[at] = line[at]
                if self._left_bytes <= 0:
                    return None
        return None

    def _join(self, before: bytes, line: bytes) -> Record | None:
        """Return the record that was split into two lines by a byte damaged to a newline, or None."""
        for value in _ALL:
            if self._left_bytes <= 0:
                break
            if (record := self._try(b"%b%c%b" % (before, value, line))) is not None:
                return record._replace(is_repaired=True)
        return None


def _digest_of(text: bytes, salt: bytes) -> bytes:
    return b2a_base64(blake2b(text, digest_size=_DIGEST_BYTES, salt=salt).digest(), newline=False)


def _record_of(text: bytes) -> Record | None:
    number, _, document = text.partition(b" ")
    return Record(int(number), document) if number.isdigit() and len(number) <= _MAX_DIGITS else None
