"""Live scores of every tracked device over the last day, the last week and all time: 2 kB per device with six members.

Only sums are stored. The sums of a period are in a ring of buckets per device; each bucket is identified by its time
range, so that an expired bucket no longer counts, whatever it still contains.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.device_rows import Columns, check_columns, row_index
from gapcast.core.forecasts.outcomes import PERSISTENCE, Outcomes
from gapcast.core.learning.scores.compiled_scores import new_score_sums
from gapcast.core.learning.scores.score_sums import DAY, N_BUCKETS, NEVER, PUBLISHED, PUBLISHED_SUMS, SOURCE_SUMS, WEEK
from gapcast.core.learning.scores.summary import ALL_TIME, LAST_DAY, LAST_WEEK, Period, Summary, summarize

#: The sum of a century of the largest squared errors stays below this.
_LARGEST_SUM = 1e30
#: Prefix of a member in stored column names.
_MEMBER_PREFIX = "expert"


class Scores:
    """Scores the published forecasts, persistence and each of E ensemble members, per row below ``max_devices``.

    Without a published median, the mean is scored in its place, as in
    :class:`gapcast.core.forecasts.score.ScoreAccumulator`. Minutes for which a member returned NaN do not count in its
    score. The skill of a member over several devices is relative to persistence for the devices that the member
    predicted in the period. When time goes back, as in a restarted replay, a period ends at the newest outcome: later
    buckets are ignored and overwritten, and buckets of the same time continue.
    """

    def __init__(self, members: Sequence[str], max_devices: int, *, compiled: bool = True) -> None:
        """Score ``members`` in the order of the outcomes; persistence, if it is a member, is the last.

        ``compiled``: add outcomes with the compiled library if there is one for this machine.
        """
        self.members = tuple(members)
        self._max_devices, self._compiled = max_devices, compiled
        self._sums = new_score_sums(self.members, max_devices, compiled=compiled)

    def add(self, outcomes: Outcomes) -> None:
        """Score outcomes, in order for each device; outcomes of untracked rows are ignored."""
        self._sums.add(outcomes)

    def for_row(self, row: int) -> dict[Period, Summary]:
        """Return the scores of ``row`` by period; n is 0 if it was never scored."""
        if not 0 <= row < len(self._sums):
            return self._summaries(slice(0, 0))
        return self._summaries(slice(row, row + 1))

    def overall(self) -> dict[Period, Summary]:
        """Return the scores summed over all devices; a device's periods end at its own newest minute."""
        return self._summaries(slice(0, len(self._sums)))

    def _summaries(self, rows: slice) -> dict[Period, Summary]:
        ids, buckets, all_time, newest = self._arrays(rows)
        if not (np.abs(buckets).max(initial=0) <= _LARGEST_SUM and np.abs(all_time).max(initial=0) <= _LARGEST_SUM):
            self._forget_damaged()
            ids, buckets, all_time, newest = self._arrays(rows)
        by_row = {ALL_TIME: all_time}
        for period, part, length_min in ((LAST_DAY, DAY, 180), (LAST_WEEK, WEEK, 1440)):
            age = newest[:, None] // length_min - ids[:, part]
            counts = (age >= 0) & (age < part.stop - part.start)
            by_row[period] = buckets[:, part].sum(axis=1, dtype=np.float64, where=counts[:, :, None])
        return {period: self._summary(by_row[period]) for period in (LAST_DAY, LAST_WEEK, ALL_TIME)}

    def _arrays(self, rows: slice | I64) -> tuple[NDArray[np.int32], F32, F64, I64]:
        """Return ids ``[rows, 17]``, buckets ``[rows, 17, sums]``, all-time sums, and newest minutes of ``rows``."""
        sums = self._sums
        ids, buckets = sums.ids.reshape(-1, N_BUCKETS)[rows], sums.buckets.reshape(-1, N_BUCKETS, sums.n_sums)[rows]
        return ids, buckets, sums.all_time[rows], sums.newest_minute[rows]

    def _summary(self, by_row: F64) -> Summary:
        """Return the summary of the sums ``[rows, sums]`` of one period."""
        sums = by_row.sum(axis=0)
        published = dict(zip(PUBLISHED_SUMS, sums[: len(PUBLISHED_SUMS)].tolist(), strict=True))
        n, squared, absolute = sums[len(PUBLISHED_SUMS) :].reshape(len(SOURCE_SUMS), -1).tolist()
        by_source = dict(zip(self._sums.sources[1:], zip(n[1:], squared[1:], absolute[1:], strict=True), strict=True))
        of_rows = by_row[:, len(PUBLISHED_SUMS) :].reshape(len(by_row), len(SOURCE_SUMS), len(n))
        at = self._sums.sources.index(PERSISTENCE)
        # The sums of persistence, [rows, sources, sums], where the source has predictions.
        comparable = np.where(of_rows[:, 0, 1:, None] > 0, of_rows[:, None, :, at], 0.0).sum(axis=0)
        base = dict(zip(self._sums.sources[1:], comparable.tolist(), strict=True))
        return summarize(
            published,
            (n[0], squared[0], absolute[0]),
            by_source[PERSISTENCE],
            {name: (by_source[name], (*base[name],)) for name in self.members},
        )

    def forget(self, row: int) -> None:
        """Remove the scores of ``row``."""
        self._sums.forget(row)

    def _forget_damaged(self) -> None:
        """Remove the scores of rows with an impossible sum."""
        sums = self._sums
        largest = np.abs(sums.buckets).reshape(len(sums), -1).max(axis=1)
        sound = (largest <= _LARGEST_SUM) & (np.abs(sums.all_time).max(axis=1) <= _LARGEST_SUM)
        for row in np.flatnonzero(~sound).tolist():
            self.forget(row)

    def columns(self, rows: Sequence[int]) -> dict[str, NDArray[np.generic]]:
        """Return a copy of ``rows`` as columns with stable names, which include the names of the ensemble members.

        An untracked row equals a row that was never scored.
        """
        at = np.asarray(rows, dtype=np.int64)
        unknown = at >= min(len(self._sums), self._max_devices)
        if unknown.any():
            ids, buckets, all_time, newest = self._arrays(np.where(unknown, 0, at))
            ids[unknown], buckets[unknown], all_time[unknown], newest[unknown] = NEVER, 0, 0, 0
        else:
            ids, buckets, all_time, newest = self._arrays(row_index(at))  # views, if possible: the parts are copies
        columns: dict[str, NDArray[np.generic]] = {"newest_minute": newest.copy(), "bucket_ids": ids.copy()}
        for name, places in self._sum_places().items():
            columns[f"{name} buckets"], columns[f"{name} ever"] = buckets[:, :, places], all_time[:, places]
        return columns

    def restore_columns(self, columns: Columns) -> None:
        """Restore the result of :meth:`columns` into the first rows; new ensemble members start without scores.

        Raises :class:`ValueError` if the columns do not fit each other.
        """
        own = self.columns(())
        sums = [f"{name} {part}" for name in ("interval", PUBLISHED) for part in ("buckets", "ever")]
        required = ("newest_minute", "bucket_ids", *sums)
        n_rows = min(check_columns(columns, own, required), self._max_devices)
        self._sums.grow(n_rows)
        ids, buckets, all_time, newest = self._arrays(slice(n_rows))  # views
        newest[:], ids[:] = columns["newest_minute"][:n_rows], columns["bucket_ids"][:n_rows]
        for name, at in self._sum_places().items():
            if f"{name} ever" in columns:
                buckets[:, :, at] = columns[f"{name} buckets"][:n_rows]
                all_time[:, at] = columns[f"{name} ever"][:n_rows]

    def _sum_places(self) -> dict[str, list[int]]:
        """Return the indices of the sums of the interval and of each source, by column name."""
        first, sources = len(PUBLISHED_SUMS), self._sums.sources
        names = (PUBLISHED, *(f"{_MEMBER_PREFIX} {name}" for name in sources[1:]))
        each = {name: [first + i + j * len(sources) for j in range(len(SOURCE_SUMS))] for i, name in enumerate(names)}
        return {"interval": list(range(first)), **each}

    def copy(self) -> Scores:
        """Return a copy that later outcomes do not change."""
        copied = Scores(self.members, self._max_devices, compiled=self._compiled)
        copied._sums.assign(self._sums)
        return copied
