"""Live scores of every followed device over the last day, the last week, and for ever: 2 kB a device with six experts.

What is kept are sums. Those of a period stand in buckets, a ring of them a device; a bucket is known by the
minutes that it is of, so that one whose time is over counts no more, whatever it still holds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gapcast.core.learning.columns import Columns, check_columns
from gapcast.core.learning.outcomes import F64, PERSISTENCE, Outcomes, Runs
from gapcast.core.learning.summary import EVER, LAST_DAY, LAST_WEEK, Period, Summary, summarize
from gapcast.core.window import F32, I64

#: Indices as `take` wants them, without a word on 64-bit machines: it refuses wider ones where a pointer has 32.
Places = NDArray[np.intp]
#: Lengths of the buckets of a day and of a week, and how many of each there are: one of them is not over yet.
_BUCKET_MIN = np.array([180, 1440])
_N_BUCKETS = np.array([9, 8])
_FIRST_BUCKET = np.array([0, 9])
_N_ALL = 17
_DAY, _WEEK = slice(0, 9), slice(9, 17)
_NEVER = -1_000  # no bucket that could be of a period
#: The told quantiles' levels: median, lower and upper bound.
_LEVELS = np.array([0.5, 0.05, 0.95])
_IF_BELOW, _IF_ABOVE = -_LEVELS, 1 - _LEVELS
_EACH_A_THIRD = np.full(3, 1 / 3)
#: Errors beyond count as this one: its square, summed over a day, still fits a float32.
_LARGEST_KW, _SMALLEST_KW = np.array(1e9), np.array(-1e9)
#: A century of the largest errors' squares stays below.
_LARGEST_SUM = 1e30
_FIRST_ROWS = 16
#: What is summed of the interval and of the told mean, before what is summed of each speaker.
_PUBLISHED_SUMS = ("bias", "bounds_n", "pinball", "hits", "width")
_SOURCE_SUMS = ("n", "squared", "absolute")
_PUBLISHED = "told"


class Scores:
    """Scores what was told, persistence, and each of E experts, for each row below ``max_devices``.

    Without a published median, the mean is scored in its place, as in :class:`gapcast.core.score.ScoreAccumulator`.
    Minutes for which an expert gave NaN are left out of its score. When time goes back, as in a restarted replay, a
    period ends at the newest outcome: buckets after it are ignored and overwritten, and those of the same time
    continue.
    """

    def __init__(self, experts: Sequence[str], max_devices: int) -> None:
        """Score ``experts``, in the order of the outcomes; persistence, where it is one, is the last."""
        self.experts = tuple(experts)
        self._max_devices = max_devices
        # Persistence is scored by the last reading, whether it is an expert or not.
        self._sources = (_PUBLISHED, PERSISTENCE, *(name for name in self.experts if name != PERSISTENCE))
        n_columns = len(self._sources) + 1
        self._quantiles_at: Places = np.array([n_columns, n_columns - 1, 2 * n_columns - 1], dtype=np.intp)
        self._n_sums = n_sums = len(_PUBLISHED_SUMS) + len(_SOURCE_SUMS) * len(self._sources)
        self._buckets: F32 = np.zeros((_FIRST_ROWS * _N_ALL, n_sums), dtype=np.float32)  # [row, bucket] as one
        self._ids: NDArray[np.int32] = np.full(_FIRST_ROWS * _N_ALL, _NEVER, dtype=np.int32)
        self._ever: F64 = np.zeros((_FIRST_ROWS, n_sums))
        self._newest_minute: I64 = np.zeros(_FIRST_ROWS, dtype=np.int64)

    def add(self, outcomes: Outcomes) -> None:
        """Score outcomes, those of one device in order; those of rows that are not followed are left out."""
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
        for go in range(int(runs.nth.max()) + 1):
            now = runs.nth == go
            self._add(rows[now], minutes[now], sums[now])

    def _add(self, rows: I64, minutes: I64, sums: F64) -> None:
        """Add ``sums`` to the buckets of ``minutes``, each row once."""
        ids = minutes[:, None] // _BUCKET_MIN
        rows = rows.astype(np.intp, copy=False)
        at = (ids % _N_BUCKETS + _FIRST_BUCKET + (rows * _N_ALL)[:, None]).astype(np.intp, copy=False)
        saved = self._buckets.take(at, axis=0)
        saved *= (self._ids.take(at) == ids)[..., None]
        saved += sums[:, None]
        self._buckets[at] = saved
        self._ids[at] = ids
        self._ever[rows] = self._ever.take(rows, axis=0) + sums
        self._newest_minute[rows] = minutes

    def _sums(self, outcomes: Outcomes) -> F64:
        """Return what each outcome adds to the sums, ``[N, sums]``."""
        n, n_speakers = len(outcomes), len(self._sources)
        errors = np.empty((n, 2, n_speakers + 1))  # of mean and median by speaker; then of lower and upper bound
        errors[:, :, 0] = outcomes.published_kw[:, :2]
        errors[:, :, 1] = outcomes.last_kw[:, None]
        errors[:, :, 2:-1] = outcomes.experts_kw[:, :, : n_speakers - 2]
        errors[:, :, -1] = outcomes.published_kw[:, 2:]
        errors -= outcomes.actual_kw[:, None, None]
        np.minimum(errors, _LARGEST_KW, out=errors)
        np.maximum(errors, _SMALLEST_KW, out=errors)
        unknown = np.isnan(errors)
        np.copyto(errors, 0.0, where=unknown[:, :1])  # without a mean nothing was said
        np.copyto(errors[:, 1], errors[:, 0], where=unknown[:, 1])

        sums = np.empty((n, self._n_sums))
        sums[:, 0] = errors[:, 0, 0]
        _sum_interval(errors, unknown, self._quantiles_at, sums)
        by_source = sums[:, len(_PUBLISHED_SUMS) :].reshape(n, len(_SOURCE_SUMS), n_speakers)
        said = errors[:, :, :-1]
        by_source[:, 0] = ~unknown[:, 0, :-1]
        np.square(said[:, 0], out=by_source[:, 1])
        np.abs(said[:, 1], out=by_source[:, 2])
        return sums

    def of(self, row: int) -> dict[Period, Summary]:
        """Return what there is of ``row``, by period; nothing (n = 0) where it was never scored."""
        if not 0 <= row < len(self._ever):
            return self._summaries(slice(0, 0))
        return self._summaries(slice(row, row + 1))

    def overall(self) -> dict[Period, Summary]:
        """Return the scores summed over all devices, each over the periods that end at its own newest minute."""
        return self._summaries(slice(0, len(self._ever)))

    def _summaries(self, rows: slice) -> dict[Period, Summary]:
        ids = self._ids.reshape(-1, _N_ALL)[rows]
        buckets = self._buckets.reshape(-1, _N_ALL, self._n_sums)[rows]
        if not (
            np.abs(buckets).max(initial=0) <= _LARGEST_SUM and np.abs(self._ever[rows]).max(initial=0) <= _LARGEST_SUM
        ):
            self._forget_damaged()
            ids, buckets = self._ids.reshape(-1, _N_ALL)[rows], self._buckets.reshape(-1, _N_ALL, self._n_sums)[rows]
        totals = {EVER: self._ever[rows].sum(axis=0)}
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
            {name: by_source[name] for name in self.experts},
        )

    def forget(self, row: int) -> None:
        """Hold no scores of ``row``."""
        if row < len(self._ever):
            self._buckets[row * _N_ALL : (row + 1) * _N_ALL] = 0
            self._ids[row * _N_ALL : (row + 1) * _N_ALL] = _NEVER
            self._ever[row] = 0
            self._newest_minute[row] = 0

    def _forget_damaged(self) -> None:
        """Hold no scores of rows with a sum that no outcomes could have made."""
        largest = np.abs(self._buckets).reshape(len(self._ever), -1).max(axis=1)
        sound = (largest <= _LARGEST_SUM) & (np.abs(self._ever).max(axis=1) <= _LARGEST_SUM)
        for row in np.flatnonzero(~sound).tolist():
            self.forget(row)

    def columns(self, rows: Sequence[int]) -> dict[str, NDArray[np.generic]]:
        """Return a copy of ``rows``, by names that stay: those of an expert bear its name.

        Of a row that is not followed it is as of one that was never scored.
        """
        at = np.asarray(rows, dtype=np.int64)
        unknown = at >= min(len(self._ever), self._max_devices)
        at = np.where(unknown, 0, at)
        ids, buckets, ever = (
            self._ids.reshape(-1, _N_ALL)[at],
            self._buckets.reshape(-1, _N_ALL, self._n_sums)[at],
            self._ever[at],
        )
        newest = self._newest_minute[at]
        ids[unknown], buckets[unknown], ever[unknown], newest[unknown] = _NEVER, 0, 0, 0
        made: dict[str, NDArray[np.generic]] = {"newest_minute": newest, "bucket_ids": ids}
        for name, columns in self._named().items():
            made[f"{name} buckets"], made[f"{name} ever"] = buckets[:, :, columns], ever[:, columns]
        return made

    def restore_columns(self, columns: Columns) -> None:
        """Go on from what :meth:`columns` gave, from the first row on; new experts start from nothing.

        Raises :class:`ValueError` where the columns do not fit each other.
        """
        own = self.columns(())
        always = ("newest_minute", "bucket_ids", "interval buckets", "interval ever", "told buckets", "told ever")
        n_rows = min(check_columns(columns, own, always), self._max_devices)
        self._grow(n_rows)
        self._newest_minute[:n_rows] = columns["newest_minute"][:n_rows]
        self._ids[: n_rows * _N_ALL] = columns["bucket_ids"][:n_rows].reshape(-1)
        for name, at in self._named().items():
            if f"{name} ever" in columns:
                buckets = columns[f"{name} buckets"][:n_rows].reshape(n_rows * _N_ALL, len(at))
                self._buckets[: n_rows * _N_ALL, at] = buckets
                self._ever[:n_rows, at] = columns[f"{name} ever"][:n_rows]

    def _named(self) -> dict[str, list[int]]:
        """Return where the sums of the interval and of each speaker stand."""
        first, n_speakers = len(_PUBLISHED_SUMS), len(self._sources)
        names = (_PUBLISHED, *(f"expert {name}" for name in self._sources[1:]))
        each = {name: [first + i + j * n_speakers for j in range(len(_SOURCE_SUMS))] for i, name in enumerate(names)}
        return {"interval": list(range(first)), **each}

    def copy(self) -> Scores:
        """Return a copy that later outcomes do not change."""
        made = Scores(self.experts, self._max_devices)
        made._buckets, made._ids = self._buckets.copy(), self._ids.copy()
        made._ever, made._newest_minute = self._ever.copy(), self._newest_minute.copy()
        return made

    def _grow(self, n_rows: int) -> None:
        n_kept = len(self._ever)
        if n_rows <= n_kept:
            return
        n_made = n_kept
        while n_made < n_rows:
            n_made *= 2
        grown = n_made - n_kept
        self._buckets = np.concatenate([self._buckets, np.zeros((grown * _N_ALL, self._n_sums), np.float32)])
        self._ids = np.concatenate([self._ids, np.full(grown * _N_ALL, _NEVER, dtype=np.int32)])
        self._ever = np.concatenate([self._ever, np.zeros((grown, self._n_sums))])
        self._newest_minute = np.concatenate([self._newest_minute, np.zeros(grown, dtype=np.int64)])


def _sum_interval(errors: F64, unknown: NDArray[np.bool_], at: Places, sums: F64) -> None:
    """Write number, pinball loss, hit and width of intervals to columns 1 to 4 of ``sums``; 0 where there is none.

    ``at`` says where the errors of median, lower and upper bound stand in a flat row of ``errors``.
    """
    lower, upper = errors[:, 0, -1], errors[:, 1, -1]
    quantiles = errors.reshape(len(errors), -1).take(at, axis=1)
    losses = np.maximum(quantiles * _IF_BELOW, quantiles * _IF_ABOVE)
    sums[:, 1] = 1.0
    np.matmul(losses, _EACH_A_THIRD, out=sums[:, 2])
    sums[:, 3] = (lower <= 0) & (upper >= 0)
    np.subtract(upper, lower, out=sums[:, 4])
    np.copyto(sums[:, 1:5], 0.0, where=(unknown[:, 0, -1] | unknown[:, 1, -1])[:, None])
