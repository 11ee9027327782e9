"""The household's readings as the study used them (rows), and as a series with gaps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.errors import SourceError
from gapcast.core.time_grid import minute_label
from gapcast.recordings.formats import uci
from gapcast.recordings.minutes.series import Series, minute_series
from gapcast_trainer.data.split import MinuteSplit, SplitPart
from gapcast_trainer.data.windows import Examples, WindowTask, cut_examples
from gapcast_trainer.errors import RunError
from gapcast_trainer.study.settings import study_task

#: Rows of UCI's set once the missing ones are dropped.
N_ROWS = uci.N_ROWS - uci.N_MISSING


@dataclass(frozen=True, slots=True)
class Household:
    """``rows_kw`` ``[R]``: the readings in the file's order, missing ones dropped, kW. ``series``: minute by minute."""

    rows_kw: F64
    series: Series
    sha256: str

    @property
    def is_whole_set(self) -> bool:
        """Return whether this is UCI's complete set, by its number of readings."""
        return self.rows_kw.size == N_ROWS


def load(raw: Path, *, progress: bool = False) -> Household:
    """Read UCI's zip or text at ``raw``; :class:`~gapcast.core.errors.SourceError` if it cannot be used."""
    if not raw.exists():
        raise SourceError(raw, "is not there: download it with `gapcast-trainer fetch`, or name it by --raw")
    table = uci.read(raw, progress=progress)
    series, _ = minute_series(table)
    return Household(table.gap_kw[~np.isnan(table.gap_kw)], series, table.sha256)


def whole_windows(series: Series, context: int, split: MinuteSplit, part: SplitPart) -> Examples:
    """Return the windows of ``part`` that hold ``context`` measured readings, with the reading at the study's horizon.

    Raises :class:`RunError` if there are no such windows.
    """
    found = cut_examples(series, study_task(context), split, part)
    return _some(found.select(np.flatnonzero(found.n_observed == context).astype(np.int64)), split)


def scored_minutes(series: Series, split: MinuteSplit, task: WindowTask | None = None, every: int = 1) -> Examples:
    """Return every ``every``-th window of the test part for ``task``, always of the same minutes.

    The minutes follow 30 consecutive measured readings and have a measured target (456,953 minutes of 2010 in UCI's
    set); a longer context is padded or filled by the window contract.
    """
    found = _some(cut_examples(series, task or study_task(), split, SplitPart.TEST).whole(), split)
    return found.select(np.arange(0, len(found), every, dtype=np.int64))


def _some(found: Examples, split: MinuteSplit) -> Examples:
    if not len(found):
        first, until = split.bounds(found.part)
        since = "the beginning" if first is None else minute_label(first)
        msg = (
            f"no window of {found.task.window.context} readings to {found.part.value} on from {since} to "
            f"{minute_label(until)}: the study needs UCI's household (get it with `gapcast-trainer fetch`)"
        )
        raise RunError(msg)
    return found
