"""What the engine asks of a model: the whole contract of a forecaster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gapcast.core.window import F32, WindowSpec


@dataclass(frozen=True, slots=True)
class Prediction:
    """Forecasts of N windows: ``mean`` ``[N, K]`` and, where there are any, ``quantiles`` ``[N, K, Q]``, kW."""

    mean: NDArray[np.float32]
    quantiles: NDArray[np.float32] | None = None


class ModelIdentity(Protocol):
    """Whose words forecasts are: what they say of it."""

    @property
    def name(self) -> str:
        """Name that forecasts bear, for example ``lstm``."""
        ...

    @property
    def version(self) -> str:
        """Version that forecasts bear."""
        ...

    @property
    def spec(self) -> WindowSpec:
        """The window it goes by."""
        ...

    @property
    def lead_times_min(self) -> tuple[int, ...]:
        """Minutes ahead that it speaks for, rising; the last is the horizon."""
        ...

    @property
    def quantile_levels(self) -> tuple[float, ...] | None:
        """Levels of its quantiles, rising, or None where it gives the mean alone."""
        ...


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """Implements :class:`ModelIdentity` for what no single model says."""

    name: str
    version: str
    spec: WindowSpec
    lead_times_min: tuple[int, ...]
    quantile_levels: tuple[float, ...] | None


class Predictor(ModelIdentity, Protocol):
    """Turns windows into forecasts for the lead times it was made for.

    Stateless: the same window gives the same forecast, alone or in any batch, from any thread.
    """

    @property
    def features(self) -> tuple[str, ...]:
        """The columns of its input, by the names of :mod:`gapcast.core.features`: ``gap_kw`` first."""
        ...

    def predict(self, windows: F32) -> Prediction:
        """Forecast ``windows`` ``[N, context, features]`` (oldest first), any N >= 1."""
        ...
