"""How forecasts are blended, and what is learnt."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EnsembleOptions:
    """How to blend and learn.

    ``blends``: tell the mixture of all experts, else the first model alone. ``learns``: have an expert that learns
    the house. ``calibrates``: correct the bounds by the device's own hits and misses. ``max_devices`` are followed;
    those beyond are told what a new device is. ``forgetting`` is what an outcome's weight keeps from one minute to
    the next. No bound is below ``min_kw``, nor below 0 where a house has never fed in. Readings are within ``min_kw``
    to ``max_kw``.
    """

    combines: bool = True
    learns: bool = True
    calibrates: bool = True
    max_devices: int = 2_000
    forgetting: float = 0.99999
    min_kw: float = -100.0
    max_kw: float = 100.0
