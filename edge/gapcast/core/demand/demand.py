"""The demand of a device: the running billing window and the next one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapcast.core.demand.options import LimitSource
from gapcast.core.predictor import ModelIdentity
from gapcast.core.window import I64

F64 = NDArray[np.float64]
#: The sources of limits, by their codes in :attr:`WindowDemands.sources`.
SOURCES = (LimitSource.NONE, LimitSource.FIXED, LimitSource.MONTH_PEAK, LimitSource.SET)

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


@dataclass(frozen=True, slots=True)
class WindowDemands:
    """The windows of N devices: the columns of :class:`WindowDemand`, each ``[N]``.

    In ``so_far_kw`` and ``limit_kw`` NaN stands for None; ``sources`` are indices of :data:`SOURCES`.
    """

    start_minutes: I64
    end_minutes: I64
    elapsed_min: I64
    n_known: I64
    so_far_kw: F64
    expected_kw: F64
    lower_kw: F64
    median_kw: F64
    upper_kw: F64
    limit_kw: F64
    sources: I64
    p_exceed: F64
    headroom_kw: F64

    def read_all(self) -> list[WindowDemand]:
        """Return each as a :class:`WindowDemand`."""
        integers = self.start_minutes, self.end_minutes, self.elapsed_min, self.n_known
        powers = self.expected_kw, self.lower_kw, self.median_kw, self.upper_kw
        return [
            WindowDemand(*one)
            for one in zip(
                *(column.tolist() for column in integers),
                none_for_nan(self.so_far_kw),
                *(column.tolist() for column in powers),
                none_for_nan(self.limit_kw),
                [SOURCES[code] for code in self.sources.tolist()],
                self.p_exceed.tolist(),
                self.headroom_kw.tolist(),
                strict=True,
            )
        ]


@dataclass(frozen=True, slots=True)
class Demands:
    """The demands of N readings: what :class:`Demand` holds, of many devices.

    ``devices`` has N entries, all columns are ``[N]``; in those of powers and ``p_fuse`` NaN stands for None.
    """

    model: ModelIdentity
    issued_at_ms: int
    devices: list[str]
    observed_minutes: I64
    running: WindowDemands
    next: WindowDemands
    risk: F64
    month_peak_kw: F64
    fuse_kw: F64
    p_fuse: F64

    @property
    def valid_until_minutes(self) -> I64:
        """The minutes after which the demands must not be used, ``[N]``."""
        until: I64 = np.minimum(self.running.end_minutes, self.observed_minutes + VALID_MIN)
        return until

    def __len__(self) -> int:
        """Return the number of demands."""
        return len(self.devices)

    def __getitem__(self, i: int) -> Demand:
        """Return the ``i``-th as a :class:`Demand`."""
        at = range(len(self))[i]
        return self.select(np.array([at])).read_all()[0]

    def __iter__(self) -> Iterator[Demand]:
        """Iterate over the demands, in order."""
        return iter(self.read_all())

    def select(self, at: I64) -> Demands:
        """Return the demands ``at`` these indices."""
        running, following = (
            WindowDemands(*(getattr(windows, name)[at] for name in WindowDemands.__dataclass_fields__))
            for windows in (self.running, self.next)
        )
        columns = self.risk, self.month_peak_kw, self.fuse_kw, self.p_fuse
        devices = [self.devices[i] for i in at.tolist()]
        observed = self.observed_minutes[at]
        return Demands(
            self.model, self.issued_at_ms, devices, observed, running, following, *(column[at] for column in columns)
        )

    def read_all(self) -> list[Demand]:
        """Return each as a :class:`Demand`."""
        model = self.model
        return [
            Demand(device, observed, self.issued_at_ms, model.name, model.version, *rest)
            for device, observed, *rest in zip(
                self.devices,
                self.observed_minutes.tolist(),
                self.running.read_all(),
                self.next.read_all(),
                self.risk.tolist(),
                none_for_nan(self.month_peak_kw),
                none_for_nan(self.fuse_kw),
                none_for_nan(self.p_fuse),
                self.valid_until_minutes.tolist(),
                strict=True,
            )
        ]


def none_for_nan(column: F64) -> list[float | None]:
    """Return the values of ``column`` ``[N]`` with None for NaN."""
    return [value if value == value else None for value in column.tolist()]  # noqa: PLR0124 - NaN differs from itself
