"""A house whose load cycles, on and off for some minutes each, which trees learn and persistence does not know."""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.refit.minutes import RecordedMinutes
from tests.support.houses import FIRST


def cycling_kw(n: int, seed: int = 1) -> F32:
    """Return ``n`` minutes, kW: a compressor of 2 kW, about 8 minutes on and 14 off, on a base that fluctuates."""
    generator = np.random.default_rng(seed)
    phases = generator.integers((7, 13), (10, 16), size=(n // 15, 2))
    is_on = np.repeat(np.tile([1.0, 0.0], len(phases)), phases.ravel())[:n]
    gap_kw: F32 = (0.2 + 2 * is_on + 0.02 * generator.standard_normal(n)).astype(np.float32)
    return gap_kw.round(3)


def submetered_house(n: int, seed: int = 1) -> RecordedMinutes:
    """Return the readings of such a house with a heater of 3 kW, which follows its thermostat by five minutes.

    ``thermostat`` is the power of the thermostat's relay; the heater's power is not measured separately. ``idle`` is a
    submeter that never sent anything.
    """
    relay_kw = np.repeat(np.random.default_rng(seed).choice([0.0, 0.1], size=n // 7 + 2), 7)[: n + 5]
    gap_kw = cycling_kw(n, seed) + 30 * relay_kw[:n]
    unknown = np.full(n, np.nan, dtype=np.float32)
    submeters_kw = {"thermostat": relay_kw[5:].astype(np.float32), "idle": unknown}
    is_filled = np.zeros(n, dtype=bool)
    return RecordedMinutes(np.arange(FIRST, FIRST + n), gap_kw.astype(np.float32), is_filled, submeters_kw)


def cycling_house(n: int, seed: int = 1) -> RecordedMinutes:
    """Return the readings of such a house, none of them filled."""
    return RecordedMinutes(np.arange(FIRST, FIRST + n), cycling_kw(n, seed), np.zeros(n, dtype=bool))
