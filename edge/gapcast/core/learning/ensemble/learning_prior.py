"""The prior of a new device's learning state, fitted to many houses: its online model, and the learned tables.

A table that a device learns entry by entry starts from the mean of many houses, if houses have something in common: how
soon a load's step is undone, and which offsets of mean and median remain when an appliance cycles. The entries start
with an outcome count of zero, so that a device's own first outcomes move them as without a prior (an empirical Bayes
prior, as :mod:`~gapcast.core.learning.online_model.rls_prior` is for coefficients).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.errors import StateError
from gapcast.core.learning.ensemble import mean_correction, median_calibration
from gapcast.core.learning.online_model import phase_table
from gapcast.core.learning.online_model.rls_prior import RlsPrior

#: Tables of offsets, stored with the number of outcomes of each entry.
CORRECTIONS = (mean_correction.STATE, median_calibration.STATE)
#: The tables of a prior.
TABLES = (phase_table.SHARES, *CORRECTIONS)


@dataclass(frozen=True, slots=True)
class LearningPrior:
    """The prior ``rls`` of the online model, and ``tables`` by the names of :data:`TABLES`.

    The tables are shares of the phase table ``[cells]``, and offsets of the mean ``[knots, L, L]`` and of the median
    ``[knots]``, in units of the device's scale. Raises :class:`~gapcast.core.errors.StateError` if a table is missing,
    has another shape or a value that is not finite, or if a share is out of range.
    """

    rls: RlsPrior
    tables: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        """Check the tables."""
        expected = {name: table.shape for name, table in no_tables().items()}
        found = {name: table.shape for name, table in self.tables.items()}
        if found != expected or not all(np.isfinite(table).all() for table in self.tables.values()):
            msg = f"the prior has tables of shapes {found}, not {expected}, or they are not finite"
            raise StateError(msg)
        shares = self.tables[phase_table.SHARES]
        if shares.min() < 0 or shares.max() > phase_table.WHOLE:
            msg = f"the prior has shares from {shares.min():g} to {shares.max():g}, not 0 to {phase_table.WHOLE:g}"
            raise StateError(msg)

    def apply(
        self, initial: Mapping[str, NDArray[Any]], names: Sequence[str], horizon_min: int
    ) -> dict[str, NDArray[Any]]:
        """Return the state ``initial`` of a new device, changed to start from the prior.

        The online model of the device has the columns ``names``. Returns ``initial`` unchanged if ``names`` lack a
        column of the prior, or the horizon differs.
        """
        state = dict(initial)
        if not self.rls.fits(names, horizon_min):
            return state
        state |= self.rls.apply({name: state[name] for name in ("coefficients", "covariance")}, names, horizon_min)
        state[phase_table.SHARES] = self.tables[phase_table.SHARES].astype(np.int16)
        for name in CORRECTIONS:
            offsets = self.tables[name].astype(np.float32)
            state[name] = np.stack((offsets, np.zeros_like(offsets)))
        return state


def no_tables() -> dict[str, NDArray[Any]]:
    """Return tables without effect."""
    return {
        phase_table.SHARES: phase_table.initial_state()[phase_table.SHARES],
        mean_correction.STATE: mean_correction.initial_state()[0],
        median_calibration.STATE: median_calibration.initial_state()[0],
    }
