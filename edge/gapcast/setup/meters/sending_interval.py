"""The interval between a meter's messages with a power, measured for ``every_s``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from gapcast.core.documents.message_format import counted, listed
from gapcast.core.meters.source import COUNTERS
from gapcast.presets import presets, with_preset
from gapcast.setup.meters.preset_recognition import Candidate

#: Values to which an interval is rounded up, s.
_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900)
#: Share by which an interval may exceed its step: messages do not arrive exactly on time.
_TOLERANCE = 0.05
#: Number of messages of a topic from which its interval is known: a single interval may be an exception.
MIN_MESSAGES = 3
_DEFAULT_S = 60
_MAX_SHOWN = 3


@dataclass(frozen=True, slots=True)
class SendingInterval:
    """The median and the longest interval of a meter's messages, s."""

    median_s: float
    longest_s: float

    @classmethod
    def between(cls, arrivals_s: Sequence[float]) -> SendingInterval:
        """Return the interval between at least two arrivals.

        >>> SendingInterval.between([0.0, 10.0, 20.1, 40.0, 50.0])
        SendingInterval(median_s=10.0..., longest_s=19.9)
        """
        intervals_s = [later - earlier for earlier, later in pairwise(arrivals_s)]
        return cls(median(intervals_s), max(intervals_s))

    @property
    def every_s(self) -> int:
        """The median, rounded up to a usual interval."""
        return next((step_s for step_s in _STEPS_S if step_s * (1 + _TOLERANCE) >= self.median_s), _STEPS_S[-1])

    @property
    def is_regular(self) -> bool:
        """Whether no pause was longer than the default validity of a sample at this interval."""
        return self.longest_s <= math.ceil(2 * self.every_s / 60) * 60


def is_measurable(source: dict[str, Any]) -> bool:
    """Return whether ``every_s`` matters: it does not for minutes or for meters that send when their power changes."""
    keys = with_preset(source)
    return keys.get("kind") != "minute" and keys.get("format") != "gapcast" and not keys.get("on_change")


def is_interval_known(candidate: Candidate) -> bool:
    """Return whether enough messages were received to measure the interval of each of the candidate's meters."""
    if not is_measurable(candidate.source):
        return True
    return bool(candidate.arrivals_s) and all(len(one) >= MIN_MESSAGES for one in candidate.arrivals_s.values())


def with_interval(source: dict[str, Any], candidate: Candidate) -> tuple[dict[str, Any], str]:
    """Return the source with the measured interval of its meters if it differs, and a sentence about it."""
    preset = source.get("preset", "")
    keys = with_preset(source)
    names = _shown_names(source, candidate)
    if not is_measurable(source):
        if not keys.get("on_change"):
            return source, ""
        validity = "" if keys.get("unit") in COUNTERS else f"; a power is valid for {keys['hold_s']:g} s (hold_s)"
        return source, f"{names}: sends when its power changes{validity}"
    assumed_s = keys.get("every_s", _DEFAULT_S)
    assumed = f"the preset {preset}" if "every_s" in presets().get(preset, {}) else "the default"
    if not is_interval_known(candidate):
        n = min((len(one) for one in candidate.arrivals_s.values()), default=0)
        return source, (
            f"{names}: {counted(n, 'message')} with a power received, too few to measure the interval: "
            f"every_s stays {assumed_s:g} ({assumed}); if it sends more often, set every_s or listen longer (--wait)"
        )
    measured = [SendingInterval.between(one) for one in candidate.arrivals_s.values()]
    slowest = max(measured, key=lambda one: one.median_s)
    longest_s = max(one.longest_s for one in measured)
    every_s = slowest.every_s
    if not SendingInterval(slowest.median_s, longest_s).is_regular:
        pauses = f"{names}: sends irregularly, with pauses of up to {longest_s:.0f} s"
        return source, f"{pauses}: every_s stays {assumed_s:g} ({assumed})"
    about = f"{names}: sends about every {max(slowest.median_s, 0.1):.3g} s"
    if every_s == assumed_s:
        return source, f"{about}, as {assumed} assumes"
    several = ", the slowest of them" if len(measured) > 1 and min(one.every_s for one in measured) < every_s else ""
    return source | {"every_s": every_s}, f"{about}{several}: every_s = {every_s} ({assumed} assumes {assumed_s:g})"


def _shown_names(source: dict[str, Any], candidate: Candidate) -> str:
    device = source.get("device")
    names = sorted(candidate.devices) if device is None or "{" in device else [device]
    return listed(names, _MAX_SHOWN)
