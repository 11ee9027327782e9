"""Restores the learned state of a forecaster from stored columns; rows that are out of range are discarded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.errors import StateError
from gapcast.core.horizons.horizon_forecaster import HorizonForecaster
from gapcast.core.learning.ensemble.learning_state import OF_ALL_DEVICES, TRACKED
from gapcast.core.learning.submeters.submetered_state import PREFIX
from gapcast.core.outlook.stored_state import SIGNATURE, implausible_outlooks
from gapcast.core.snapshots.horizon_state import Columns
from gapcast.core.snapshots.snapshot_checks import implausible_learning, implausible_sums


def restore_learning(
    forecaster: HorizonForecaster,
    n_devices: int,
    learning_state: dict[str, NDArray[Any]],
    scores: Columns,
    drift: Columns,
    *,
    releases: bool = False,
) -> str:
    """Restore learning state, scores and drift; return a description of the discarded state, empty without any.

    ``releases``: remove columns of the learning state from ``learning_state`` as soon as they are restored.
    """
    if forecaster.ensemble is None:
        return ""
    n_bad = 0
    try:
        if learning_state and TRACKED in learning_state:
            tracked = learning_state[TRACKED]
            bad = implausible_learning(learning_state)
            n_bad = int(bad.sum())
            sound = ~bad & (tracked < n_devices)
            if not sound.all():
                by_row = {name for name in learning_state if name not in OF_ALL_DEVICES and not name.startswith(PREFIX)}
                learning_state = {
                    name: column[sound] if name in by_row else column for name, column in learning_state.items()
                }
        forecaster.ensemble.restore_columns(n_devices, learning_state, releases=releases)
        for columns, scorer, of_drift in ((scores, forecaster.scores, False), (drift, forecaster.drift, True)):
            if columns:
                scorer.restore_columns(columns)
                bad_rows = np.flatnonzero(implausible_sums(columns, of_drift=of_drift))
                n_bad += len(bad_rows)
                for row in bad_rows.tolist():
                    scorer.forget(row)
    except (StateError, ValueError, IndexError, TypeError) as error:
        return str(error)
    return f"{n_bad} rows of learned values or scores are out of range" if n_bad else ""


def restore_outlooks(
    forecaster: HorizonForecaster, n_devices: int, columns: dict[str, NDArray[Any]], *, releases: bool = False
) -> str:
    """Restore the learned state of outlooks; return a description of the discarded state, empty without any.

    ``releases``: remove ``columns`` as soon as they are restored.
    """
    if forecaster.outlooks is None or not columns:
        return ""
    n_bad = 0
    try:
        bad = implausible_outlooks(columns)
        n_bad = int(bad.sum())
        if n_bad:
            sound = {name: column if name == SIGNATURE else column[~bad] for name, column in columns.items()}
            if releases:
                columns.clear()
            columns = sound
        forecaster.outlooks.restore_columns(n_devices, columns if releases else dict(columns))
    except (StateError, ValueError, IndexError, TypeError) as error:
        return str(error)
    return f"{n_bad} rows of learned outlooks are out of range" if n_bad else ""
