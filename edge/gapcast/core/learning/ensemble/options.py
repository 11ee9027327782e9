"""The options of the ensemble."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EnsembleOptions:
    """How to combine and learn.

    ``combines``: publish the weighted combination of all members, else the first model alone. ``learns``: include an
    RLS model per device; ``refits``: and, if it learns, the forest of each device that the nightly refit fitted.
    ``calibrates``: calibrate the bounds by the device's own hits and misses. ``max_devices`` are
    tracked; untracked devices get the forecasts of a new device. ``forgetting`` is the factor by which an outcome's
    weight decays per outcome. No bound is below ``min_kw``, nor below 0 if a house has never fed in. Readings are
    within ``min_kw`` to ``max_kw``. ``n_submeters`` is the largest number of submeters of any device; with them, and if
    the ensemble learns, the member ``submetered`` learns from them.
    """

    combines: bool = True
    learns: bool = True
    refits: bool = False
    calibrates: bool = True
    max_devices: int = 1_500
    forgetting: float = 0.99999
    min_kw: float = -100.0
    max_kw: float = 100.0
    n_submeters: int = 0
