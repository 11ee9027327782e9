"""The journal: one record per batch of readings, one line per record, appended as readings are persisted.

The first line is ``{"gapcast": "readings", "version": 2}`` after its CRC-32, as in version 1, so that an older gapcast
recognises a newer file. Each other line is a record (:mod:`.record_lines`), numbered from 1, with a JSON document:
``[issued_at_ms, [[device, minute, gap_kw], ...]]``, with other measured features, if any, as a fourth member.
Samples of open minutes follow as ``[[topic, at_ms, terms], ...]``, with other measured features
likewise; then the indices of the readings that are of filled minutes, if any. Between two batches there may be
``{"forget": device}``, or ``[0, [], [], [], [device, [[kw, start_ms, end_ms, name], ...]]]``, the device's new plan,
which versions without plans read as an empty batch; or ``[0, [], [], [], [], [device, "limit", kw]]``, the limit of a
device's demand, null for the configured one, or ``[device, "month_peak", kw, minute]``, the correction of its month's
peak.

A record is used as a whole or not at all. A repeated record, or one older than its predecessor, is skipped. Journals
of version 1, whose lines have a CRC-32 and no number, can be read too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import to_json

from gapcast.core.demand.changes import CorrectedMonthPeak, DemandChange, LimitChange, MonthPeak
from gapcast.core.errors import StateError
from gapcast.core.meters.samples import Sample
from gapcast.core.plan import MAX_LOADS, LoadPlan, PlannedLoad
from gapcast.core.plans import is_plausible_load
from gapcast.core.reading import Reading, is_device_id
from gapcast.core.state_limits import (
    is_plausible_instant,
    is_plausible_minute,
    is_plausible_power,
    is_plausible_reading,
    is_plausible_sample,
)
from gapcast.json_input import JsonError, decode_json
from gapcast.storage.record_lines import RecordReader, encode_line, encode_line_v1, salt_of, verify_line, verify_line_v1

#: Version of the format of journal and checkpoint.
VERSION = 2
_KIND = "readings"
#: Kinds of changes of a demand.
_LIMIT, _MONTH_PEAK = "limit", "month_peak"
#: Members of a record after its readings, if it has a plan, or a change of the demand.
_WITH_PLAN, _WITH_DEMAND = 3, 4
#: A longer line is read in parts, none of which is a record.
_MAX_LINE_BYTES = 1 << 26
#: The salt of a journal that is not a state file.
NO_SALT = salt_of(0)


class Entry(NamedTuple):
    """A batch of readings whose forecasts were issued at ``issued_at_ms``, and the samples of its messages."""

    issued_at_ms: int
    readings: list[Reading]
    samples: list[Sample]


class Forgotten(NamedTuple):
    """A device that was forgotten."""

    device: str


class ReplacedPlan(NamedTuple):
    """A device whose plan was replaced."""

    device: str
    plan: LoadPlan


#: What a record holds.
Record = Entry | Forgotten | ReplacedPlan | DemandChange


class Damage:
    """The damage found in a journal."""

    def __init__(self) -> None:
        #: Records that are damaged, or missing according to the numbers.
        self.n_lost = 0
        self.n_repaired = 0
        #: Records that were skipped because their number is not new.
        self.n_repeated = 0
        self.has_bad_header = False
        #: Whether the journal has version 1, to which nothing is appended.
        self.is_older = False
        #: Number of the last record.
        self.last = 0
        #: Bytes of an incomplete last record.
        self.n_bytes_cut = 0

    def __bool__(self) -> bool:
        """Return whether any damage was found."""
        return bool(self.n_bytes_cut or str(self))

    def __str__(self) -> str:
        """Return a description, without the incomplete last record."""
        found = [
            (self.n_lost, f"{self.n_lost} records are damaged or missing"),
            (self.n_repaired, f"{self.n_repaired} records were repaired"),
            (self.n_repeated, f"{self.n_repeated} records are repeated"),
            (self.has_bad_header, "its first line is damaged"),
        ]
        return ", ".join(text for count, text in found if count)


def encode_header() -> bytes:
    r"""Return the first line of a journal.

    >>> encode_header()
    b'645eb883 {"gapcast":"readings","version":2}\n'
    """
    return encode_line_v1(to_json({"gapcast": _KIND, "version": VERSION}))


def encode(
    readings: Sequence[Reading], issued_at_ms: int, samples: Sequence[Sample] = (), *, n: int = 0, salt: bytes = NO_SALT
) -> bytes:
    r"""Return the record of a batch, the ``n``-th of the journal with this ``salt``.

    >>> encode([Reading("home", 21_476_161, 1.234)], 1_288_571_341_000, n=7)
    b'tnkrLnPW 7 [1288571341000,[["home",21476161,1.234]]]\n'
    """
    entries = [r[:3] if r.measured is None else (*r[:3], dict(r.measured)) for r in readings]
    filled = [i for i, reading in enumerate(readings) if reading.is_filled]
    if not samples and not filled:
        return encode_line(to_json((issued_at_ms, entries)), n, salt)
    terms = [sample if sample.measured else sample[:3] for sample in samples]
    return encode_line(to_json((issued_at_ms, entries, terms, *([filled] if filled else ()))), n, salt)


def encode_forgotten(device: str, *, n: int = 0, salt: bytes = NO_SALT) -> bytes:
    """Return the record that a device was forgotten."""
    return encode_line(to_json({"forget": device}), n, salt)


def encode_plan(device: str, plan: LoadPlan, *, n: int = 0, salt: bytes = NO_SALT) -> bytes:
    """Return the record that the plan of a device was replaced."""
    return encode_line(to_json((0, [], [], [], (device, plan.loads))), n, salt)


def encode_demand(change: DemandChange, *, n: int = 0, salt: bytes = NO_SALT) -> bytes:
    """Return the record that the demand of a device was changed."""
    if isinstance(change, LimitChange):
        members: tuple[object, ...] = (change.device, _LIMIT, change.limit_kw)
    else:
        members = (change.device, _MONTH_PEAK, *change.peak)
    return encode_line(to_json((0, [], [], [], [], members)), n, salt)


def read(path: Path, damage: Damage, salt: bytes = NO_SALT) -> Iterator[Record]:
    """Yield the records of the journal at ``path``; add damaged records to ``damage`` and continue after them.

    Raises :class:`StateError` if it is of a newer version, and OSError if it cannot be read at all.
    """
    n_bad = 0
    with path.open("rb") as file:
        header = encode_header()
        n_wrong_bytes = _n_different(file.read(len(header)), header)
        is_current = n_wrong_bytes <= 1
        damage.has_bad_header, damage.is_older = n_wrong_bytes == 1, not is_current
        if not is_current:
            file.seek(0)
            if not _has_older_header(path, file.readline(_MAX_LINE_BYTES)):
                file.seek(0)  # its first line may be a record
        reader = RecordReader(salt, accepts_v1=not is_current)
        for record in reader.read(iter(lambda: file.readline(_MAX_LINE_BYTES), b"")):
            entry = None if record is None else _entry(record.document)
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
    damage.n_bytes_cut = reader.n_bytes_cut


def decode(line: bytes) -> Record | None:
    """Decode a single ``line`` of :func:`encode`, of this version or version 1; return None if it is damaged."""
    content = line.removesuffix(b"\n")
    record = verify_line(content, NO_SALT) or verify_line_v1(content)
    return None if record is None else _entry(record.document)


def check_version(path: Path, version: object) -> None:
    """Raise :class:`StateError` if ``version`` is newer than the supported one."""
    if isinstance(version, int) and version > VERSION:
        msg = f"{path} is of version {version}, and this gapcast reads versions up to {VERSION}"
        raise StateError(msg)


def _n_different(found: bytes, wanted: bytes) -> int:
    return sum(a != b for a, b in zip(found, wanted, strict=False)) + abs(len(found) - len(wanted))


def _has_older_header(path: Path, line: bytes) -> bool:
    record = verify_line_v1(line.removesuffix(b"\n"))
    document = None if record is None else _document(record.document)
    if not isinstance(document, dict):
        return False
    check_version(path, document.get("version"))
    return True


def _document(text: bytes) -> Any:
    try:
        return decode_json(text)
    except JsonError:
        return None


def _entry(text: bytes) -> Record | None:
    """Parse a record's document; return None if it does not have the format, or a value is out of range."""
    try:
        document = _document(text)
        if isinstance(document, dict):
            return Forgotten(str(document["forget"]))
        issued_at_ms, readings, *more = document
        if len(more) == _WITH_PLAN:
            return _replaced_plan(*more[-1])
        if len(more) == _WITH_DEMAND:
            return _demand_change(*more[-1])
        found = [_reading(*one) for one in readings]
        samples = [_sample(*one) for one in more[0]] if more else []
        if more[1:]:
            filled = frozenset(more[1])
            found = [one._replace(is_filled=i in filled) for i, one in enumerate(found)]
    except (LookupError, TypeError, ValueError, OverflowError):
        return None
    is_plausible = is_plausible_instant(issued_at_ms) and all(map(is_plausible_reading, found))
    return Entry(issued_at_ms, found, samples) if is_plausible and all(map(is_plausible_sample, samples)) else None


def _replaced_plan(device: str, loads: Sequence[Sequence[Any]]) -> ReplacedPlan | None:
    plan = LoadPlan(tuple(PlannedLoad(float(kw), int(start), int(end), str(name)) for kw, start, end, name in loads))
    is_plausible = is_device_id(device) and len(plan.loads) <= MAX_LOADS and all(map(is_plausible_load, plan.loads))
    return ReplacedPlan(device, plan) if is_plausible else None


def _demand_change(device: str, kind: str, kw: float | None, minute: int | None = None) -> DemandChange | None:
    is_known = is_device_id(device) and (minute is None or is_plausible_minute(minute))
    if not is_known or not (kw is None or is_plausible_power(kw)):
        return None
    if kind == _LIMIT:
        return LimitChange(device, None if kw is None else float(kw))
    return CorrectedMonthPeak(device, MonthPeak(float(kw), minute)) if kind == _MONTH_PEAK and kw is not None else None


def _reading(device: str, minute: int, gap_kw: float, measured: Mapping[str, float] | None = None) -> Reading:
    return Reading(device, minute, gap_kw, False, measured)


def _sample(
    topic: str, at_ms: int | None, terms: Mapping[str, float | None], measured: Mapping[str, float] | None = None
) -> Sample:
    return Sample(topic, at_ms, dict(terms), dict(measured or {}))
