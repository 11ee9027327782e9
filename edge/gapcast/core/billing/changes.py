"""Requests to change a device's limit or to correct its month's peak: parsed from JSON, and checked."""

from __future__ import annotations

from typing import NamedTuple, cast

from gapcast.core.documents.message_format import SHOWN_CHARS, shown_value, unknown_key
from gapcast.core.errors import PayloadError
from gapcast.core.readings.reading import Limits, is_likely_watts, named_instant_of, power_of
from gapcast.core.time_grid import minute_of

_W_PER_KW = 1_000
#: Lowest limit that can be set, and lowest month's peak, kW.
LEAST_LIMIT_KW, LEAST_PEAK_KW = 0.01, 0.0
#: Examples of a valid limit and of a valid month's peak, for error messages.
LIMIT_EXAMPLE = "2.5, or null for the configured one"
PEAK_EXAMPLE = '3.2 for the running month, or {"kw": 3.2, "at": "2026-11-03T18:15:00+01:00"}'


class MonthPeak(NamedTuple):
    """The highest window of a month as the meter or the bill shows it: its mean, kW, and a minute of the window.

    ``minute`` is None if only the month is known: the running month.
    """

    kw: float
    minute: int | None


class LimitChange(NamedTuple):
    """A limit that was set for a device at run time, kW; None restores the configured limit."""

    device: str
    limit_kw: float | None


class CorrectedMonthPeak(NamedTuple):
    """A correction of the month's peak of a device."""

    device: str
    peak: MonthPeak


#: A change of the limit or the month's peak of a device.
DemandChange = LimitChange | CorrectedMonthPeak


def limit_kw_of(document: object, limits: Limits) -> float | None:
    """Return the limit in a decoded JSON ``document``: a number in kW, or an object with the number as ``kw``.

    None restores the configured limit. Raises :class:`PayloadError` that names the value and the fix.

    >>> limit_kw_of({"kw": 2.5}, Limits()), limit_kw_of(None, Limits())
    (2.5, None)
    """
    value = _kw_in(document, "limit", ("kw",), LIMIT_EXAMPLE)
    if value is None:
        return None
    return _power("the limit", value, LEAST_LIMIT_KW, limits.max_kw, ": send null for the configured one")


def month_peak_of(document: object, limits: Limits) -> MonthPeak:
    """Return the month's peak in a decoded JSON ``document``: a number in kW, or an object with ``kw`` and ``at``.

    ``at`` may be null. Raises :class:`PayloadError` that names the value and the fix.

    >>> month_peak_of({"kw": 3.2, "at": "2026-11-03T18:15:00+01:00"}, Limits())
    MonthPeak(kw=3.2, minute=29895435)
    """
    value = _kw_in(document, "month's peak", ("kw", "at"), PEAK_EXAMPLE)
    kw = _power("the month's peak", value, LEAST_PEAK_KW, limits.max_kw, "")
    if not isinstance(document, dict) or document.get("at") is None:
        return MonthPeak(kw, None)
    return MonthPeak(kw, minute_of(named_instant_of("at", document["at"])))


def _kw_in(document: object, what: str, keys: tuple[str, ...], example: str) -> object:
    if not isinstance(document, dict):
        return document
    if "kw" not in document:
        raise PayloadError("no_value", f'the {what} has no "kw": send {example}')
    if (unknown := unknown_key(document, keys)) is not None:
        shown = repr(unknown)[:SHOWN_CHARS]
        raise PayloadError("bad_request", f"the {what} has the unknown key {shown}: send {example}")
    return document["kw"]


def _power(what: str, value: object, least_kw: float, max_kw: float, fix: str) -> float:
    """Return ``value`` as a power; raise :class:`PayloadError` if it is not a number in ``least_kw`` to ``max_kw``."""
    try:
        return power_of(value, Limits(least_kw, max_kw))
    except PayloadError as error:
        if error.reason != "out_of_range":
            raise PayloadError(error.reason, f"{what}: {error.detail}") from error
        power_kw = cast("float", value)
        if is_likely_watts(power_kw, Limits(0.0, max_kw)):
            fix = f": if these are watts, send kW ({power_kw / _W_PER_KW:g})"
        detail = f"{what} must be {least_kw:g} to {max_kw:g} kW (limits.max_kw), not {shown_value(value)} kW{fix}"
        raise PayloadError("out_of_range", detail) from error
