"""The inputs of the distribution of the mean power over the coming minutes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.device_rows import RowIndex


class RemainingInputs(NamedTuple):
    """N readings and the coming minutes whose mean power is forecast. Power in kW, without planned loads.

    ``rows`` ``[N]`` index the state, from 1 on; ``minutes`` ``[N]`` are the newest minutes, and ``windows``
    ``[N, context]`` the readings until then. ``quantiles_kw`` ``[N, K, Q]`` are the outlook model's quantiles of the
    mean up to each lead time. Without planned loads no power is below ``floor_kw`` ``[N]``.

    The coming minutes are ``ahead_from`` + 1 to ``ahead_to`` ahead, both ``[N]``, or ``[S, N]`` for S means of each
    reading. Minutes that begin with the next one are the rest of a running window of ``window_min`` ``[N]``, others are
    a later window. The window exceeds its limit ``limit_kw`` if the mean of these minutes is above ``allowed_kw``, both
    ``[N]`` or ``[S, N]``, and NaN without a limit. A mean below ``least_kw`` ``[N]``, with planned loads, counts as
    ``least_kw``. ``planned_kw`` ``[N]`` or ``[S, N]``, which the distributions include, is the mean of planned loads in
    these minutes; None without planned loads.
    """

    rows: I64
    minutes: I64
    windows: F32
    quantiles_kw: F64
    floor_kw: F64
    ahead_from: I64
    ahead_to: I64
    window_min: I64
    allowed_kw: F64
    limit_kw: F64
    least_kw: F64
    planned_kw: F64 | None = None

    def select(self, which: RowIndex) -> RemainingInputs:
        """Return the inputs of the selected readings."""
        return RemainingInputs(
            self.rows[which],
            self.minutes[which],
            self.windows[which],
            self.quantiles_kw[which],
            self.floor_kw[which],
            self.ahead_from[..., which],
            self.ahead_to[..., which],
            self.window_min[which],
            self.allowed_kw[..., which],
            self.limit_kw[..., which],
            self.least_kw[which],
            None if self.planned_kw is None else self.planned_kw[..., which],
        )

    def single_means(self) -> Iterator[RemainingInputs]:
        """Yield the inputs of each of the S means, ``[N]``."""
        if self.ahead_to.ndim == 1:
            yield self
            return
        planned_kw = [None] * len(self.ahead_to) if self.planned_kw is None else self.planned_kw
        for ahead_from, ahead_to, allowed_kw, limit_kw, of_plan in zip(
            self.ahead_from, self.ahead_to, self.allowed_kw, self.limit_kw, planned_kw, strict=True
        ):
            yield self._replace(
                ahead_from=ahead_from,
                ahead_to=ahead_to,
                allowed_kw=allowed_kw,
                limit_kw=limit_kw,
                planned_kw=of_plan,
            )
