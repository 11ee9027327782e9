"""A source of readings: how decoded meter messages (JSON or a number) are interpreted."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Literal, NamedTuple

from gapcast.core.documents.message_format import SHOWN_CHARS
from gapcast.core.errors import PayloadError
from gapcast.core.meters.localtime import dsmr_instant_of, is_dsmr_time, is_local_time, local_instant_of
from gapcast.core.meters.minutes import HeldValue
from gapcast.core.meters.values import Sum, look_up, number_of
from gapcast.core.readings.reading import Limits, in_range, instant_of, is_likely_watts, measured_of
from gapcast.core.time_grid import LATEST_MS

Format = Literal["gapcast", "json", "number"]
TimeForm = Literal["auto", "rfc3339", "epoch_s", "epoch_ms", "local", "arrival"]
Unit = Literal["auto", "W", "kW", "Wh", "kWh"]
Kind = Literal["minute", "samples"]

#: kW or kWh per unit; ``auto`` means kW by default.
PER_UNIT: Mapping[Unit, float] = {"auto": 1.0, "kW": 1.0, "W": 0.001, "kWh": 1.0, "Wh": 0.001}
COUNTERS: frozenset[Unit] = frozenset({"Wh", "kWh"})
_MS_PER_S = 1_000
_ABSENT = object()
#: An epoch number in text, in seconds or milliseconds.
_EPOCH = re.compile(r"(\d{9,10}|\d{13})(\.\d{1,9})?", re.ASCII)


class FeaturePath(NamedTuple):
    """The path of a measured feature in a message, and the factor to the feature's unit."""

    name: str
    path: str
    keys: tuple[str, ...]
    per_unit: float


@dataclass(frozen=True, slots=True)
class Source:
    """How the messages of one kind of meter are interpreted.

    ``value`` holds sums in order of preference: the first sum with a term in the message is used. ``name`` is for
    people. Times are the meter's, in the format ``time_form``, in ``zone`` if local; without a path ``time`` the time
    of arrival is used. If several topics are the terms of ``value``, ``part_value`` holds the sums in each JSON
    message; empty if a message is a number. ``in_one_message``: the terms of a sum are not combined over several
    messages. ``null_is_zero``: a null term is 0 in a message that has another term of the sum.
    """

    name: str
    format: Format
    value: tuple[Sum, ...]
    unit: Unit
    sign: int
    time: tuple[str, ...] | None
    time_form: TimeForm
    zone: tzinfo
    kind: Kind
    holding: HeldValue
    features: tuple[FeaturePath, ...] = ()
    part_value: tuple[Sum, ...] = ()
    in_one_message: bool = False
    null_is_zero: bool = False

    @property
    def is_counter(self) -> bool:
        """Whether the value is an energy counter, whose differences give the power."""
        return self.unit in COUNTERS

    def zone_of_time(self, document: object) -> tzinfo | None:
        """Return the zone in which the time in a message is read; None if it has an offset, or is that of arrival."""
        if self.time is None or self.time_form not in {"auto", "local"}:
            return None
        is_local = self.time_form == "local" or is_dsmr_time(look_up(document, self.time))
        return self.zone if is_local else None

    def instant_ms(self, document: object, arrived_ms: int, before_ms: int | None) -> int:
        """Return the time of a message, epoch ms; ``before_ms`` is the time of the device's previous message.

        Raises :class:`PayloadError` if the message has no valid time.
        """
        if self.time is None:
            return arrived_ms
        ts = look_up(document, self.time)
        if ts is None:
            fix = 'correct time, or set time_form = "arrival"'
            raise PayloadError("bad_time", f"the message has no {'.'.join(self.time)}, the path of its time: {fix}")
        try:
            return self._instant_of(ts, arrived_ms, before_ms)
        except PayloadError as error:
            fix = ": set it, or" if error.reason == "clock_not_set" else "; or set"
            raise PayloadError(error.reason, f'{error.detail}{fix} time_form = "arrival"') from error

    def _instant_of(self, ts: object, arrived_ms: int, before_ms: int | None) -> int:
        """Return the instant of ``ts``, the time in a message, in the format ``time_form``."""
        if self.time_form in {"auto", "local"} and (dsmr_ms := dsmr_instant_of(ts, self.zone)) is not None:
            return in_range(dsmr_ms, ts)
        if self.time_form == "local":
            return in_range(local_instant_of(ts, self.zone, arrived_ms, before_ms), ts)
        if self.time_form in {"epoch_s", "epoch_ms"}:
            number = number_of(ts, "the time")
            if number is None:
                raise PayloadError("bad_time", f"the time must be a number, not {repr(ts)[:SHOWN_CHARS]}")
            seconds = number if self.time_form == "epoch_s" else number / _MS_PER_S
            if seconds * _MS_PER_S >= LATEST_MS:
                other = "epoch_ms" if self.time_form == "epoch_s" else "epoch_s"
                fix = f'if it is {other}, set time_form = "{other}"'
                detail = f"the time {number:g} is after 2099 as {self.time_form}: {fix}"
                raise PayloadError("bad_time", detail)
            return instant_of(seconds)
        if is_local_time(ts):
            fix = 'if it is local time, set time_form = "local"'
            raise PayloadError("bad_time", f"the time {ts!r} has no offset: {fix}")
        if self.time_form == "auto" and type(ts) is str and _EPOCH.fullmatch(ts):
            return instant_of(float(ts))
        if self.time_form == "rfc3339" and type(ts) is not str:
            raise PayloadError("bad_time", f"the time must be RFC 3339, not {repr(ts)[:SHOWN_CHARS]}")
        return instant_of(ts)

    def power_kw(self, value: float, limits: Limits) -> float:
        """Convert a power from the source's unit to kW; raise :class:`PayloadError` if it is outside ``limits``."""
        power_kw = self.sign * value * PER_UNIT[self.unit]
        if limits.min_kw <= power_kw <= limits.max_kw:
            return power_kw
        shown = f"{value:g} {'W' if self.unit == 'W' else 'kW'}"
        if PER_UNIT[self.unit] == 1 and is_likely_watts(power_kw, limits) and not self.is_counter:
            fix = f'if these are watts, set unit = "W" ({power_kw / 1_000:g} kW), else unit = "kW"'
        else:
            fix = "check the unit; the range is set by limits.min_kw and limits.max_kw"
        detail = f"{shown} is outside {limits.min_kw:g} to {limits.max_kw:g} kW: {fix}"
        raise PayloadError("out_of_range", detail)

    def measured(self, document: object) -> tuple[dict[str, float], str]:
        """Return the measured features of a message, in their units, and the problems of the others.

        A feature with an unusable value is left out: the power in the same message is valid.
        """
        found, problems = {}, []
        for feature in self.features:
            try:
                value = number_of(look_up(document, feature.keys), feature.path)
                if value is not None:
                    found[feature.name] = measured_of(feature.name, value * feature.per_unit)
            except PayloadError as problem:
                problems.append(f"{feature.name}: {problem.detail}")
        return found, "; ".join(problems)


def terms_of(source: Source, document: object, best: int) -> dict[str, float | None]:
    """Return the terms in a message of the first sum, up to the index ``best``, of which the message has a number.

    A term that is null is unknown. If the message has no number, the terms are those of the sum ``best``, all null;
    empty for a value of one term: some meters send null between two numbers. Raises :class:`PayloadError` for a value
    that is not a number.
    """
    found: dict[str, float | None] = {}
    for terms in source.value[: best + 1]:
        found, has_number = _terms_in(document, terms, null_is_zero=source.null_is_zero)
        if has_number:
            return found
    return found if len(source.value[best]) > 1 else {}


def part_of(source: Source, part: str, document: object) -> dict[str, float | None]:
    """Return the term ``part``: the first sum of ``part_value`` whose terms are all in a message of this part.

    It is unknown (None) if one of them is null; the result is empty if there is no such sum. Raises
    :class:`PayloadError` for a value that is not a number.
    """
    of_part: dict[str, float | None] = {}
    for terms in source.part_value:
        found, _ = _terms_in(document, terms, null_is_zero=source.null_is_zero)
        if len(found) == len(terms):
            known = {path: number for path, number in found.items() if number is not None}
            of_part = {part: sum_terms(terms, known)}
            if of_part[part] is not None:
                break
    return of_part


def _terms_in(document: object, terms: Sum, *, null_is_zero: bool) -> tuple[dict[str, float | None], bool]:
    """Return the terms of a sum that are in a message, None if null, and whether one of them is a number.

    With ``null_is_zero``, null is 0 if another term is a number.
    """
    found: dict[str, float | None] = {}
    nulls: list[str] = []
    has_number = False
    for term in terms:
        value = look_up(document, term.keys, _ABSENT)
        if value is _ABSENT:
            continue
        found[term.path] = number = number_of(value, term.path)
        if number is not None:
            has_number = True
        elif value is None:
            nulls.append(term.path)
    if has_number and null_is_zero:
        found.update(dict.fromkeys(nulls, 0.0))
    return found, has_number


def sum_terms(terms: Sum, known: Mapping[str, float]) -> float | None:
    """Return the sum of ``terms`` with the ``known`` values; None if a value is unknown."""
    total = 0.0
    for term in terms:
        value = known.get(term.path)
        if value is None:
            return None
        total += term.sign * value
    if not math.isfinite(total):
        raise PayloadError("not_finite", "the sum of the values is not finite")
    return total


#: Configuration keys for features besides power: the feature, and the factor to its unit.
FEATURE_KEYS: Mapping[str, tuple[str, float]] = {
    "voltage_v": ("voltage_v", 1.0),
    "current_a": ("current_a", 1.0),
    "current_ma": ("current_a", 0.001),
    "reactive_kvar": ("reactive_kvar", 1.0),
    "reactive_var": ("reactive_kvar", 0.001),
}
