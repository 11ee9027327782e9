"""The demand of a device, for the running billing window and the next one, and the demands of many devices as rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.billing.window_demands import WINDOW_COLUMNS, WindowDemand, WindowDemands, none_for_nan
from gapcast.core.models.predictor import ModelIdentity

#: A demand is valid for this many minutes after its newest reading, but at most until the running window ends.
VALID_MIN = 5
_N: Final = len(WINDOW_COLUMNS)
#: Columns of a demand: observed minute, time of issue (ms), the columns of both windows, and :data:`OTHERS`.
OBSERVED, ISSUED, FIRST = 0, 1, 2
#: The columns of the running and of the next window.
RUNNING, NEXT = slice(FIRST, FIRST + _N), slice(FIRST + _N, FIRST + 2 * _N)
#: The columns after the columns of the windows.
OTHERS: Final = ("risk", "month_peak_kw", "fuse_kw", "p_fuse")
RISK, MONTH_PEAK, FUSE, P_FUSE = range(FIRST + 2 * _N, FIRST + 2 * _N + len(OTHERS))
#: The columns with the end, the elapsed minutes and the headroom of the running window.
RUNNING_END, ELAPSED, HEADROOM = (
    FIRST + WINDOW_COLUMNS.index(name) for name in ("end_minutes", "elapsed_min", "headroom_kw")
)
#: The number of columns, and the column names.
N_COLUMNS: Final = P_FUSE + 1
NAMES: Final = ("observed", "issued", *WINDOW_COLUMNS, *WINDOW_COLUMNS, *OTHERS)


def is_late(left_min: float) -> bool:
    """Return whether a demand belongs to a late reading; it was valid for ``left_min`` minutes when it was issued.

    The numbers of a late demand describe a time that is over, and must not be used. A replay of old readings makes only
    late demands.

    >>> is_late(0.5), is_late(0.0), is_late(-30.0), is_late(-2_000.0)
    (False, True, True, True)
    """
    return left_min <= 0


@dataclass(frozen=True, slots=True)
class Demand:
    """The demand of one device at ``observed_minute``, its newest reading: the ``running`` window and the ``next``.

    If the newest reading is a window's last minute, ``running`` is the window after it, with no minute elapsed.
    ``month_peak_kw`` is the highest window of the running month so far, or the mean of the highest windows of several
    days; None before the first. ``p_fuse`` is the probability that a remaining minute of the running window is above
    ``fuse_kw``, None without a fuse. The headroom of the running window respects the fuse. Consumers must not use the
    demand after ``valid_until_minute``.
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
class Demands:
    """The demands of N readings, of many devices: each row holds the fields of a :class:`Demand`.

    ``devices`` has N entries. The columns of ``columns`` ``[N, 32]`` are named by :data:`NAMES`; in columns of powers
    and probabilities NaN stands for None.
    """

    model: ModelIdentity
    issued_at_ms: int
    devices: list[str]
    columns: F64

    @property
    def observed_minutes(self) -> I64:
        """The newest minutes, ``[N]``."""
        return self.columns[:, OBSERVED].astype(np.int64)

    @property
    def running(self) -> WindowDemands:
        """The running windows."""
        return WindowDemands.from_columns(self.columns[:, RUNNING].T)

    @property
    def next(self) -> WindowDemands:
        """The next windows."""
        return WindowDemands.from_columns(self.columns[:, NEXT].T)

    @property
    def valid_until_minutes(self) -> I64:
        """The minutes after which the demands must not be used, ``[N]``."""
        return np.minimum(self.columns[:, RUNNING_END], self.columns[:, OBSERVED] + VALID_MIN).astype(np.int64)

    def __len__(self) -> int:
        """Return the number of demands."""
        return len(self.devices)

    def __getitem__(self, i: int) -> Demand:
        """Return the ``i``-th demand as a :class:`Demand`."""
        at = range(len(self))[i]
        return self.select(np.array([at])).read_all()[0]

    def __iter__(self) -> Iterator[Demand]:
        """Iterate over the demands, in order."""
        return iter(self.read_all())

    def select(self, at: I64) -> Demands:
        """Return the demands at the indices ``at``."""
        return Demands(self.model, self.issued_at_ms, [self.devices[i] for i in at.tolist()], self.columns[at])

    def read_all(self) -> list[Demand]:
        """Return each demand as a :class:`Demand`."""
        model, others = self.model, self.columns[:, RISK:].T
        return [
            Demand(device, observed, self.issued_at_ms, model.name, model.version, *rest)
            for device, observed, *rest in zip(
                self.devices,
                self.observed_minutes.tolist(),
                self.running.read_all(),
                self.next.read_all(),
                *map(none_for_nan, others),
                self.valid_until_minutes.tolist(),
                strict=True,
            )
        ]
