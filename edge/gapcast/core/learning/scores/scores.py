"""Live scores of every tracked device over the last day, the last week and all time: 2.8 kB with six members.

Only sums are stored. The sums of a period are in a ring of buckets per device; each bucket is identified by its time
range, so that an expired bucket no longer counts, whatever it still contains.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.device_rows import DAMAGED, Columns, check_columns
from gapcast.core.forecasts.outcomes import PERSISTENCE, Outcomes
from gapcast.core.learning.scores.compiled_scores import new_score_sums
from gapcast.core.learning.scores.score_sums import (
    DAY,
    PUBLISHED,
    PUBLISHED_SUMS,
    REFERENCE_SUMS,
    SOURCE_SUMS,
    WEEK,
)
from gapcast.core.learning.scores.summary import ALL_TIME, LAST_DAY, LAST_WEEK, Period, Summary, summarize

#: The sum of a century of the largest squared errors stays below this.
_LARGEST_SUM = 1e30
#: Prefix of a member in stored column names.
_MEMBER_PREFIX = "expert"
#: Prefix of the sums of persistence over a member's minutes.
_REFERENCE_PREFIX = "reference"
#: Minimum share of a member's minutes for its sums from a version that stored no references.
_MIN_SHARE = 0.9


class Scores:
    """Scores the published forecasts, persistence and each of E ensemble members, per row below ``max_devices``.

    Without a published median, the mean is scored in its place. Minutes for which a member returned NaN do not count in
    its score. A member is compared with its reference: persistence over the minutes that the member predicted, for it
    may join later or predict only some devices. When time goes back, as in a restarted replay, a period ends at the
    newest outcome: later buckets are ignored and overwritten, and buckets of the same time continue.
    """

    def __init__(self, members: Sequence[str], max_devices: int) -> None:
        """Score ``members`` in the order of the outcomes; persistence, if it is a member, is the last."""
        self.members = tuple(members)
        self._max_devices = max_devices
        self._sums = new_score_sums(self.members, max_devices)

    def add(self, outcomes: Outcomes) -> None:
        """Score outcomes, in order for each device; outcomes of untracked rows are ignored."""
        self._sums.add(outcomes)

    def for_row(self, row: int) -> dict[Period, Summary]:
        """Return the scores of ``row`` by period; n is 0 if it was never scored."""
        is_known = 0 <= row < len(self._sums)
        return self._summaries(self._totals(slice(row, row + 1) if is_known else slice(0)))

    def overall(self, parts: Sequence[Scores] = ()) -> dict[Period, Summary]:
        """Return the scores summed over all devices; a device's periods end at its own newest minute.

        With ``parts``, the devices are theirs; their members are among those of this object.
        """
        places = self._sum_places()
        totals = {period: np.zeros(self._sums.n_sums) for period in Period}
        for part in parts or (self,):
            own_places = part._sum_places()
            for period, sums in part._totals(slice(0, len(part._sums))).items():
                for name, at in own_places.items():
                    totals[period][places[name]] += sums[at]
        return self._summaries(totals)

    def _totals(self, rows: slice) -> dict[Period, F64]:
        """Return the sums of each period over ``rows``; if some are impossible, all such rows are removed first."""
        ids, buckets, all_time, newest = self._arrays(rows)
        if not (_largest(buckets) <= _LARGEST_SUM and _largest(all_time) <= _LARGEST_SUM):
            self._forget_damaged()
            ids, buckets, all_time, newest = self._arrays(rows)
        by_row = {ALL_TIME: all_time}
        for period, part, length_min in ((LAST_DAY, DAY, 180), (LAST_WEEK, WEEK, 1440)):
            age = newest[:, None] // length_min - ids[:, part]
            counts = (age >= 0) & (age < part.stop - part.start)
            by_row[period] = buckets[:, part].sum(axis=1, dtype=np.float64, where=counts[:, :, None])
        return {period: by_row[period].sum(axis=0) for period in Period}

    def _summaries(self, totals: dict[Period, F64]) -> dict[Period, Summary]:
        return {period: self._summary(sums) for period, sums in totals.items()}

    def _arrays(self, rows: slice) -> tuple[NDArray[np.int32], F32, F64, I64]:
        """Return ids ``[rows, 17]``, buckets ``[rows, 17, sums]``, all-time sums, and newest minutes of ``rows``."""
        arrays = self._sums.arrays
        ids, buckets = arrays["bucket_ids"][rows], arrays["buckets"][rows]
        return ids, buckets, arrays["all_time"][rows], arrays["newest_minute"][rows]

    def _summary(self, sums: F64) -> Summary:
        """Return the summary of the sums of one period."""
        of = {name: sums[places].tolist() for name, places in self._sum_places().items()}
        by_member = {name: (*of[f"{_MEMBER_PREFIX} {name}"],) for name in self._sums.sources[1:]}
        persistence = by_member[PERSISTENCE]
        references = {name: (by_member[name][0], *of[f"{_REFERENCE_PREFIX} {name}"]) for name in self._sums.sources[2:]}
        references[PERSISTENCE] = persistence
        return summarize(
            dict(zip(PUBLISHED_SUMS, of["interval"], strict=True)),
            (*of[PUBLISHED],),
            persistence,
            {name: (by_member[name], references[name]) for name in self.members},
        )

    def forget(self, row: int) -> None:
        """Remove the scores of ``row``."""
        self._sums.forget(row)

    def _forget_damaged(self) -> None:
        """Remove the scores of rows with an impossible sum."""
        _, buckets, all_time, _ = self._arrays(slice(0, len(self._sums)))  # after a failed growth, arrays are longer
        largest = np.maximum(buckets.max(axis=(1, 2)), -buckets.min(axis=(1, 2)))
        largest = np.maximum(largest, np.maximum(all_time.max(axis=1), -all_time.min(axis=1)))
        for row in np.flatnonzero(~(largest <= _LARGEST_SUM)).tolist():
            self.forget(row)

    def columns(self, rows: Sequence[int], *, copies: bool = True) -> dict[str, NDArray[np.generic]]:
        """Return a copy of ``rows`` as columns with stable names, which include the names of the ensemble members.

        An untracked row equals a row that was never scored. Unless ``copies``, columns may be views of the sums, and
        change with them.
        """
        at = np.asarray(rows, dtype=np.int64)
        columns = self._sums.tracked_columns(at, self._max_devices, copies=False)
        buckets, all_time = columns.pop("buckets"), columns.pop("all_time")
        for name, places in self._sum_places().items():
            columns[f"{name} buckets"], columns[f"{name} ever"] = buckets[:, :, places], all_time[:, places]
        return {name: column.copy() for name, column in columns.items()} if copies else columns

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
        places = self._sum_places()
        for name, at in places.items():
            if f"{name} ever" in columns:
                buckets[:, :, at] = columns[f"{name} buckets"][:n_rows]
                all_time[:, at] = columns[f"{name} ever"][:n_rows]
        for name in self._sums.sources[2:]:
            if f"{_MEMBER_PREFIX} {name} ever" in columns and f"{_REFERENCE_PREFIX} {name} ever" not in columns:
                _add_references(buckets, places, name)
                _add_references(all_time, places, name)

    def _sum_places(self) -> dict[str, slice]:
        """Return the indices of the sums of the interval, of each source and of each reference, by column name."""
        first, sources = len(PUBLISHED_SUMS), self._sums.sources
        names = (PUBLISHED, *(f"{_MEMBER_PREFIX} {name}" for name in sources[1:]))
        each = _interleaved(first, names, len(SOURCE_SUMS))
        references = tuple(f"{_REFERENCE_PREFIX} {name}" for name in sources[2:])
        of_references = _interleaved(first + len(SOURCE_SUMS) * len(sources), references, len(REFERENCE_SUMS))
        return {"interval": slice(first), **each, **of_references}


def _largest(sums: F32 | F64) -> np.floating:
    """Return the largest magnitude of ``sums``, NaN if one is NaN, without a copy of them; 0 without any."""
    largest: np.floating = np.maximum(sums.max(initial=0), -sums.min(initial=0))
    return largest


def _interleaved(first: int, names: tuple[str, ...], n_sums: int) -> dict[str, slice]:
    """Return the indices of the sums of each name: the first sum of all names is followed by the second of all."""
    end = first + n_sums * len(names)
    return {name: slice(first + i, end, len(names)) for i, name in enumerate(names)}


@np.errstate(**DAMAGED)
def _add_references(sums: F32 | F64, places: dict[str, slice], member: str) -> None:
    """Estimate the references of ``member`` in ``sums`` ``[*, sums]`` of an earlier version, which stored none.

    They are the share of persistence's sums that corresponds to the member's minutes. If it predicted fewer than nine
    in ten, that would compare different minutes: its sums start again.
    """
    of_persistence = sums[..., places[f"{_MEMBER_PREFIX} {PERSISTENCE}"]]
    of_member = sums[..., places[f"{_MEMBER_PREFIX} {member}"]]
    share = of_member[..., :1] / np.maximum(of_persistence[..., :1], 1)
    is_partial = share < _MIN_SHARE
    sums[..., places[f"{_REFERENCE_PREFIX} {member}"]] = np.where(is_partial, 0, share * of_persistence[..., 1:])
    of_member[...] = np.where(is_partial, 0, of_member)
