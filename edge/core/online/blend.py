"""The blend: what is told of each device, learnt from what came of it.

For every window each model speaks, the learning expert speaks, and persistence; the weights make one mean and one
median of them, and the interval is put around the median. When the target minute comes, experts, weights and
interval learn from it, each device by itself. Devices of a batch go side by side through numpy; several readings of
one device in a batch go one after the other, so that a batch is as good as its readings one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

import numpy as np
from numpy.typing import NDArray

from edge.core.forecast import LOWER, MEDIAN, UPPER
from edge.core.online import interval, learner, weights
from edge.core.online.outcomes import F64, LEARNED, PERSISTENCE, Outcomes
from edge.core.online.rows import STRANGER, At, Rows
from edge.core.online.view import N_BINS, View
from edge.core.predictor import Prediction, Predictor
from edge.core.window import F32, I64

#: What a device's scale is before it is known, kW, and how many outcomes that counts for.
_FIRST_SCALE_KW, _FIRST_SCALE_N = 0.2, 60
_LEAST_SCALE_KW = 0.005
#: The scale follows its last so many outcomes, and none of them by more than so many scales.
_SCALE_N, _SCALE_LIMIT = 100_000.0, 20.0
#: The usual power of a half hour follows its last so many readings: twenty days.
_USUAL_N = 600.0
#: Places in ``seen``.
_SCALE, _N_LEARNT, _LOG_WIDTH, _LOWEST = range(4)
#: A house that never gave less than this does not feed in, kW: a meter's zero is not quite steady.
_FEEDS_IN_KW = -0.05


@dataclass(frozen=True, slots=True)
class Options:
    """How to blend and learn.

    ``blends``: tell the mixture of all experts, else the first model alone. ``learns``: have an expert that learns
    the house. ``calibrates``: correct the bounds by the device's own hits and misses. ``max_devices`` are followed;
    those beyond are told what a new device is. ``forgetting`` is what an outcome's weight keeps from one minute to
    the next. No bound is below ``min_kw``, nor below 0 where a house has never fed in.
    """

    blends: bool = True
    learns: bool = True
    calibrates: bool = True
    max_devices: int = 2_000
    forgetting: float = 0.99999
    min_kw: float = -100.0


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of N windows: ``kw`` ``[N, 4]`` is mean, median, lower and upper bound (NaN where there is none).

    ``shares`` ``[N, 2, E]`` are the weights of the experts, for the mean and for the median.
    """

    kw: F64
    shares: F64


@dataclass(frozen=True, slots=True)
class _Round:
    """Windows of a batch, each of another device, with all that does not depend on what was learnt."""

    rows: I64
    minutes: I64
    last_kw: F64
    bins: I64
    columns_kw: F64
    experts_kw: F64
    spread_roots: F64 | None

    def of(self, which: I64 | slice) -> _Round:
        roots = None if self.spread_roots is None else self.spread_roots[which]
        return _Round(
            self.rows[which],
            self.minutes[which],
            self.last_kw[which],
            self.bins[:, which],
            self.columns_kw[which],
            self.experts_kw[which],
            roots,
        )


class Blend:
    """Tells what the experts together expect, and learns from what came. Pure; one caller."""

    def __init__(self, models: Sequence[Predictor], options: Options, zone: tzinfo = UTC) -> None:
        """Blend ``models``, the first of which is the one that would speak alone."""
        self.options = options
        self._champion = models[0]
        self._horizon_min = models[0].lead_times_min[-1]
        self._levels = [model.quantile_levels or () for model in models]
        self._n_models = len(models)
        learned = (LEARNED,) if options.learns else ()
        #: Who speaks, in the order of the columns.
        self.experts = (*(model.name for model in models), *learned, PERSISTENCE)
        named = [f"{model.name} mean" for model in models]
        self._with_median = [i for i, levels in enumerate(self._levels) if MEDIAN in levels]
        named += [f"{models[i].name} median" for i in self._with_median]
        self.view = View(max(model.spec.context for model in models), named, zone)
        n_columns, n_experts = len(self.view.names), len(self.experts)
        self._log_prior = np.log(weights.priors(n_experts))
        median_column = len(models) if 0 in self._with_median else 0
        coefficients, covariance = learner.blank(n_columns, 0, median_column)
        self._n_slots = n_slots = self._horizon_min + 1  # what is due now is learnt after the next forecast is made
        # What is remembered of a forecast until its minute comes: the columns, the experts, and what was told.
        self._cuts = np.cumsum([n_columns, 2 * n_experts, 4]).tolist()
        blank: dict[str, NDArray[np.generic]] = {
            "seen": np.array([_FIRST_SCALE_KW, 0.0, np.nan, 0.0]),
            "memory": weights.blank(n_experts),
            "due_minute": np.full(n_slots, -1, dtype=np.int64),
            "due": np.zeros((n_slots, self._cuts[-1] + 2)),
        }
        if options.learns:
            blank |= {
                "coefficients": coefficients,
                "covariance": covariance,
                "usual": np.zeros((2, N_BINS), dtype=np.float32),
            }
        self.rows = Rows(blank)
        self._owed: _Round | None = None
        self._outcomes: list[Outcomes] = []

    # --- forecasts --------------------------------------------------------------------------------

    def forecast(self, rows: I64, minutes: I64, windows: F32, predictions: Sequence[Prediction]) -> Told:
        """Tell what is expected after each of ``windows`` ``[N, context]``, kW, N >= 1, in their order.

        ``rows`` ``[N]`` are the devices' in :class:`~edge.core.buffer.Buffers`, ``minutes`` ``[N]`` those of the
        newest readings, and ``predictions`` what each model made of the windows.
        """
        self._learn_owed()
        batch = self._gather(rows, minutes, windows, predictions)
        told = Told(np.empty((len(rows), 4)), np.empty((len(rows), 2, len(self.experts))))
        for which in self._one_by_one(rows):
            self._learn_owed()
            one = batch if which is None else batch.of(which)
            at_once = slice(None) if which is None else which
            told.kw[at_once], told.shares[at_once] = self._tell(one)
        return told

    def learn(self) -> list[Outcomes]:
        """Learn what the newest readings say of earlier forecasts; return all outcomes since the last call."""
        self._learn_owed()
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def shares(self, row: int) -> F64:
        """Return the experts' weights ``[2, E]`` for the device of that row, as they are now."""
        return self._shares(self.rows.at(np.array([self._row(row)])))[0]

    def forget(self, row: int) -> None:
        """Know nothing of the device of that row."""
        if row < self.options.max_devices:
            self.rows.forget(row + 1)

    def _row(self, row: int) -> int:
        return row + 1 if row < self.options.max_devices else STRANGER

    def _one_by_one(self, rows: I64) -> Iterator[I64 | slice | None]:
        """Yield places in ``rows`` such that no row comes twice in one go; None for all of them."""
        if len(rows) == 1 or len(np.unique(rows)) == len(rows):
            yield None
            return
        if rows.min() == rows.max():
            for place in range(len(rows)):
                yield slice(place, place + 1)
            return
        seen: dict[int, int] = {}
        nth = np.empty(len(rows), dtype=np.int64)
        for place, row in enumerate(rows.tolist()):
            nth[place] = seen[row] = seen.get(row, -1) + 1
        for go in range(int(nth.max()) + 1):
            yield np.flatnonzero(nth == go)

    def _gather(self, rows: I64, minutes: I64, windows: F32, predictions: Sequence[Prediction]) -> _Round:
        experts_kw = np.empty((len(rows), 2, len(self.experts)))
        last_kw = windows[:, -1].astype(np.float64)
        for i, (prediction, levels) in enumerate(zip(predictions, self._levels, strict=True)):
            experts_kw[:, :, i] = prediction.mean[:, -1:]
            if prediction.quantiles is not None and MEDIAN in levels:
                experts_kw[:, 1, i] = prediction.quantiles[:, -1, levels.index(MEDIAN)]
        experts_kw[:, :, -1] = last_kw[:, np.newaxis]
        n = self._n_models
        opinions_kw = np.concatenate((experts_kw[:, 0, :n], experts_kw[:, 1, self._with_median]), axis=1)
        if self.options.learns:
            targets = minutes + self._horizon_min
            columns_kw = self.view.columns_kw(windows, opinions_kw, targets)
            bins = np.stack((self.view.bins(minutes), self.view.bins(targets)))
        else:
            columns_kw, bins = np.zeros((len(rows), len(self.view.names))), np.zeros((2, len(rows)), dtype=np.int64)
        return _Round(rows, minutes, last_kw, bins, columns_kw, experts_kw, self._roots(predictions[0]))

    def _roots(self, prediction: Prediction) -> F64 | None:
        """Return the roots of the distances from the first model's median down and up to its outer quantiles."""
        levels, quantiles = self._levels[0], prediction.quantiles
        if quantiles is None or not {LOWER, MEDIAN, UPPER} <= set(levels):
            return None
        at_horizon = quantiles[:, -1].astype(np.float64)
        lower, median, upper = (at_horizon[:, levels.index(level)] for level in (LOWER, MEDIAN, UPPER))
        return interval.roots(np.stack((median - lower, upper - median), axis=1))

    def _tell(self, one: _Round) -> tuple[F64, F64]:
        known = one.rows < self.options.max_devices
        at = self.rows.at(np.where(known, one.rows + 1, STRANGER))
        arrays = self.rows.arrays
        seen, experts_kw = arrays["seen"][at], one.experts_kw
        scale_kw, lowest_kw = seen[:, _SCALE], seen[:, _LOWEST]
        floor_kw = np.where(lowest_kw < _FEEDS_IN_KW, self.options.min_kw, np.minimum(lowest_kw, 0.0))
        columns = one.columns_kw
        if self.options.learns:
            usual_kw = self._usual(at, one.bins[1], one.last_kw)
            columns = self.view.scaled(columns, usual_kw, one.last_kw, scale_kw, learner.LIMIT)
            change = learner.speak(arrays["coefficients"][at], columns) * scale_kw[:, np.newaxis]
            experts_kw[:, :, -2] = np.maximum(one.last_kw[:, np.newaxis] + change, floor_kw[:, np.newaxis])
        shares = self._shares(at)
        kw = np.empty((len(one.rows), 4))
        kw[:, :2] = (shares * experts_kw).sum(-1)
        if self.options.blends:
            np.maximum(kw[:, :2], floor_kw[:, np.newaxis], out=kw[:, :2])
        roots = one.spread_roots
        if roots is None:
            roots = np.repeat(interval.roots(2 * scale_kw)[:, np.newaxis], 2, axis=1)
        log_width = seen[:, _LOG_WIDTH]
        is_new = np.isnan(log_width)
        if is_new.any():
            log_width = np.where(is_new, interval.first_log_width(roots), log_width)
        kw[:, 2], kw[:, 3] = interval.bounds(log_width, kw[:, 1], roots, floor_kw)
        self._owed = one
        if not known.all():
            which = np.flatnonzero(known)
            if not which.size:
                self._owed = None
                return kw, shares
            self._owed = one.of(which)
            self._remember(self._owed, columns[which], kw[which], scale_kw[which], log_width[which])
        else:
            self._remember(one, columns, kw, scale_kw, log_width)
        return kw, shares

    def _usual(self, at: At, bins: I64, last_kw: F64) -> F64:
        """Return the usual power of the half hours ``bins``; the last reading where none is known."""
        rows = np.arange(at.start, at.stop) if isinstance(at, slice) else at
        usual = self.rows.arrays["usual"][rows, :, bins]
        return np.where(usual[:, 1] > 0, usual[:, 0], last_kw)

    def _shares(self, at: At) -> F64:
        memory = self.rows.arrays["memory"][at]
        if self.options.blends:
            return weights.weigh(memory, self._log_prior)
        shares = np.zeros((len(memory), 2, len(self.experts)))
        shares[:, :, 0] = 1.0
        return shares

    def _remember(self, one: _Round, columns: F64, kw: F64, scale_kw: F64, log_width: F64) -> None:
        """Remember until its minute comes what was told, on what grounds."""
        rows, target = one.rows + 1, one.minutes + self._horizon_min
        slot = target % self._n_slots
        arrays = self.rows.arrays
        arrays["seen"][rows, _LOG_WIDTH] = log_width
        arrays["due_minute"][rows, slot] = target
        due = np.empty((len(rows), self._cuts[-1] + 2))
        to_columns, to_experts, to_told = self._cuts
        due[:, :to_columns] = columns
        due[:, to_columns:to_experts] = one.experts_kw.reshape(len(rows), -1)
        due[:, to_experts:to_told] = kw
        due[:, -2], due[:, -1] = one.last_kw, scale_kw
        arrays["due"][rows, slot] = due

    # --- outcomes ---------------------------------------------------------------------------------

    def _learn_owed(self) -> None:
        """Learn what the readings of the last round say of the forecasts that were made for their minutes."""
        one, self._owed = self._owed, None
        if one is None:
            return
        rows, arrays = one.rows + 1, self.rows.arrays
        lowest = arrays["seen"][rows, _LOWEST]
        arrays["seen"][rows, _LOWEST] = np.minimum(lowest, one.last_kw)
        if self.options.learns:
            self._get_used_to(rows, one)
        slot = one.minutes % self._n_slots
        due = np.flatnonzero(arrays["due_minute"][rows, slot] == one.minutes)
        if due.size:
            self._learn_from(one.rows[due], one.minutes[due], one.last_kw[due], slot[due])

    def _get_used_to(self, rows: I64, one: _Round) -> None:
        usual, bins = self.rows.arrays["usual"], one.bins[0]
        mean_kw, n = usual[rows, 0, bins], np.minimum(usual[rows, 1, bins] + 1, _USUAL_N)
        usual[rows, 0, bins] = mean_kw + (one.last_kw - mean_kw) / n
        usual[rows, 1, bins] = n

    def _learn_from(self, rows: I64, minutes: I64, came_kw: F64, slot: I64) -> None:
        at = self.rows.at(rows + 1)
        arrays = self.rows.arrays
        arrays["due_minute"][rows + 1, slot] = -1
        remembered = arrays["due"][rows + 1, slot]
        to_columns, to_experts, to_told = self._cuts
        experts_kw = remembered[:, to_columns:to_experts].reshape(len(rows), 2, -1)
        told_kw, last_kw, scale_kw = remembered[:, to_experts:to_told], remembered[:, -2], remembered[:, -1]
        self._outcomes.append(Outcomes(rows, minutes, came_kw, last_kw, experts_kw, told_kw))
        seen = arrays["seen"][at]
        change_kw, n_learnt = came_kw - last_kw, seen[:, _N_LEARNT].copy()
        if self.options.learns:
            coefficients, covariance = arrays["coefficients"][at], arrays["covariance"][at]
            columns = remembered[:, :to_columns]
            sound = learner.learn(coefficients, covariance, columns, change_kw / scale_kw, self.options.forgetting)
            if sound is not None:
                coefficients[~sound], covariance[~sound] = self.rows.blank("coefficients"), self.rows.blank("covariance")
            self.rows.put("coefficients", at, coefficients)
            self.rows.put("covariance", at, covariance)
        if self.options.blends:
            memory = arrays["memory"][at]
            weights.learn(memory, experts_kw, told_kw[:, :2], came_kw, scale_kw * learner.LIMIT)
            self.rows.put("memory", at, memory)
        missed = ((came_kw < told_kw[:, 2]) | (came_kw > told_kw[:, 3])).astype(np.float64)
        seen[:, _LOG_WIDTH] = interval.learn(seen[:, _LOG_WIDTH], n_learnt, missed)
        size_kw = np.minimum(np.abs(change_kw), _SCALE_LIMIT * seen[:, _SCALE])
        scale_kw = seen[:, _SCALE] + (size_kw - seen[:, _SCALE]) / np.minimum(n_learnt + _FIRST_SCALE_N, _SCALE_N)
        seen[:, _SCALE] = np.maximum(scale_kw, _LEAST_SCALE_KW)
        seen[:, _N_LEARNT] = n_learnt + 1
        self.rows.put("seen", at, seen)
