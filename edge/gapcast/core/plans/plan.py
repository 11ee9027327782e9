"""Announced loads: a device's plan, its planned power minute by minute, and the checks of its JSON document.

A plan is a list of loads under external control (a charger, a dishwasher, a battery), each with its power and its end.
It is replaced as a whole. The forecast of a device with a plan is the forecast of the uncontrolled part of its power
plus the planned power (:mod:`gapcast.core.plans.plan_tracker`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gapcast.core.documents.message_format import shown_value, unknown_key
from gapcast.core.errors import PayloadError
from gapcast.core.readings.reading import Limits, named_instant_of, power_of
from gapcast.core.time_grid import MINUTE_MS, WEEK_MIN, instant_label, minute_label

#: Largest number of loads in a plan: two days of quarter-hours.
MAX_LOADS = 192
#: Longest duration of a load.
MAX_DURATION_MIN = WEEK_MIN
#: Largest number of characters of a load's name.
MAX_NAME_CHARS = 64
#: Start of a load that is already on: before any reading.
ON_ALREADY_MS = 0
_KEYS = ("kw", "from", "until", "minutes", "name")
#: Example of a plan with one load, for error messages.
LOAD_EXAMPLE = '[{"kw": 7.4, "from": "2026-01-01T14:05:00Z", "minutes": 60, "name": "car"}]'


class PlannedLoad(NamedTuple):
    """A load of constant power ``kw`` from ``start_ms`` to ``end_ms`` (epoch ms); negative for generation.

    A start of :data:`ON_ALREADY_MS` means that the load is already on, since an unknown time.
    """

    kw: float
    start_ms: int
    end_ms: int
    name: str = ""

    def share_of(self, minute: int) -> float:
        """Return the share of ``minute`` in which the load is on, 0 to 1.

        >>> PlannedLoad(7.4, 90_000, 240_000).share_of(1)
        0.5
        """
        first_ms = minute * MINUTE_MS
        covered_ms = min(self.end_ms, first_ms + MINUTE_MS) - max(self.start_ms, first_ms)
        return max(covered_ms, 0) / MINUTE_MS

    def document(self) -> dict[str, Any]:
        """Return the load as in a plan's document; ``from`` is absent if the load is already on."""
        start = {} if self.start_ms == ON_ALREADY_MS else {"from": _label(self.start_ms)}
        return {"kw": self.kw, **start, "until": _label(self.end_ms), **({"name": self.name} if self.name else {})}


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """The announced loads of one device, sorted by their start."""

    loads: tuple[PlannedLoad, ...] = ()

    @classmethod
    def from_loads(cls, loads: Iterable[PlannedLoad]) -> LoadPlan:
        """Return the plan of ``loads``; consecutive loads of equal power and name become one.

        >>> LoadPlan.from_loads([PlannedLoad(2.0, 900_000, 1_800_000), PlannedLoad(2.0, 60_000, 900_000)]).loads
        (PlannedLoad(kw=2.0, start_ms=60000, end_ms=1800000, name=''),)
        """
        joined: list[PlannedLoad] = []
        by_key: dict[tuple[str, float], int] = {}
        for load in sorted(loads, key=lambda one: (one.start_ms, one.end_ms, one.name, one.kw)):
            at = by_key.get((load.name, load.kw))
            if at is not None and joined[at].end_ms == load.start_ms:
                joined[at] = joined[at]._replace(end_ms=load.end_ms)
                continue
            by_key[load.name, load.kw] = len(joined)
            joined.append(load)
        return cls(tuple(joined))

    def planned_kw(self, minute: int) -> float:
        """Return the planned power of ``minute``: the mean over the minute, kW.

        >>> LoadPlan((PlannedLoad(7.4, 90_000, 240_000), PlannedLoad(-1.0, 0, 120_000))).planned_kw(1)
        2.7
        """
        return sum((load.kw * load.share_of(minute) for load in self.loads), 0.0)

    def loads_between(self, first_minute: int, last_minute: int) -> tuple[PlannedLoad, ...]:
        """Return the loads that are on between the two minutes, both included."""
        first_ms, end_ms = first_minute * MINUTE_MS, (last_minute + 1) * MINUTE_MS
        return tuple(load for load in self.loads if load.start_ms < end_ms and load.end_ms > first_ms)

    def without_ended(self, instant_ms: int) -> LoadPlan:
        """Return the plan without the loads that end by ``instant_ms``."""
        if all(load.end_ms > instant_ms for load in self.loads):
            return self
        return LoadPlan(tuple(load for load in self.loads if load.end_ms > instant_ms))

    def document(self) -> list[dict[str, Any]]:
        """Return the plan as a JSON document, which :func:`plan_of` reads."""
        return [load.document() for load in self.loads]


#: A plan without loads.
NO_LOADS = LoadPlan()


def plan_of(document: object, limits: Limits, now_ms: int | None) -> LoadPlan:
    """Return the plan in a decoded JSON ``document``: a list of loads.

    ``now_ms`` is the time of arrival, from which ``minutes`` without ``from`` count; None for a retained or redelivered
    message, whose age is unknown. Powers must be within ``limits``.

    Raises :class:`PayloadError` that names the load, the value and the fix.

    >>> plan_of([{"kw": 7.4, "minutes": 3}], Limits(), 60_000).loads
    (PlannedLoad(kw=7.4, start_ms=0, end_ms=240000, name=''),)
    """
    if not isinstance(document, list):
        detail = f"a plan is a list of loads, not {shown_value(document)}: send {LOAD_EXAMPLE}, or []"
        raise PayloadError("bad_plan", detail)
    if len(document) > MAX_LOADS:
        detail = f"the plan has {len(document)} loads; the maximum is {MAX_LOADS}: send the others later"
        raise PayloadError("bad_plan", detail)
    return LoadPlan.from_loads(_load_of(f"plan[{i}]", load, limits, now_ms) for i, load in enumerate(document))


def _load_of(path: str, load: object, limits: Limits, now_ms: int | None) -> PlannedLoad:
    if not isinstance(load, dict):
        raise PayloadError("bad_plan", f"{path} must be an object, not {shown_value(load)}: send {LOAD_EXAMPLE}")
    if (unknown := unknown_key(load, _KEYS)) is not None:
        raise PayloadError("bad_plan", f"{path} has the unknown key {shown_value(unknown)}: use {', '.join(_KEYS)}")
    if "kw" not in load:
        raise PayloadError("bad_plan", f'{path} has no "kw": give its power in kW, as in {LOAD_EXAMPLE}')
    try:
        power_kw = power_of(load["kw"], limits)
    except PayloadError as error:
        raise PayloadError(error.reason, f"{path}.kw: {error.detail}") from error
    start_ms = named_instant_of(f"{path}.from", load["from"]) if "from" in load else ON_ALREADY_MS
    end_ms = _end_of(path, load, start_ms, now_ms)
    if start_ms != ON_ALREADY_MS and not start_ms < end_ms <= start_ms + MAX_DURATION_MIN * MINUTE_MS:
        wrong = f"ends at {_label(end_ms)} and begins at {_label(start_ms)}"
        raise PayloadError("bad_time", f"{path} {wrong}: let it end later, and within {MAX_DURATION_MIN} minutes")
    return PlannedLoad(power_kw, start_ms, end_ms, _name_of(path, load))


def _end_of(path: str, load: Mapping[str, object], start_ms: int, now_ms: int | None) -> int:
    if "until" in load and "minutes" in load:
        raise PayloadError("bad_plan", f'{path} has both "until" and "minutes": give one of them')
    if "until" not in load and "minutes" not in load:
        raise PayloadError("bad_plan", f'{path} must end: give either "until" or "minutes"')
    if "until" in load:
        return named_instant_of(f"{path}.until", load["until"])
    minutes = load["minutes"]
    if type(minutes) is not int and type(minutes) is not float:
        raise PayloadError("bad_plan", f"{path}.minutes must be a number, not {shown_value(minutes)}")
    if not 0 < minutes <= MAX_DURATION_MIN:
        detail = f"{path}.minutes must be above 0 and at most {MAX_DURATION_MIN}, not {shown_value(minutes)}"
        raise PayloadError("bad_plan", detail)
    begin_ms = now_ms if start_ms == ON_ALREADY_MS else start_ms
    if begin_ms is None:
        detail = f'{path}: "minutes" without "from" in a retained or redelivered message of unknown age: use "until"'
        raise PayloadError("unknown_age", detail)
    return begin_ms + max(1, round(minutes * MINUTE_MS))


def _name_of(path: str, load: Mapping[str, object]) -> str:
    name = load.get("name", "")
    if type(name) is not str or len(name) > MAX_NAME_CHARS or not name.isprintable():
        detail = f"{path}.name must be at most {MAX_NAME_CHARS} printable characters, not {shown_value(name)}"
        raise PayloadError("bad_plan", detail)
    return name


def _label(instant_ms: int) -> str:
    return instant_label(instant_ms) if instant_ms % MINUTE_MS else minute_label(instant_ms // MINUTE_MS)
