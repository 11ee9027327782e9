"""The journal's format: one record per batch of readings, one line per record, appended as readings are persisted.

The first line is ``{"gapcast": "readings", "version": 2}`` after its CRC-32, as in version 1, so that an older gapcast
recognises a newer file. Each other line is a record (:mod:`.record_lines`), numbered from 1, with a JSON document:
``[issued_at_ms, [[device, minute, gap_kw], ...]]``, with other measured features, if any, as a fourth member.
Samples of open minutes follow as ``[[topic, at_ms, terms], ...]``, also with other measured features, if any; then the
indices of the readings of filled minutes, if any. Between two batches there may be ``{"forget": device}``, or ``[0, [],
[], [], [device, [[kw, start_ms, end_ms, name], ...]]]``, the device's new plan, which versions without plans read as an
empty batch; or ``[0, [], [], [], [], [device, "limit", kw]]``, the limit of a device's demand, null for the configured
one, or ``[device, "month_peak", kw, minute]``, the correction of its month's peak.

A record is used as a whole or not at all (:mod:`.journal_reader`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import to_json

from gapcast.core.billing.changes import CorrectedMonthPeak, DemandChange, LimitChange, MonthPeak
from gapcast.core.errors import StateError
from gapcast.core.plans.plan import MAX_LOADS, LoadPlan, PlannedLoad
from gapcast.core.plans.plan_tracker import is_plausible_load
from gapcast.core.readings.reading import Reading, is_device_id
from gapcast.core.readings.samples import Sample
from gapcast.core.readings.state_limits import (
    is_plausible_instant,
    is_plausible_minute,
    is_plausible_power,
    is_plausible_reading,
    is_plausible_sample,
)
from gapcast.core.snapshots.state_changes import ForgottenDevice, ReplacedPlan, StateChange
from gapcast.storage.journals.record_lines import encode_line, encode_line_v1, salt_of, verify_line, verify_line_v1
from gapcast.text.json_input import decode_json

#: Version of the format of journal and checkpoint.
VERSION = 2
_KIND = "readings"
#: Kinds of changes of a demand.
_LIMIT, _MONTH_PEAK = "limit", "month_peak"
#: Number of members of a record after its readings, if it has a plan, or a change of the demand.
_WITH_PLAN, _WITH_DEMAND = 3, 4
#: The salt of a journal that is not a state file.
NO_SALT = salt_of(0)


class PersistedBatch(NamedTuple):
    """A batch of readings whose forecasts were issued at ``issued_at_ms``, and the samples of its messages."""

    issued_at_ms: int
    readings: Sequence[Reading]
    samples: Sequence[Sample] = ()


#: Possible contents of a record.
Entry = PersistedBatch | StateChange


def encode_header() -> bytes:
    r"""Return the first line of a journal.

    >>> encode_header()
    b'645eb883 {"gapcast":"readings","version":2}\n'
    """
    return encode_line_v1(to_json({"gapcast": _KIND, "version": VERSION}))


def encode(entry: Entry, *, n: int = 0, salt: bytes = NO_SALT) -> bytes:
    r"""Return the record of ``entry``, the ``n``-th of the journal with this ``salt``.

    >>> encode(PersistedBatch(1_288_571_341_000, [Reading("home", 21_476_161, 1.234)]), n=7)
    b'tnkrLnPW 7 [1288571341000,[["home",21476161,1.234]]]\n'
    """
    document: object
    if isinstance(entry, PersistedBatch):
        document = _batch_document(*entry)
    elif isinstance(entry, ForgottenDevice):
        document = {"forget": entry.device}
    elif isinstance(entry, ReplacedPlan):
        document = (0, [], [], [], (entry.device, entry.plan.loads))
    elif isinstance(entry, LimitChange):
        document = (0, [], [], [], [], (entry.device, _LIMIT, entry.limit_kw))
    else:
        document = (0, [], [], [], [], (entry.device, _MONTH_PEAK, *entry.peak))
    return encode_line(to_json(document), n, salt)


def _batch_document(issued_at_ms: int, readings: Sequence[Reading], samples: Sequence[Sample]) -> tuple[object, ...]:
    entries: list[tuple[object, ...]] = []
    filled: list[int] = []
    if readings:  # by columns, without Python code per reading
        devices, minutes, gaps_kw, _, measured, is_filled = zip(*readings, strict=True)
        entries = list(zip(devices, minutes, gaps_kw, strict=True))
        if measured.count(None) < len(entries):
            entries = [e if more is None else (*e, dict(more)) for e, more in zip(entries, measured, strict=True)]
        if any(is_filled):
            filled = [i for i, one in enumerate(is_filled) if one]
    # Only the sum of a meter's terms is limited: a term beyond the limit of stored state would invalidate the record.
    terms = [sample if sample.measured else sample[:3] for sample in samples if is_plausible_sample(sample)]
    if not terms and not filled:
        return issued_at_ms, entries
    return (issued_at_ms, entries, terms, *([filled] if filled else ()))


def decode(line: bytes) -> Entry | None:
    """Decode a single ``line`` of :func:`encode`, of this version or version 1; return None if it is damaged."""
    content = line.removesuffix(b"\n")
    record = verify_line(content, NO_SALT) or verify_line_v1(content)
    return None if record is None else decode_document(record.document)


def check_version(path: Path, version: object) -> None:
    """Raise :class:`StateError` if ``version`` is newer than the supported one."""
    if isinstance(version, int) and version > VERSION:
        msg = f"{path} is of version {version}, and this gapcast reads versions up to {VERSION}"
        raise StateError(msg)


def decode_document(text: bytes) -> Entry | None:
    """Decode a record's document; return None if its format is wrong, or a value is out of range."""
    try:
        document = decode_json(text)
        if isinstance(document, dict):
            return ForgottenDevice(str(document["forget"]))
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
    is_plausible = (
        is_plausible_instant(issued_at_ms)
        and all(map(is_plausible_reading, found))
        and all(map(is_plausible_sample, samples))
    )
    return PersistedBatch(issued_at_ms, found, samples) if is_plausible else None


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
