"""Moves the state of one engine to its replacement, with the same devices in the same rows.

State that is indexed by row elsewhere (online state, learning state) stays valid.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.horizons.horizon_forecaster import HorizonForecaster
from gapcast.core.learning.ensemble import learning_state
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.submeters.submetered_state import TRACKED
from gapcast.core.snapshots.horizon_state import forecaster_signature, model_signature

#: Number of rows copied at a time, so that intermediate arrays stay in the processor's cache.
_CHUNK = 64
#: Prefix of placeholders for rows without a device; not a valid device name.
_PLACEHOLDER = "\n"


def reserve_rows(after: Engine, n_rows: int) -> None:
    """Allocate learning state for ``n_rows`` devices, so that :func:`transfer_state` need not wait for it."""
    for forecaster in after.horizons.all:
        ensemble = forecaster.ensemble
        if ensemble is not None:
            ensemble.state.grow(min(n_rows, ensemble.options.max_devices) + 1)


def transfer_state(before: Engine, after: Engine) -> None:
    """Move the state of ``before`` to ``after``, which must be new; ``before`` must not be used afterwards.

    If the context or padding differs, each window is cut, or padded again from its oldest reading; if the published
    model differs, or a member of its ensemble is missing, the newest forecasts are discarded. The quarter-hours of a
    week move to an engine that takes them. Learning state continues for the ensemble members that both engines have;
    for another horizon it starts again, and so do scores, drift detection and history. The learned state of outlooks
    continues for the same outlook model and lead times, billing windows and their limits for the same options. Raises
    :class:`StateError`, with ``before`` unchanged, if ``after`` takes other measured features.
    """
    old_channels, new_channels = before.buffers.channels, after.buffers.channels
    if old_channels != new_channels:
        msg = (
            f"model {after.model.name} needs {', '.join(new_channels)} in each reading, but the previous model needs "
            f"{', '.join(old_channels)}: restart gapcast to switch to {after.model.name}"
        )
        raise StateError(msg)
    n_rows = before.buffers.n_rows
    for pair in _forecasters_of_both(before, after):
        _transfer_forecaster(*pair, n_rows)
    old, new = before.horizons, after.horizons
    if (old.main.horizon_min, old.own_min) == (new.main.horizon_min, new.own_min):
        after.history = before.history
    week, old_week = after.buffers.week, before.buffers.week
    if before.buffers.spec == after.buffers.spec:
        after.buffers = before.buffers
        after.buffers.set_counted_minutes(after.published_model.spec.context)
    else:
        _transfer_windows(before, after)
    after.buffers.week = week
    if week is not None:
        if old_week is not None:
            week.adopt(old_week)
        after.buffers.add_windows_to_week()
    after.plans.adopt(before.plans)
    after.demands.adopt(before.demands, after.buffers)


def _forecasters_of_both(before: Engine, after: Engine) -> Iterator[tuple[HorizonForecaster, HorizonForecaster]]:
    """Yield the main forecasters, and the forecasters of further horizons that both engines have."""
    yield before.horizons.main, after.horizons.main
    for horizon_min, old in before.horizons.others.items():
        if horizon_min in after.horizons.others:
            yield old, after.horizons.others[horizon_min]


def _transfer_forecaster(before: HorizonForecaster, after: HorizonForecaster, n_rows: int) -> None:
    """Move the newest forecasts, and the state learned from outcomes: learning state, scores and drift of a horizon."""
    if forecaster_signature(before) == forecaster_signature(after):
        after.newest = before.newest
    elif model_signature(before) == model_signature(after):
        after.newest.adopt(before.newest)
    if after.outlooks is not None and before.outlooks is not None:
        after.outlooks.adopt(before.outlooks)
    if before.horizon_min != after.horizon_min:
        return
    if after.ensemble is not None and before.ensemble is not None:
        _transfer_learning(before.ensemble, after.ensemble, n_rows)
    after.forests.adopt(before.forests)
    after.drift = before.drift
    if before.scores.members == after.scores.members:
        after.scores = before.scores
    else:
        after.scores.restore_columns(before.scores.columns(range(min(n_rows, after.n_tracked))))


def _transfer_learning(before: Ensemble, after: Ensemble, n_rows: int) -> None:
    """Move the learning state; if both ensembles have the same members and options, nothing is copied."""
    new, old = after.columns(()), before.columns(())
    if before.options == after.options and all(
        np.array_equal(new[name], old[name]) for name in (learning_state.MEMBERS, learning_state.COLUMNS)
    ):
        after.adopt(before)
    else:
        for first in range(0, n_rows, _CHUNK):
            columns = before.columns(range(first, min(first + _CHUNK, n_rows)))
            places = {name: columns[name] + first for name in (learning_state.TRACKED, TRACKED) if name in columns}
            after.restore_columns(n_rows, {**columns, **places})


def _transfer_windows(before: Engine, after: Engine) -> None:
    """Assign each device its old row, and cut or pad its window."""
    old, new = before.buffers, after.buffers
    placeholders = []
    for row, device in enumerate(old.names()):
        stream = new.add_device(device or f"{_PLACEHOLDER}{row}")
        if stream is None or not device:  # more rows than the limit of devices, or a forgotten device
            placeholders.append(f"{_PLACEHOLDER}{row}")
            continue
        old_stream = old.stream(device)
        stream.last_minute, stream.n_seen = old_stream.last_minute, old_stream.n_seen
        stream.held, stream.late_run, stream.filled = old_stream.held, old_stream.late_run, old_stream.filled
        new.fill_window(stream, old.window(device), old_stream.observed, same_spec=False)
    for placeholder in placeholders:
        new.forget(placeholder)
