"""One engine after another, in a stream that goes on: the next has the same devices in the same rows.

What stands beside the buffers by row (who is there, what was learnt) need not know that there is a new engine.
"""

from __future__ import annotations

import numpy as np

from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.learning import learning_state
from gapcast.core.learning.ensemble import Ensemble
from gapcast.core.snapshot import fill_window, forecast_signature

#: Rows that are copied at a time: what lies in between stays in the processor's cache.
_CHUNK = 64
#: No device's name.
_NO_ONE = "\n"


def reserve_rows(after: Engine, n_rows: int) -> None:
    """Have memory for what was learnt of ``n_rows`` devices, so that :func:`hand_over` need not wait for it."""
    ensemble = after.ensemble
    if ensemble is not None:
        ensemble.state.index(np.array([min(n_rows, ensemble.options.max_devices)]))


def transfer_state(before: Engine, after: Engine) -> None:
    """Put ``after``, which must be new, where ``before`` stands; that one must not be used any more.

    Where the window is another one, each is cut, or padded anew from its oldest reading on; where someone else speaks,
    the last forecasts are left out. What was learnt goes on for the experts that both have. Raises
    :class:`StateError`, and leaves ``before`` as it was, where the next one takes other measured features.
    """
    had, takes = before.buffers.channels, after.buffers.channels
    if had != takes:
        msg = (
            f"model {after.model.name} takes {', '.join(takes)} of each reading, and the one before it "
            f"{', '.join(had)}: restart gapcast to change to it"
        )
        raise StateError(msg)
    if after.ensemble is not None and before.ensemble is not None:
        _pass_on(before.ensemble, after.ensemble, before.buffers.n_rows)
    after.drift, after.history = before.drift, before.history
    if before.scores.experts == after.scores.experts:
        after.scores = before.scores
    else:
        after.scores.restore_columns(before.scores.columns(range(before.buffers.n_rows)))
    if forecast_signature(before) == forecast_signature(after):
        after.newest = before.newest
    if before.buffers.spec == after.buffers.spec:
        after.buffers = before.buffers
        after.buffers.set_counted_minutes(after.publisher.spec.context)
    else:
        _recut(before, after)


def _pass_on(before: Ensemble, after: Ensemble, n_rows: int) -> None:
    """Let ``after`` go on from what was learnt; where it is of the same form, there is nothing to copy."""
    ours, theirs = after.columns(()), before.columns(())
    if before.options == after.options and all(
        np.array_equal(ours[name], theirs[name]) for name in (learning_state.EXPERTS, learning_state.COLUMNS)
    ):
        after.state = before.state
    else:
        for first in range(0, n_rows, _CHUNK):
            columns = before.columns(range(first, min(first + _CHUNK, n_rows)))
            after.restore_columns(n_rows, {**columns, "followed": columns["followed"] + first})


def _recut(before: Engine, after: Engine) -> None:
    """Give each device the row that it had, and its window anew."""
    old, new = before.buffers, after.buffers
    gone = []
    for row, device in enumerate(old.names()):
        stream = new.add_device(device or f"{_NO_ONE}{row}")
        if stream is None or not device:  # there are no more rows than devices that may be
            gone.append(f"{_NO_ONE}{row}")
            continue
        was = old.stream(device)
        stream.last_minute, stream.n_seen = was.last_minute, was.n_seen
        stream.held, stream.late_run = was.held, was.late_run
        fill_window(stream, old.window(device), was.observed, new.spec, as_it_was=False)
    for placeholder in gone:
        new.forget(placeholder)
