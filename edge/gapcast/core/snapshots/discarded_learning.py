"""Detects learned state of a snapshot that is not used, because fewer devices are tracked or less is learned now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from numpy.typing import NDArray

from gapcast.core.documents.message_format import counted
from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.forecasts.outcomes import LEARNED, SUBMETERED
from gapcast.core.learning.ensemble.ensemble_state import N_OUTCOMES
from gapcast.core.learning.ensemble.learning_state import MEMBERS, SEEN, TRACKED, horizon_of
from gapcast.core.learning.submeters import submetered_state
from gapcast.core.snapshots.horizon_state import stored_horizons
from gapcast.core.snapshots.snapshot import Snapshot

#: The columns of the learning state that :func:`discarded_learning` needs, besides those of all devices.
NEEDED_COLUMNS = frozenset({TRACKED, SEEN, submetered_state.TRACKED})


def discarded_learning(engine: Engine, snapshot: Snapshot) -> dict[str, str]:
    """Return the devices with learned state in ``snapshot`` that ``engine``, restored from it, does not use, and why.

    Devices with another horizon now are left out. Damaged columns have no result.
    """
    reasons: dict[str, str] = {}
    with suppress(StateError, ValueError, LookupError, TypeError):
        stored = [snapshot.learning_state]
        stored += [one.columns.learning_state for one in stored_horizons(snapshot.horizons, len(snapshot.devices))]
        for columns in filter(None, stored):
            reasons.update(_reasons(engine, snapshot.devices, columns))
    return reasons


def _reasons(engine: Engine, devices: list[str], columns: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, str]]:
    has_outcomes = columns[SEEN][:, N_OUTCOMES] > 0
    had_model = LEARNED in columns[MEMBERS].tolist()
    with_submeters = set(columns[submetered_state.TRACKED].tolist() if submetered_state.TRACKED in columns else ())
    n_most = engine.buffers.max_devices
    for place in columns[TRACKED][has_outcomes].tolist():
        device = devices[place]
        if place >= n_most:
            yield device, f"the limit is {counted(n_most, 'device')} now (devices.max)"
        elif device in engine.buffers and engine.forecaster_of(device).horizon_min == horizon_of(columns):
            reason = _reason(engine, device, had_model=had_model, had_submeters=place in with_submeters)
            if reason:
                yield device, reason


def _reason(engine: Engine, device: str, *, had_model: bool, had_submeters: bool) -> str:
    """Return why the learned state of ``device`` is not used; empty if it is."""
    forecaster, row = engine.forecaster_of(device), engine.buffers.row(device)
    ensemble, n_tracked = forecaster.ensemble, forecaster.n_tracked
    if ensemble is None or row >= n_tracked:
        return f"the limit is {counted(n_tracked, 'tracked device')} now (learning.max_devices)"
    if had_model and LEARNED not in ensemble.members:
        return "the online model is switched off (forecast.learn, forecast.blend)"
    if had_submeters and (ensemble.submetered is None or not ensemble.submetered.has_state(row)):
        causes = "submeters, or members of the ensemble, have changed, or the stored values are damaged"
        return f"{causes}: what {SUBMETERED} learned of the loads is not used"
    return ""
