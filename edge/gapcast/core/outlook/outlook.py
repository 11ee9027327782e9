"""A single outlook, and the outlooks of a batch as columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gapcast.core.arrays.array_types import F64
from gapcast.core.arrays.device_rows import RowIndex
from gapcast.core.models.predictor import ModelIdentity

#: Number of columns of the powers of an outlook.
N_COLUMNS = 4
MEAN, LOWER, MEDIAN, UPPER = range(N_COLUMNS)
#: The columns of mean and median, and the columns of the bounds.
CENTRES, BOUNDS = slice(MEAN, UPPER, MEDIAN - MEAN), slice(LOWER, None, UPPER - LOWER)


@dataclass(frozen=True, slots=True)
class Outlook:
    """The outlook of one device from ``observed_minute`` on. Power in kW, minutes since the epoch.

    ``point_kw`` ``[K, 4]`` forecasts the single minute at each of the K ``lead_times_min``, ``mean_kw`` ``[K, 4]`` the
    mean of all minutes from the next one to that lead time. The four columns are the mean, the lower bound, the median
    and the upper bound of the 90 % interval: :data:`MEAN`, :data:`LOWER`, :data:`MEDIAN` and :data:`UPPER`.
    """

    device: str | None
    observed_minute: int
    issued_at_ms: int
    model: str
    model_version: str
    lead_times_min: tuple[int, ...]
    point_kw: F64
    mean_kw: F64


@dataclass(frozen=True, slots=True)
class ModelMeans:
    """Forecasts of N means from the next minute to each of K lead times, kW, from which demands are computed.

    ``quantiles_kw`` ``[N, K, Q]`` are the model's own, at its levels and without planned loads; those of devices with
    submeters are moved to the published median. Powers computed from them are at least ``floor_kw`` ``[N]``.
    """

    quantiles_kw: F64
    floor_kw: F64

    def select(self, which: RowIndex) -> ModelMeans:
        """Return the means of the selected windows."""
        return ModelMeans(self.quantiles_kw[which], self.floor_kw[which])


@dataclass(frozen=True, slots=True)
class Outlooks:
    """The outlooks of N windows, of many devices: each row holds the fields of an :class:`Outlook`.

    ``point_kw`` and ``mean_kw`` are ``[N, K, 4]``; ``devices`` and ``observed_minutes`` have N entries. ``model_means``
    are the means behind the outlooks, None if unknown.
    """

    model: ModelIdentity
    issued_at_ms: int
    devices: list[str]
    observed_minutes: list[int]
    point_kw: F64
    mean_kw: F64
    model_means: ModelMeans | None = None

    @property
    def lead_times_min(self) -> tuple[int, ...]:
        """The K lead times, rising."""
        return self.model.lead_times_min

    def __len__(self) -> int:
        """Return the number of outlooks."""
        return len(self.devices)

    def __getitem__(self, i: int) -> Outlook:
        """Return the ``i``-th outlook as an :class:`Outlook`."""
        return Outlook(
            device=self.devices[i],
            observed_minute=self.observed_minutes[i],
            issued_at_ms=self.issued_at_ms,
            model=self.model.name,
            model_version=self.model.version,
            lead_times_min=self.model.lead_times_min,
            point_kw=self.point_kw[i],
            mean_kw=self.mean_kw[i],
        )

    def __iter__(self) -> Iterator[Outlook]:
        """Iterate over the outlooks, in order."""
        return (self[i] for i in range(len(self)))
