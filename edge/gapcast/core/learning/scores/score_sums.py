"""The sums of the live scores of every tracked device, computed in numpy; a compiled class computes the same sums.

Outcomes are added sequentially: each sum is a float64, added to float32 buckets and to float64 sums of all time. So the
sums do not depend on how outcomes were distributed over batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.arrays.device_rows import DAMAGED, DeviceRows
from gapcast.core.forecasts.outcomes import PERSISTENCE, Outcomes, groups_in_order, tracked_outcomes

#: The published forecast as a source; the name is part of the names of stored columns, and cannot change.
PUBLISHED = "told"
#: Sums over the published mean and interval; they come before the sums of each source.
PUBLISHED_SUMS = ("bias", "bounds_n", "pinball", "hits", "width")
SOURCE_SUMS = ("n", "squared", "absolute")
#: Sums of persistence over the minutes that a member predicts, for each member; they come last.
REFERENCE_SUMS = ("squared", "absolute")
#: Number of buckets of a device: first the last day, then the last week.
N_BUCKETS = 17
DAY, WEEK = slice(0, 9), slice(9, 17)
#: The id of an empty bucket; the id of another bucket is the number of its time range since the epoch.
NEVER = -1_000
#: Lengths of the buckets of a day and of a week, and their numbers, including the time range in progress.
_LENGTHS_MIN = np.array([180, 1440])
_N_BUCKETS_OF = np.array([9, 8])
_FIRST_BUCKET = np.array([0, 9])
#: Errors are clipped to this range, so that squares summed over a day still fit a float32.
_LARGEST_KW, _SMALLEST_KW = np.array(1e9), np.array(-1e9)
#: The levels of the published quantiles: median, lower and upper bound.
_LEVELS = np.array([0.5, 0.05, 0.95])
_IF_BELOW, _IF_ABOVE = -_LEVELS, 1 - _LEVELS
_FIRST_ROWS = 16


class ScoreSums(DeviceRows):
    """Sums of published forecasts, persistence and E ensemble members, per row below ``max_devices``.

    Each bucket of ``buckets`` ``[17, sums]``, with its id in ``bucket_ids`` ``[17]``, covers a time range; ``all_time``
    ``[sums]`` covers all outcomes, and ``newest_minute`` is the minute of the last outcome. A bucket that is needed for
    another time range starts at zero.
    """

    def __init__(self, members: tuple[str, ...], max_devices: int) -> None:
        """Sum up ``members`` in the order of the outcomes; persistence, if it is a member, is the last."""
        self.max_devices = max_devices
        # Persistence is scored by the last reading, whether it is a member or not.
        self.sources = (PUBLISHED, PERSISTENCE, *(name for name in members if name != PERSISTENCE))
        n_columns = len(self.sources) + 1
        self._quantiles_at = np.array([n_columns, n_columns - 1, 2 * n_columns - 1], dtype=np.intp)
        n_of_members = len(REFERENCE_SUMS) * len(self.sources[2:])
        self.n_sums = n_sums = len(PUBLISHED_SUMS) + len(SOURCE_SUMS) * len(self.sources) + n_of_members
        initial: dict[str, NDArray[Any]] = {
            "newest_minute": np.zeros((), dtype=np.int64),
            "bucket_ids": np.full(N_BUCKETS, NEVER, dtype=np.int32),
            "buckets": np.zeros((N_BUCKETS, n_sums), dtype=np.float32),
            "all_time": np.zeros(n_sums),
        }
        super().__init__(initial, _FIRST_ROWS)

    @np.errstate(**DAMAGED)
    def add(self, outcomes: Outcomes) -> None:
        """Add outcomes, in order for each device; outcomes of untracked rows are ignored."""
        outcomes, n_rows = tracked_outcomes(outcomes, self.max_devices)
        if not n_rows:
            return
        rows, minutes = outcomes.rows, outcomes.minutes
        self.grow(n_rows)
        buckets, all_time = self.arrays["buckets"].reshape(-1, self.n_sums), self.arrays["all_time"]
        sums = self._sums(outcomes)
        groups = groups_in_order(rows, minutes // _LENGTHS_MIN[0])
        if groups is None:
            at = self._open_buckets(rows, minutes)
            buckets[at] += sums[:, None]
            all_time[rows] += sums
            self.arrays["newest_minute"][rows] = minutes
            return
        for group in groups:
            at = self._open_buckets(rows[group], minutes[group])
            np.add.at(buckets, at, sums[group][:, None])
        np.add.at(all_time, rows, sums)
        ending, first_from_end = np.unique(rows[::-1], return_index=True)
        self.arrays["newest_minute"][ending] = minutes[::-1][first_from_end]

    def _open_buckets(self, rows: I64, minutes: I64) -> I64:
        """Return the indices ``[N, 2]`` of the buckets of ``minutes`` in the buckets of all rows, row after row.

        Buckets of another time range are reset to 0.

        All outcomes of a row belong to the same bucket.
        """
        ids = minutes[:, None] // _LENGTHS_MIN
        at: I64 = ids % _N_BUCKETS_OF + _FIRST_BUCKET + (rows * N_BUCKETS)[:, None]
        of_buckets = self.arrays["bucket_ids"].reshape(-1)
        is_expired = of_buckets[at] != ids
        if is_expired.any():
            self.arrays["buckets"].reshape(-1, self.n_sums)[at[is_expired]] = 0
            of_buckets[at] = ids
        return at

    def _sums(self, outcomes: Outcomes) -> F64:
        """Return the contribution of each outcome to the sums, ``[N, sums]``."""
        n, n_sources = len(outcomes), len(self.sources)
        errors = np.empty((n, 2, n_sources + 1))  # of mean and median by source; then of lower and upper bound
        errors[:, :, 0] = outcomes.published_kw[:, :2]
        errors[:, :, 1] = outcomes.last_kw[:, None]
        errors[:, :, 2:-1] = outcomes.members_kw[:, :, : n_sources - 2]
        errors[:, :, -1] = outcomes.published_kw[:, 2:]
        errors -= outcomes.actual_kw[:, None, None]
        np.minimum(errors, _LARGEST_KW, out=errors)
        np.maximum(errors, _SMALLEST_KW, out=errors)
        unknown = np.isnan(errors)
        np.copyto(errors, 0.0, where=unknown[:, :1])  # without a mean there is no prediction
        np.copyto(errors[:, 1], errors[:, 0], where=unknown[:, 1])

        sums = np.empty((n, self.n_sums))
        sums[:, 0] = errors[:, 0, 0]
        _sum_interval(errors, unknown, self._quantiles_at, sums)
        first_reference = len(PUBLISHED_SUMS) + len(SOURCE_SUMS) * n_sources
        by_source = sums[:, len(PUBLISHED_SUMS) : first_reference].reshape(n, len(SOURCE_SUMS), n_sources)
        source_errors = errors[:, :, :-1]
        by_source[:, 0] = ~unknown[:, 0, :-1]
        np.square(source_errors[:, 0], out=by_source[:, 1])
        np.abs(source_errors[:, 1], out=by_source[:, 2])
        references = sums[:, first_reference:].reshape(n, len(REFERENCE_SUMS), n_sources - 2)
        np.multiply(by_source[:, :1, 2:], by_source[:, 1:, 1:2], out=references)
        return sums


def _sum_interval(errors: F64, unknown: NDArray[np.bool_], at: NDArray[np.intp], sums: F64) -> None:
    """Write number, pinball loss, hit and width of intervals to columns 1 to 4 of ``sums``; 0 without an interval.

    ``at`` are the indices of the errors of median, lower and upper bound in a flat row of ``errors``.
    """
    lower, upper = errors[:, 0, -1], errors[:, 1, -1]
    quantiles = errors.reshape(len(errors), -1).take(at, axis=1)
    of_median, of_lower, of_upper = np.maximum(quantiles * _IF_BELOW, quantiles * _IF_ABOVE).T
    sums[:, 1] = 1.0
    sums[:, 2] = (of_median + of_lower + of_upper) / len(_LEVELS)
    sums[:, 3] = (lower <= 0) & (upper >= 0)
    np.subtract(upper, lower, out=sums[:, 4])
    np.copyto(sums[:, 1:5], 0.0, where=(unknown[:, 0, -1] | unknown[:, 1, -1])[:, None])
