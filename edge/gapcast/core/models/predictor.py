"""The interface between the engine and a model: the complete contract of a forecaster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32
from gapcast.core.windows.window import WindowSpec


class Prediction(NamedTuple):
    """Forecasts of N windows: ``mean`` ``[N, K]`` and, if the model has any, ``quantiles`` ``[N, K, Q]``, kW.

    They describe the single minute at each of the K lead times. ``mean_to`` and ``quantiles_to``, of the same shapes,
    describe the mean of all minutes from the next one to that lead time, if the model forecasts it.
    """

    mean: NDArray[np.float32]
    quantiles: NDArray[np.float32] | None = None
    mean_to: F32 | None = None
    quantiles_to: F32 | None = None


class TrunkOutputs(NamedTuple):
    """The outputs of the layers that two models share, their trunk, for N windows.

    ``inputs`` ``[N, context, features]`` are the inputs of both models; the ``values``, by name, are each ``[N, ...]``.
    """

    inputs: F32
    values: Mapping[str, F32]

    def select(self, which: NDArray[np.int64] | slice) -> TrunkOutputs:
        """Return the outputs for the selected windows."""
        return TrunkOutputs(self.inputs[which], {name: values[which] for name, values in self.values.items()})


class ModelIdentity(Protocol):
    """The identity that forecasts are published under."""

    @property
    def name(self) -> str:
        """Name in forecasts, for example ``lstm``."""
        ...

    @property
    def version(self) -> str:
        """Version in forecasts."""
        ...

    @property
    def spec(self) -> WindowSpec:
        """The window that the model takes."""
        ...

    @property
    def lead_times_min(self) -> tuple[int, ...]:
        """Lead times in minutes, rising; the last is the horizon."""
        ...

    @property
    def quantile_levels(self) -> tuple[float, ...] | None:
        """Quantile levels, rising; None if the model has only the mean."""
        ...


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """Implements :class:`ModelIdentity` for forecasts that do not come from a single model."""

    name: str
    version: str
    spec: WindowSpec
    lead_times_min: tuple[int, ...]
    quantile_levels: tuple[float, ...] | None


class Predictor(ModelIdentity, Protocol):
    """Turns windows into forecasts for its lead times.

    Stateless: the same window gives the same forecast, alone or in any batch, from any thread.
    """

    @property
    def features(self) -> tuple[str, ...]:
        """The columns of the input, by their names in :mod:`gapcast.core.windows.features`: ``gap_kw`` first."""
        ...

    def predict(self, windows: F32) -> Prediction:
        """Forecast ``windows`` ``[N, context, features]`` (oldest first), any N >= 1."""
        ...


class HistoryPredictor(Predictor, Protocol):
    """A predictor that may take a compact history besides the windows."""

    @property
    def history_steps(self) -> int:
        """Number of steps of the history that the model takes; 0 without a history."""
        ...

    def predict(self, windows: F32, history: F32 | None = None) -> Prediction:
        """Forecast ``windows`` ``[N, context, features]`` with their ``history`` ``[N, history_steps]``, kW."""
        ...


class TrunkModel(HistoryPredictor, Protocol):
    """A predictor whose first layers, its trunk, may equal those of another one: then they are computed once."""

    @property
    def trunk_digest(self) -> str | None:
        """The digest of the trunk; None if it is not shared. Models with the same digest have the same trunk."""
        ...

    def predict_with_trunk(self, windows: F32) -> tuple[Prediction, TrunkOutputs]:
        """Forecast ``windows`` as :meth:`predict` does, and also return the outputs of the trunk."""
        ...

    def predict_from_trunk(self, trunk: TrunkOutputs, history: F32 | None = None) -> Prediction:
        """Forecast the windows, at most 32, of a ``trunk`` that another model computed, as :meth:`predict` does."""
        ...


def trunk_digest_of(model: Predictor) -> str | None:
    """Return the digest of the trunk that ``model`` may share; None without one."""
    digest: str | None = getattr(model, "trunk_digest", None)
    return digest


def shares_trunk_with(model: Predictor, first: Predictor) -> bool:
    """Return whether ``model`` can forecast from the trunk of ``first``, which has the same inputs but no history."""
    digest = trunk_digest_of(model)
    has_same = digest is not None and digest == trunk_digest_of(first) and not history_steps_of(first)
    return has_same and (model.features, model.spec.context) == (first.features, first.spec.context)


def history_steps_of(model: Predictor) -> int:
    """Return the number of steps of the history that ``model`` takes; 0 without a history."""
    return int(getattr(model, "history_steps", 0))


def forecasts_means(model: Predictor) -> bool:
    """Return whether ``model`` also forecasts the mean of all minutes until each lead time."""
    return bool(getattr(model, "forecasts_means", False))


def run_model(model: Predictor, windows: F32, history: F32 | None) -> Prediction:
    """Forecast ``windows`` ``[N, context, features]`` with ``model``.

    A model with a history needs ``history`` ``[N, steps]``, oldest step first, and takes its newest steps.
    """
    steps = history_steps_of(model)
    if not steps:
        return model.predict(windows)
    return cast("HistoryPredictor", model).predict(windows, None if history is None else history[:, -steps:])
