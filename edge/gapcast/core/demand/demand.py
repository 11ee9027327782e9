"""The demand of a device: the running billing window and the next one."""

from __future__ import annotations

from dataclasses import dataclass

from gapcast.core.demand.options import LimitSource

#: A demand is valid for this long after its newest reading, minutes, and not beyond the end of the running window.
VALID_MIN = 5


@dataclass(frozen=True, slots=True)
class WindowDemand:
    """One billing window: the minutes from ``start_minute`` (inclusive) to ``end_minute`` (exclusive). Power in kW.

    ``elapsed_min`` minutes are over, ``n_known`` of them have a reading or an interpolated one; ``so_far_kw`` is their
    mean, None without any. ``expected_kw``, ``median_kw`` and the bounds of the 90 % interval are of the mean of the
    whole window. ``limit_kw`` is its limit (None: there is none, ``p_exceed`` is 0). ``headroom_kw`` is the constant
    power that can be added from now (or from its start, if it has not begun) to its end so that it exceeds the limit
    with the accepted risk; negative: that much must be switched off.
    """

    start_minute: int
    end_minute: int
    elapsed_min: int
    n_known: int
    so_far_kw: float | None
    expected_kw: float
    lower_kw: float
    median_kw: float
    upper_kw: float
    limit_kw: float | None
    limit_source: LimitSource
    p_exceed: float
    headroom_kw: float


@dataclass(frozen=True, slots=True)
class Demand:
    """The demand of one device at ``observed_minute``, its newest reading: the ``running`` window and the ``next``.

    If the newest reading is a window's last minute, ``running`` is the one after it, with no minute elapsed.
    ``month_peak_kw`` is the highest window of the running month so far (of several days: the mean of theirs), None
    before the first. ``p_fuse`` is the probability that a minute of the rest of the running window is above
    ``fuse_kw``, None without a fuse. The headroom of the running window respects the fuse. Consumers must not use it
    after ``valid_until_minute``.
    """

    device: str
    observed_minute: int
    issued_at_ms: int
    model: str
    model_version: str
    running: WindowDemand
    next: WindowDemand
    risk: float
    month_peak_kw: float | None
    fuse_kw: float | None
    p_fuse: float | None
    valid_until_minute: int
