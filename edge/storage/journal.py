"""The journal: a line a batch, added as readings are kept.

A line is the CRC-32 of its document, a space, and the document, JSON: ``[issued_at_ms, [[device, minute,
gap_kw], ...]]``, with what else was measured as a fourth member where there is any. Samples of minutes that were
open follow as ``[[topic, at_ms, terms], ...]``, with what else was measured likewise. Or, in its place between two
batches, it is ``{"forget": device}``. The first line is ``{"gapcast": "readings", "version": 1}``. A line that was cut
short, by the power or a full disk, is known by its checksum.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from edge.core.errors import StateError
from edge.core.reading import Reading
from edge.core.samples import Sample

#: Version of the journal's and the checkpoint's form.
VERSION = 1
_CRC_BYTES = 9  # eight hexadecimal digits and a space
_WHAT = "readings"


class Entry(NamedTuple):
    """A batch of readings whose forecasts were issued at ``issued_at_ms``, and the samples that came with it."""

    issued_at_ms: int
    readings: list[Reading]
    samples: list[Sample]


class Forgotten(NamedTuple):
    """A device that was forgotten."""

    device: str


class Damage:
    """What of a journal could not be read."""

    def __init__(self) -> None:
        self.n_bad_lines = 0
        #: Bytes of a last line that was cut short.
        self.n_bytes_cut = 0

    def __bool__(self) -> bool:
        """Tell whether there was any."""
        return bool(self.n_bad_lines or self.n_bytes_cut)


def encode_header() -> bytes:
    r"""Return the first line of a journal.

    >>> encode_header()
    b'4f73eb40 {"gapcast":"readings","version":1}\n'
    """
    return _line({"gapcast": _WHAT, "version": VERSION})


def encode(readings: Sequence[Reading], issued_at_ms: int, samples: Sequence[Sample] = ()) -> bytes:
    r"""Return the line of a batch.

    >>> encode([Reading("home", 21_476_161, 1.234)], 1_288_571_341_000)
    b'5e8e9994 [1288571341000,[["home",21476161,1.234]]]\n'
    """
    entries = [r[:3] if r.measured is None else (*r[:3], dict(r.measured)) for r in readings]
    if not samples:
        return _line((issued_at_ms, entries))
    return _line((issued_at_ms, entries, [sample if sample.measured else sample[:3] for sample in samples]))


def encode_forgotten(device: str) -> bytes:
    r"""Return the line of a device that was forgotten.

    >>> encode_forgotten("home")
    b'7b3b41ee {"forget":"home"}\n'
    """
    return _line({"forget": device})


def read(path: Path, damage: Damage) -> Iterator[Entry | Forgotten]:
    """Yield the lines of the journal at ``path``; add to ``damage`` what could not be read, and go on after it.

    Raises :class:`StateError` where it is of a newer version, and OSError where it cannot be read at all.
    """
    with path.open("rb") as file:
        for i, line in enumerate(file):
            if i == 0 and isinstance(header := _document(line), dict):
                _check_version(path, header)
            elif (entry := decode(line, damage)) is not None:
                yield entry


def decode(line: bytes, damage: Damage) -> Entry | Forgotten | None:
    """Return what a ``line`` after the first tells; add to ``damage`` where it cannot be read, and return None."""
    if not line.endswith(b"\n"):
        damage.n_bytes_cut = len(line)
        return None
    entry = _entry(_document(line))
    damage.n_bad_lines += entry is None
    return entry


def check_version(path: Path, version: object) -> None:
    """Raise :class:`StateError` where ``version`` is newer than what is read here."""
    if isinstance(version, int) and version > VERSION:
        msg = f"{path} is of version {version}, and this gapcast reads versions up to {VERSION}"
        raise StateError(msg)


def _check_version(path: Path, header: dict[str, Any]) -> None:
    check_version(path, header.get("version"))


def _line(document: object) -> bytes:
    text = to_json(document)
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _document(line: bytes) -> Any:
    """Return what stands on a line, or None where its checksum is not that of the rest."""
    text = line[_CRC_BYTES:-1]
    if line[:_CRC_BYTES] != b"%08x " % zlib.crc32(text):
        return None
    try:
        return from_json(text)
    except ValueError:
        return None


def _entry(document: Any) -> Entry | Forgotten | None:
    try:
        if isinstance(document, dict):
            return Forgotten(str(document["forget"]))
        issued_at_ms, readings, *more = document
        samples = [_sample(*one) for one in more[0]] if more else []
        return Entry(int(issued_at_ms), [_reading(*one) for one in readings], samples)
    except (LookupError, TypeError, ValueError):
        return None


def _reading(device: str, minute: int, gap_kw: float, measured: dict[str, float] | None = None) -> Reading:
    return Reading(device, minute, gap_kw, False, measured)


def _sample(
    topic: str, at_ms: int | None, terms: dict[str, float | None], measured: dict[str, float] | None = None
) -> Sample:
    return Sample(topic, at_ms, dict(terms), measured or {})
