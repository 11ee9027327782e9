"""The outlooks of one house that wait for their outcomes, and its newest week of power."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from gapcast.backtest.outlooks.lead_scores import LeadSums
from gapcast.core.arrays.array_types import F64
from gapcast.core.outlook.scores.reference_forecasts import REACH_MIN, MinutePower
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import DAY_MIN

#: Outlooks that are scored at once.
_N_AT_ONCE = 512
#: After a longer gap, earlier power is of no use.
_LONGEST_HOLE_MIN = REACH_MIN + DAY_MIN


class HouseOutlooks:
    """Scores the outlooks of one house, some hundred at a time, once the minutes of all lead times are over.

    Stores the power of eight days, at most 512 outlooks and the outlooks of the last hour: about 500 kB.
    """

    def __init__(self, lead_times_min: tuple[int, ...]) -> None:
        """Score outlooks at ``lead_times_min``, rising."""
        self.sums = LeadSums(lead_times_min)
        self._longest_min = lead_times_min[-1]
        self._minutes, self._known_kw, self._measured_kw = array("q"), array("d"), array("d")
        self._observed: list[int] = []
        self._outlooks_kw: list[F64] = []

    def add_reading(self, reading: Reading, *, is_outcome: bool) -> None:
        """Add the newest reading.

        A reading that is not newer than the last one, or comes long after it, ends the outcomes of earlier outlooks.
        """
        minutes = self._minutes
        if minutes and not 0 < reading.minute - minutes[-1] <= _LONGEST_HOLE_MIN:
            self.finish()
            del minutes[:], self._known_kw[:], self._measured_kw[:]
        minutes.append(reading.minute)
        self._known_kw.append(reading.gap_kw)
        self._measured_kw.append(reading.gap_kw if is_outcome else np.nan)

    def add_outlook(self, outlook_kw: F64) -> None:
        """Add the outlook made at the newest reading, ``[H, 2, 4]`` by lead time and kind."""
        self._observed.append(self._minutes[-1])
        self._outlooks_kw.append(outlook_kw)
        if len(self._observed) >= _N_AT_ONCE + self._longest_min:
            self._score(_N_AT_ONCE)

    def finish(self) -> None:
        """Score the outlooks that still wait, with the outcomes known so far."""
        if self._observed:
            self._score(len(self._observed))

    def _score(self, n: int) -> None:
        """Score the first ``n`` outlooks, and drop the power that later outlooks do not need."""
        observed = np.array(self._observed[:n], dtype=np.int64)
        outlooks_kw = np.stack(self._outlooks_kw[:n])
        del self._observed[:n], self._outlooks_kw[:n]
        power = MinutePower(self._minutes[0], self._dense(self._known_kw), self._dense(self._measured_kw))
        for lead, lead_min in enumerate(self.sums.lead_times_min):
            actual_kw = power.outcomes_kw(observed, lead_min)
            self.sums.add(lead, outlooks_kw[:, lead], actual_kw, power.references_kw(observed, lead_min))
        first = int(observed[-1]) - REACH_MIN
        n_old = int(np.searchsorted(np.array(self._minutes), first))
        for column in (self._minutes, self._known_kw, self._measured_kw):
            del column[:n_old]

    def _dense(self, values: array[float]) -> NDArray[np.float64]:
        """Return ``values`` by minute, NaN where there is no reading."""
        at = np.array(self._minutes) - self._minutes[0]
        dense = np.full(int(at[-1]) + 1, np.nan)
        dense[at] = values
        return dense
