"""A single forecast, and the forecasts of a batch as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.forecasts.forecast_fields import FIELDS
from gapcast.core.forecasts.forecast_range import ForecastReplacements
from gapcast.core.models.predictor import ModelIdentity

#: Level of the interval of a forecast, and the quantiles that bound it.
LEVEL = 0.9
LOWER, MEDIAN, UPPER = 0.05, 0.5, 0.95
#: Columns of :class:`Forecasts` that :func:`join_forecasts` concatenates.
_COLUMNS = (
    "devices", "observed_minutes", "n_observed", "gap_kw", "median_kw", "lower_kw", "upper_kw",
)  # fmt: skip
#: Columns that a part has only if one of its devices has a plan.
_SPARSE_COLUMNS = ("uncontrolled_kw", "planned_kw")
#: Decimals of ensemble weights.
SHARE_DECIMALS = 3
#: Decimals of a forecast's powers, kW: a milliwatt, below any model's own precision.
DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecast of one device for ``target_minute``. Power in kW, minutes since the epoch.

    ``gap_kw`` is the mean; ``median_kw`` and the bounds of the ``level`` interval are None where the model has no
    quantiles. ``path_kw`` holds the mean for each lead time of a model with several, else None; its last value is
    ``gap_kw``. ``n_observed`` counts measured readings among the ``context`` minutes. ``experts`` and
    ``median_experts`` are the ensemble weights of the mean and of the median; None in the forecast of a single model.
    ``planned_kw`` is the planned power at the target, which all powers contain, ``uncontrolled_kw`` the mean without
    it; None without a plan.
    """

    device: str | None
    observed_minute: int
    horizon_min: int
    gap_kw: float
    median_kw: float | None
    lower_kw: float | None
    upper_kw: float | None
    model: str
    model_version: str
    n_observed: int
    context: int
    issued_at_ms: int
    path_kw: tuple[float, ...] | None = None
    experts: Mapping[str, float] | None = None
    median_experts: Mapping[str, float] | None = None
    uncontrolled_kw: float | None = None
    planned_kw: float | None = None

    @property
    def target_minute(self) -> int:
        """The minute that is forecast."""
        return self.observed_minute + self.horizon_min

    @property
    def level(self) -> float | None:
        """Level of the interval; None without an interval."""
        return None if self.lower_kw is None or self.upper_kw is None else LEVEL

    def document(self) -> dict[str, Any]:
        """Return the published JSON object, with the :data:`fields <gapcast.core.forecasts.forecast_fields.FIELDS>`."""
        values = ((field, field.value(self)) for field in FIELDS)
        return {field.name: value for field, value in values if value is not None or not field.is_optional}


@dataclass(slots=True)
class EnsembleWeights:
    """Ensemble weights in the forecasts of a batch, of E members called ``names``.

    ``weights`` ``[N, 2 E]`` holds, for each forecast, the weights of the mean followed by the weights of the median.
    Treat as immutable; it is not frozen for the reason given at :class:`Forecasts`.
    """

    names: tuple[str, ...]
    weights: F32 | F64

    def by_member(self, i: int) -> tuple[dict[str, float], dict[str, float]]:
        """Return the weights of the mean and of the median in the ``i``-th forecast, by member."""
        weights, n = self.weights[i].tolist(), len(self.names)
        rounded = [round(weight, SHARE_DECIMALS) for weight in weights]
        return dict(zip(self.names, rounded[:n], strict=True)), dict(zip(self.names, rounded[n:], strict=True))


@dataclass(frozen=True, slots=True)
class HorizonParts:
    """The forecasts of each horizon in a batch with several horizons, with their indices in the batch, rising.

    ``order`` holds, for each forecast of the batch, the index of its part and its index in the part.
    """

    parts: tuple[tuple[tuple[int, ...], Forecasts], ...]
    order: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Forecasts:
    """The forecasts of a batch, as columns of equal length that hold the fields of :class:`Forecast`.

    ``numbers`` ``[N, 4 + K + 2 E]`` repeats mean, median, lower and upper bound, path and weights in the order of the
    document, if the forecasts have all of them (a path only if the model has one); else it is None. With ``numbers``,
    all forecasts with the same ``model`` object have the same members and lead times. ``path_kw`` ``[N, K]`` is None
    for a model with one lead time, ``shares`` for a single model, and ``replacements`` if nothing was replaced.
    ``uncontrolled_kw`` and ``planned_kw`` are None if no device has a plan; so are the values of a device without a
    plan. ``parts`` are the forecasts by horizon if the devices of the batch have several horizons: then ``model`` is
    the model of the first, and ``path_kw`` and ``shares`` are None. Treat as immutable; it is not frozen because that
    doubles the time to create it, and every reading that arrives alone creates one.
    """

    model: ModelIdentity
    issued_at_ms: int
    devices: list[str]
    observed_minutes: list[int]
    n_observed: list[int]
    gap_kw: list[float]
    median_kw: list[float] | None = None
    lower_kw: list[float] | None = None
    upper_kw: list[float] | None = None
    path_kw: F64 | None = None
    shares: EnsembleWeights | None = None
    replacements: ForecastReplacements | None = None
    uncontrolled_kw: list[float | None] | None = None
    planned_kw: list[float | None] | None = None
    parts: HorizonParts | None = None
    numbers: F64 | None = None

    def __len__(self) -> int:
        """Return the number of forecasts."""
        return len(self.devices)

    def by_horizon(self) -> Sequence[tuple[Sequence[int], Forecasts]]:
        """Return the forecasts of each horizon, with their indices; a single entry for a single horizon."""
        return ((range(len(self)), self),) if self.parts is None else self.parts.parts

    def __getitem__(self, i: int) -> Forecast:
        """Return the ``i``-th forecast as a :class:`Forecast`."""
        if self.parts is not None:
            part, at = self.parts.order[i]
            return self.parts.parts[part][1][at]
        experts, median_experts = (None, None) if self.shares is None else self.shares.by_member(i)
        return Forecast(
            device=self.devices[i],
            observed_minute=self.observed_minutes[i],
            horizon_min=self.model.lead_times_min[-1],
            gap_kw=self.gap_kw[i],
            median_kw=None if self.median_kw is None else self.median_kw[i],
            lower_kw=None if self.lower_kw is None else self.lower_kw[i],
            upper_kw=None if self.upper_kw is None else self.upper_kw[i],
            model=self.model.name,
            model_version=self.model.version,
            n_observed=self.n_observed[i],
            context=self.model.spec.context,
            issued_at_ms=self.issued_at_ms,
            path_kw=None if self.path_kw is None else tuple(self.path_kw[i].tolist()),
            experts=experts,
            median_experts=median_experts,
            uncontrolled_kw=None if self.uncontrolled_kw is None else self.uncontrolled_kw[i],
            planned_kw=None if self.planned_kw is None else self.planned_kw[i],
        )

    def __iter__(self) -> Iterator[Forecast]:
        """Iterate over the forecasts, in order."""
        return (self[i] for i in range(len(self)))


def join_forecasts(parts: Sequence[Forecasts]) -> Forecasts:
    """Return the forecasts of all ``parts``, at least one, in order; all have one model and one time of issue."""
    first = parts[0]

    def column(name: str) -> Any:
        return None if getattr(first, name) is None else [value for part in parts for value in getattr(part, name)]

    def sparse_column(name: str) -> list[float | None] | None:
        if all(getattr(part, name) is None for part in parts):
            return None
        return [value for part in parts for value in getattr(part, name) or [None] * len(part)]

    shares = None
    if first.shares is not None:
        weights = np.concatenate([part.shares.weights for part in parts if part.shares is not None])
        shares = EnsembleWeights(first.shares.names, weights)
    paths_kw = [part.path_kw for part in parts if part.path_kw is not None]
    path_kw = np.concatenate(paths_kw) if paths_kw else None
    replacements = ForecastReplacements.joined([part.replacements for part in parts if part.replacements is not None])
    columns = {name: column(name) for name in _COLUMNS} | {name: sparse_column(name) for name in _SPARSE_COLUMNS}
    return replace(first, path_kw=path_kw, shares=shares, replacements=replacements, numbers=None, **columns)
