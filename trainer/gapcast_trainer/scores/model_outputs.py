"""Predictions of a forecaster for the scored minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gapcast.core.arrays.array_types import F32, I64
from gapcast.core.models.predictor import Predictor, history_steps_of, run_model
from gapcast.core.time_grid import minute_label
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.data.split import MinuteSplit, SplitPart
from gapcast_trainer.data.windows import Examples, WindowTask, cut_examples
from gapcast_trainer.errors import RunError

_ROWS_AT_ONCE = 8_192
#: The fields of a prediction.
_OUTPUTS = ("mean", "quantiles", "mean_to", "quantiles_to")


@dataclass(frozen=True, slots=True)
class ModelOutputs:
    """Forecasts of N minutes, kW: ``mean`` ``[N, K]`` and, with levels, ``quantiles`` ``[N, K, Q]``.

    ``to`` are the forecasts of the mean of all minutes until each lead time, if the model forecasts it.
    """

    lead_times_min: tuple[int, ...]
    levels: tuple[float, ...]
    mean: F32
    quantiles: F32 | None = None
    to: ModelOutputs | None = None

    def select(self, chosen: I64) -> ModelOutputs:
        """Return the forecasts at ``chosen``."""
        quantiles = None if self.quantiles is None else self.quantiles[chosen]
        to = None if self.to is None else self.to.select(chosen)
        return replace(self, mean=self.mean[chosen], quantiles=quantiles, to=to)

    def at(self, lead_min: int) -> tuple[F32, F32 | None]:
        """Return mean ``[N]`` and quantiles ``[N, Q]`` of one lead time."""
        k = self.lead_times_min.index(lead_min)
        return self.mean[:, k], None if self.quantiles is None else self.quantiles[:, k]

    @property
    def crossed_ratio(self) -> float:
        """The share of forecasts whose quantiles do not rise with their levels."""
        if self.quantiles is None:
            return 0.0
        return float((np.diff(self.quantiles, axis=2) < 0).any(axis=2).mean())


def windows_for(predictor: Predictor, series: Series, split: MinuteSplit) -> Examples:
    """Return the windows of the test part for ``predictor``, with an observed outcome at the horizon."""
    at_horizon = WindowTask(predictor.spec, predictor.lead_times_min[-1:], predictor.features)
    return cut_examples(series, at_horizon, split, SplitPart.TEST)


def predict_windows(
    predictor: Predictor,
    windows: Examples,
    *,
    n_kept: int | None = None,
    advance: Callable[[int], object] = lambda _: None,
) -> ModelOutputs:
    """Predict ``windows``; if ``n_kept`` is given, shorten them and their histories to their newest ``n_kept`` minutes.

    ``advance`` is called with the number of windows of each step. Raises :class:`RunError` if a value is not finite:
    those windows would not count, and all models are scored on the same minutes.
    """
    n, leads, levels = len(windows), predictor.lead_times_min, predictor.quantile_levels
    steps = history_steps_of(predictor)
    columns: dict[str, F32] = {}
    for first in range(0, n, _ROWS_AT_ONCE):
        until = min(first + _ROWS_AT_ONCE, n)
        inputs = windows.inputs(first, until, n_kept=n_kept)
        found = run_model(predictor, inputs, windows.histories(first, until, inputs, steps, n_kept))
        for name in _OUTPUTS:
            values = getattr(found, name)
            if values is not None:
                _require_finite(predictor.name, name, values, windows.observed_minute[first:until])
                columns.setdefault(name, np.empty((n, *values.shape[1:]), dtype=np.float32))[first:until] = values
        advance(until - first)
    mean = columns.get("mean", np.empty((0, len(leads)), dtype=np.float32))
    to = (
        ModelOutputs(leads, levels or (), columns["mean_to"], columns.get("quantiles_to"))
        if "mean_to" in columns
        else None
    )
    return ModelOutputs(leads, levels or (), mean, columns.get("quantiles"), to)


def _require_finite(model: str, output: str, values: F32, minutes: I64) -> None:
    """Raise :class:`RunError` if one of ``values`` ``[N, ...]``, forecast at ``minutes`` ``[N]``, is not finite."""
    faulty = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if faulty.any():
        at = int(np.argmax(faulty))
        row = values[at].ravel()
        value, label = row[~np.isfinite(row)][0], minute_label(int(minutes[at]))
        msg = (
            f"model {model}: {output} is {value}, not a finite number, in the forecast made at {label}: "
            "correct the model, or name the others to score them alone"
        )
        raise RunError(msg)
