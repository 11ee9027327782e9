"""The options of the ensemble."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EnsembleOptions:
    """How the ensemble combines and learns.

    ``combines``: publish the weighted combination of all members, else only the first model. ``learns``: include an RLS
    model per device. ``refits``: if it learns, also include the forest of each device from the nightly refit.
    ``calibrates``: calibrate the bounds with the device's own hits and misses. ``max_devices`` is the number of tracked
    devices; untracked devices get the forecasts of a new device. ``forgetting`` is the factor by which an outcome's
    weight decays per outcome. No bound is below ``min_kw``, nor below 0 for a house that has never exported. Readings
    are within ``min_kw`` to ``max_kw``. ``n_submeters`` is the largest number of submeters of any device; if it is not
    0 and the ensemble learns, the member ``submetered`` learns from the submeters.
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
