"""Forecasts: one, and many at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge.core.grid import instant_label, minute_label
from edge.core.predictor import Predictor

#: Version of the forecast's schema, ``v`` in its document.
FORECAST_SCHEMA = 1
#: Level of the interval that forecasts carry, and the quantiles that bound it.
LEVEL = 0.9
LOWER, MEDIAN, UPPER = 0.05, 0.5, 0.95
#: Decimals of a forecast's powers, kW: a milliwatt, below any model's own precision.
DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one device will draw at ``target_minute``. Power in kW, minutes since the epoch.

    ``gap_kw`` is the mean; ``median_kw`` and the bounds of the ``level`` interval are None where the
    model has no quantiles. ``path_kw`` holds the mean for each lead time where the model speaks for
    several, else None; its last is ``gap_kw``. ``n_observed`` counts real readings among the window's
    ``context`` minutes.
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

    @property
    def target_minute(self) -> int:
        """The minute that it speaks of."""
        return self.observed_minute + self.horizon_min

    @property
    def level(self) -> float | None:
        """Level of the interval, or None without one."""
        return None if self.lower_kw is None or self.upper_kw is None else LEVEL

    def document(self) -> dict[str, str | int | float | list[float] | None]:
        """Return the forecast as users get it, over MQTT as over REST."""
        document: dict[str, str | int | float | list[float] | None] = {
            "v": FORECAST_SCHEMA,
            "device": self.device,
            "observed_at": minute_label(self.observed_minute),
            "target_at": minute_label(self.target_minute),
            "issued_at": instant_label(self.issued_at_ms),
            "horizon_min": self.horizon_min,
            "gap_kw": self.gap_kw,
            "median_kw": self.median_kw,
            "lower_kw": self.lower_kw,
            "upper_kw": self.upper_kw,
            "level": self.level,
            "model": self.model,
            "model_version": self.model_version,
            "n_observed": self.n_observed,
            "context": self.context,
        }
        if self.path_kw is not None:
            document["path"] = list(self.path_kw)
        return document


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Forecasts of one batch, as columns of equal length: what :class:`Forecast` holds, of many devices.

    ``path_kw`` ``[N, K]`` is there where the model has several lead times.
    """

    model: Predictor
    issued_at_ms: int
    devices: list[str]
    observed_minutes: list[int]
    n_observed: list[int]
    gap_kw: list[float]
    median_kw: list[float] | None = None
    lower_kw: list[float] | None = None
    upper_kw: list[float] | None = None
    path_kw: list[list[float]] | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.devices)

    def __getitem__(self, i: int) -> Forecast:
        """Return the ``i``-th as a :class:`Forecast`."""
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
            path_kw=None if self.path_kw is None else tuple(self.path_kw[i]),
        )

    def __iter__(self) -> Iterator[Forecast]:
        """Go through them one by one."""
        return (self[i] for i in range(len(self)))
