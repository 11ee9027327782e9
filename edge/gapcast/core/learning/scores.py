"""Live scores of every tracked device over the last day, the last week and all time: 2 kB per device with six members.

Only sums are stored. Those of a period are in a ring of buckets per device; a bucket is identified by its time range,
so that an expired one no longer counts, whatever it still contains.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gapcast.core.learning.columns import Columns, check_columns
from gapcast.core.learning.outcomes import F64, PERSISTENCE, Outcomes, Runs
from gapcast.core.learning.summary import EVER, LAST_DAY, LAST_WEEK, Period, Summary, summarize
from gapcast.core.window import F32, I64

#: Indices of the type that `take` needs: it rejects 64-bit indices on 32-bit machines.
Places = NDArray[np.intp]
#: Lengths of the buckets of a day and of a week, and their numbers, with one for the time range in progress.
_BUCKET_MIN = np.array([180, 1440])
_N_BUCKETS = np.array([9, 8])
_FIRST_BUCKET = np.array([0, 9])
_N_ALL = 17
_DAY, _WEEK = slice(0, 9), slice(9, 17)
_NEVER = -1_000  # the id of an empty bucket
#: The levels of the published quantiles: median, lower and upper bound.
_LEVELS = np.array([0.5, 0.05, 0.95])
_IF_BELOW, _IF_ABOVE = -_LEVELS, 1 - _LEVELS
_EACH_A_THIRD = np.full(3, 1 / 3)
#: Errors are clipped to this range: the squares, summed over a day, still fit a float32.
_LARGEST_KW, _SMALLEST_KW = np.array(1e9), np.array(-1e9)
#: A century of the largest squared errors stays below this.
_LARGEST_SUM = 1e30
_FIRST_ROWS = 16
#: Sums over the published mean and interval; they come before those of each source.
_PUBLISHED_SUMS = ("bias", "bounds_n", "pinball", "hits", "width")
_SOURCE_SUMS = ("n", "squared", "absolute")
#: Stored column names: the published forecast, and the prefix of a member.
_PUBLISHED, _MEMBER_PREFIX = "told", "expert"


class Scores:
    """Scores the published forecasts, persistence and each of E ensemble members, per row below ``max_devices``.

    Without a published median, the mean is scored in its place, as in :class:`gapcast.core.score.ScoreAccumulator`.
    Minutes for which a member returned NaN are left out of its score. When time goes back, as in a restarted replay, a
    period ends at the newest outcome: buckets after it are ignored and overwritten, and those of the same time
    continue.
    """

    def __init__(self, members: Sequence[str], max_devices: int) -> None:
        """Score ``members`` in the order of the outcomes; persistence, if it is a member, is the last."""
        self.members = tuple(members)
        self._max_devices = max_devices
        # Persistence is scored by the last reading, whether it is a member or not.
        self._sources = (_PUBLISHED, PERSISTENCE, *(name for name in self.members if name != PERSISTENCE))
        n_columns = len(self._sources) + 1
        self._quantiles_at: Places = np.array([n_columns, n_columns - 1, 2 * n_columns - 1], dtype=np.intp)
        self._n_sums = n_sums = len(_PUBLISHED_SUMS) + len(_SOURCE_SUMS) * len(self._sources)
        self._buckets: F32 = np.zeros((_FIRST_ROWS * _N_ALL, n_sums), dtype=np.float32)  # [row, bucket] as one
        self._ids: NDArray[np.int32] = np.full(_FIRST_ROWS * _N_ALL, _NEVER, dtype=np.int32)
        self._all_time: F64 = np.zeros((_FIRST_ROWS, n_sums))
        self._newest_minute: I64 = np.zeros(_FIRST_ROWS, dtype=np.int64)

    def add(self, outcomes: Outcomes) -> None:
        """Score outcomes, those of one device in order; outcomes of untracked rows are left out."""
        if not len(outcomes):
            return
        rows = outcomes.rows
        n_rows = int(rows.max()) + 1
        sums = self._sums(outcomes)
        minutes = outcomes.minutes
        if n_rows > self._max_devices:
            tracked = rows < self._max_devices
            rows, minutes, sums = rows[tracked], minutes[tracked], sums[tracked]
            n_rows = int(rows.max(initial=-1)) + 1
        self._grow(n_rows)
        runs = Runs.of(rows, minutes // _BUCKET_MIN[0])
        if runs is None:
            self._add(rows, minutes, sums)
            return
        last = np.append(runs.first[1:], len(rows)) - 1
        sums = np.add.reduceat(sums[runs.order], runs.first)
        rows, minutes = rows[runs.order][runs.first], minutes[runs.order][last]
        for nth in range(int(runs.nth.max()) + 1):
            now = runs.nth == nth
            self._add(rows[now], minutes[now], sums[now])

    def _add(self, rows: I64, minutes: I64, sums: F64) -> None:
        """Add ``sums`` to the buckets of ``minutes``, each row once."""
        ids = minutes[:, None] // _BUCKET_MIN
        rows = rows.astype(np.intp, copy=False)
        at = (ids % _N_BUCKETS + _FIRST_BUCKET + (rows * _N_ALL)[:, None]).astype(np.intp, copy=False)
        updated = self._buckets.take(at, axis=0)
        updated *= (self._ids.take(at) == ids)[..., None]
        updated += sums[:, None]
        self._buckets[at] = updated
        self._ids[at] = ids
        self._all_time[rows] = self._all_time.take(rows, axis=0) + sums
        self._newest_minute[rows] = minutes

    def _sums(self, outcomes: Outcomes) -> F64:
        """Return what each outcome adds to the sums, ``[N, sums]``."""
        n, n_sources = len(outcomes), len(self._sources)
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

        sums = np.empty((n, self._n_sums))
        sums[:, 0] = errors[:, 0, 0]
        _sum_interval(errors, unknown, self._quantiles_at, sums)
        by_source = sums[:, len(_PUBLISHED_SUMS) :].reshape(n, len(_SOURCE_SUMS), n_sources)
        source_errors = errors[:, :, :-1]
        by_source[:, 0] = ~unknown[:, 0, :-1]
        np.square(source_errors[:, 0], out=by_source[:, 1])
        np.abs(source_errors[:, 1], out=by_source[:, 2])
        return sums

    def of(self, row: int) -> dict[Period, Summary]:
        """Return the scores of ``row`` by period; n = 0 if it was never scored."""
        if not 0 <= row < len(self._all_time):
            return self._summaries(slice(0, 0))
        return self._summaries(slice(row, row + 1))

    def overall(self) -> dict[Period, Summary]:
        """Return the scores summed over all devices, each over the periods that end at its own newest minute."""
        return self._summaries(slice(0, len(self._all_time)))

    def _summaries(self, rows: slice) -> dict[Period, Summary]:
        ids = self._ids.reshape(-1, _N_ALL)[rows]
        buckets = self._buckets.reshape(-1, _N_ALL, self._n_sums)[rows]
        if not (
            np.abs(buckets).max(initial=0) <= _LARGEST_SUM
            and np.abs(self._all_time[rows]).max(initial=0) <= _LARGEST_SUM
        ):
            self._forget_damaged()
            ids, buckets = self._ids.reshape(-1, _N_ALL)[rows], self._buckets.reshape(-1, _N_ALL, self._n_sums)[rows]
        totals = {EVER: self._all_time[rows].sum(axis=0)}
        for period, part, length_min in ((LAST_DAY, _DAY, 180), (LAST_WEEK, _WEEK, 1440)):
            age = self._newest_minute[rows, None] // length_min - ids[:, part]
            counts = (age >= 0) & (age < part.stop - part.start)
            totals[period] = buckets[:, part][counts].sum(axis=0, dtype=np.float64)
        return {period: self._summary(totals[period]) for period in (LAST_DAY, LAST_WEEK, EVER)}

    def _summary(self, sums: F64) -> Summary:
        published = dict(zip(_PUBLISHED_SUMS, sums[: len(_PUBLISHED_SUMS)].tolist(), strict=True))
        n, squared, absolute = sums[len(_PUBLISHED_SUMS) :].reshape(len(_SOURCE_SUMS), -1).tolist()
        by_source = dict(zip(self._sources[1:], zip(n[1:], squared[1:], absolute[1:], strict=True), strict=True))
        return summarize(
            published,
            (n[0], squared[0], absolute[0]),
            by_source[PERSISTENCE],
            {name: by_source[name] for name in self.members},
        )

    def forget(self, row: int) -> None:
        """Remove the scores of ``row``."""
        if row < len(self._all_time):
            self._buckets[row * _N_ALL : (row + 1) * _N_ALL] = 0
            self._ids[row * _N_ALL : (row + 1) * _N_ALL] = _NEVER
            self._all_time[row] = 0
            self._newest_minute[row] = 0

    def _forget_damaged(self) -> None:
        """Remove the scores of rows with an impossible sum."""
        largest = np.abs(self._buckets).reshape(len(self._all_time), -1).max(axis=1)
        sound = (largest <= _LARGEST_SUM) & (np.abs(self._all_time).max(axis=1) <= _LARGEST_SUM)
        for row in np.flatnonzero(~sound).tolist():
            self.forget(row)

    def columns(self, rows: Sequence[int]) -> dict[str, NDArray[np.generic]]:
        """Return a copy of ``rows`` as columns with stable names, which include the names of the ensemble members.

        Untracked rows look as if they were never scored.
        """
        at = np.asarray(rows, dtype=np.int64)
        unknown = at >= min(len(self._all_time), self._max_devices)
        at = np.where(unknown, 0, at)
        ids, buckets, all_time = (
            self._ids.reshape(-1, _N_ALL)[at],
            self._buckets.reshape(-1, _N_ALL, self._n_sums)[at],
            self._all_time[at],
        )
        newest = self._newest_minute[at]
        ids[unknown], buckets[unknown], all_time[unknown], newest[unknown] = _NEVER, 0, 0, 0
        columns: dict[str, NDArray[np.generic]] = {"newest_minute": newest, "bucket_ids": ids}
        for name, places in self._sum_places().items():
            columns[f"{name} buckets"], columns[f"{name} ever"] = buckets[:, :, places], all_time[:, places]
        return columns

    def restore_columns(self, columns: Columns) -> None:
        """Restore the result of :meth:`columns` into the first rows; new ensemble members start without scores.

        Raises :class:`ValueError` if the columns do not fit each other.
        """
        own = self.columns(())
        required = ("newest_minute", "bucket_ids", "interval buckets", "interval ever", "told buckets", "told ever")
        n_rows = min(check_columns(columns, own, required), self._max_devices)
        self._grow(n_rows)
        self._newest_minute[:n_rows] = columns["newest_minute"][:n_rows]
        self._ids[: n_rows * _N_ALL] = columns["bucket_ids"][:n_rows].reshape(-1)
        for name, at in self._sum_places().items():
            if f"{name} ever" in columns:
                buckets = columns[f"{name} buckets"][:n_rows].reshape(n_rows * _N_ALL, len(at))
                self._buckets[: n_rows * _N_ALL, at] = buckets
                self._all_time[:n_rows, at] = columns[f"{name} ever"][:n_rows]

    def _sum_places(self) -> dict[str, list[int]]:
        """Return the indices of the sums of the interval and of each source, by column name."""
        first, n_sources = len(_PUBLISHED_SUMS), len(self._sources)
        names = (_PUBLISHED, *(f"{_MEMBER_PREFIX} {name}" for name in self._sources[1:]))
        each = {name: [first + i + j * n_sources for j in range(len(_SOURCE_SUMS))] for i, name in enumerate(names)}
        return {"interval": list(range(first)), **each}

    def copy(self) -> Scores:
        """Return a copy that later outcomes do not change."""
        copied = Scores(self.members, self._max_devices)
        copied._buckets, copied._ids = self._buckets.copy(), self._ids.copy()
        copied._all_time, copied._newest_minute = self._all_time.copy(), self._newest_minute.copy()
        return copied

    def _grow(self, n_rows: int) -> None:
        n_now = len(self._all_time)
        if n_rows <= n_now:
            return
        n_wanted = n_now
        while n_wanted < n_rows:
            n_wanted *= 2
        n_new = n_wanted - n_now
        self._buckets = np.concatenate([self._buckets, np.zeros((n_new * _N_ALL, self._n_sums), np.float32)])
        self._ids = np.concatenate([self._ids, np.full(n_new * _N_ALL, _NEVER, dtype=np.int32)])
        self._all_time = np.concatenate([self._all_time, np.zeros((n_new, self._n_sums))])
        self._newest_minute = np.concatenate([self._newest_minute, np.zeros(n_new, dtype=np.int64)])


def _sum_interval(errors: F64, unknown: NDArray[np.bool_], at: Places, sums: F64) -> None:
    """Write number, pinball loss, hit and width of intervals to columns 1 to 4 of ``sums``; 0 without an interval.

    ``at`` are the indices of the errors of median, lower and upper bound in a flat row of ``errors``.
    """
    lower, upper = errors[:, 0, -1], errors[:, 1, -1]
    quantiles = errors.reshape(len(errors), -1).take(at, axis=1)
    losses = np.maximum(quantiles * _IF_BELOW, quantiles * _IF_ABOVE)
    sums[:, 1] = 1.0
    np.matmul(losses, _EACH_A_THIRD, out=sums[:, 2])
    sums[:, 3] = (lower <= 0) & (upper >= 0)
    np.subtract(upper, lower, out=sums[:, 4])
    np.copyto(sums[:, 1:5], 0.0, where=(unknown[:, 0, -1] | unknown[:, 1, -1])[:, None])
