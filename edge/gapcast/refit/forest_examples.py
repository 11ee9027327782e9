"""The examples to fit and check a house's forest on: feature columns of its windows, and their targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.learning.forests.forest_features import ForestFeatures
from gapcast.core.windows.features import minute_of_day
from gapcast.core.windows.window import cut
from gapcast.refit.minutes import RecordedMinutes
from gapcast.refit.worker import FitOptions

#: Part of the windows in which a submeter is set to missing while trees are fitted, and in which all are.
_MISSING_SHARE = 0.05
_ROWS_AT_ONCE = 1_024


@dataclass(frozen=True, slots=True)
class ForestExamples:
    """Feature columns ``[N, F]``, the change over the horizon ``[N]``, kW, and the newest readings' minutes ``[N]``."""

    columns: F32
    change_kw: F64
    minutes: I64

    def part(self, which: slice) -> ForestExamples:
        """Return the examples of a slice of the windows."""
        return ForestExamples(self.columns[which], self.change_kw[which], self.minutes[which])

    def since(self, minute: int) -> ForestExamples:
        """Return the examples whose newest reading is of ``minute`` or later."""
        return self.part(slice(int(np.searchsorted(self.minutes, minute)), None))


def examples_of(
    house: RecordedMinutes, options: FitOptions, features: ForestFeatures, n_newest: int | None = None
) -> ForestExamples:
    """Return examples of ``house`` to fit trees to: its windows for which the forecast minute has an outcome.

    Submeters are missing in some windows. With ``n_newest``: only so many windows, the newest, as they were measured,
    to check trees.
    """
    if not len(house):
        nothing = np.empty((0, len(features.names)), dtype=np.float32)
        return ForestExamples(nothing, np.empty(0), np.empty(0, np.int64))
    gap_kw, is_outcome = house.series()
    windows = cut(house.channels(), options.spec, n_required=1)
    target = windows.origin + options.horizon_min
    rows = np.flatnonzero(target < len(gap_kw))
    rows = rows[is_outcome[target[rows]]]
    if n_newest is not None:
        rows = rows[max(len(rows) - n_newest, 0) :]
    columns = np.empty((len(rows), len(features.names)), dtype=np.float32)
    generator = np.random.default_rng(1)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        places = slice(first, first + _ROWS_AT_ONCE)
        some = rows[places]
        local, powers = minute_of_day(house.minutes[0] + target[some], options.zone), windows[some]
        if features.submeters and n_newest is None:
            _hide_submeters(powers[:, :, 1:], generator)
        columns[places] = features.columns(powers[:, :, 0], local, powers[:, :, 1:])
    change_kw = gap_kw[target[rows]].astype(np.float64) - gap_kw[windows.origin[rows]]
    return ForestExamples(columns, change_kw, house.minutes[0] + windows.origin[rows])


def _hide_submeters(submeters_kw: F32, generator: np.random.Generator) -> None:
    """Set each submeter of ``submeters_kw`` ``[N, context, K]`` to missing in some windows, and all of them in some.

    This teaches the trees what to expect when a submeter fails: otherwise they would treat a missing value as zero.
    """
    n_windows, _, n_submeters = submeters_kw.shape
    is_missing = generator.random((n_windows, n_submeters)) < _MISSING_SHARE
    is_missing |= generator.random((n_windows, 1)) < _MISSING_SHARE
    submeters_kw[np.broadcast_to(is_missing[:, np.newaxis], submeters_kw.shape)] = np.nan
