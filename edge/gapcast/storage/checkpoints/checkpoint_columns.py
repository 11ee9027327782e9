"""The arrays of a checkpoint: a snapshot of the engine's state as named columns, with a JSON part beside them.

The array ``about`` is the JSON part (:class:`.CheckpointHeader`); the others are the columns of :class:`Snapshot`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.readings.state_limits import is_plausible_meter
from gapcast.core.snapshots.horizon_state import LEARNING_PREFIX
from gapcast.core.snapshots.snapshot import Snapshot
from gapcast.core.windows.window import WindowSpec
from gapcast.storage.checkpoints.checkpoint_header import CheckpointHeader
from gapcast.storage.journals.journal import VERSION
from gapcast.text.json_input import decode_json

_ABOUT = "about"
_COLUMNS: dict[str, type[np.generic]] = {
    "values": np.float32,
    "observed": np.uint8,
    "last_minute": np.int64,
    "n_seen": np.int32,
    "latest_kw": np.float32,
    "latest_when": np.int64,
    "latest_n_observed": np.int32,
}
#: Columns that earlier versions did not have, listed in ``more``: weights, filled minutes, and columns with these
#: prefixes, by field: learning state, the quarter-hours of a week and others.
_SHARES, _FILLED = "latest_shares", "filled"
_WITH_PREFIX = {LEARNING_PREFIX: "learning_state"} | {
    name: name for name in ("scores", "drift", "week", "outlook", "demand", "horizons")
}


def arrays_of(snapshot: Snapshot) -> dict[str, NDArray[Any]]:
    """Return the arrays of ``snapshot`` by name; its columns are not copied."""
    more: dict[str, Any] = {_SHARES: snapshot.latest_shares}
    if snapshot.filled is not None:
        more[_FILLED] = snapshot.filled
    for part, field in _WITH_PREFIX.items():
        more |= {f"{part}/{name}": column for name, column in getattr(snapshot, field).items()}
    about = CheckpointHeader(
        version=VERSION,
        context=snapshot.spec.context,
        padding=snapshot.spec.padding,
        channels=snapshot.channels,
        model=snapshot.model,
        devices=snapshot.devices,
        held=snapshot.held,
        late_runs=snapshot.late_runs,
        meters=snapshot.meters,
        time_zone=snapshot.time_zone,
        filled_ms={one.topic: one.open_minute.filled_ms for one in snapshot.meters if one.open_minute.filled_ms},
        more=list(more),
        submeters=dict(snapshot.submeters),
        plans=snapshot.plans,
        latest_planned=snapshot.latest_planned,
        imported=snapshot.imported,
    )
    header = np.frombuffer(about.model_dump_json().encode(), dtype=np.uint8)
    return {_ABOUT: header, **{name: getattr(snapshot, name) for name in _COLUMNS}, **more}


def version_of(arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Return the version that wrote ``arrays``; raise the errors of an invalid JSON part."""
    return decode_json(arrays[_ABOUT].tobytes())["version"]


def snapshot_of(arrays: Mapping[str, NDArray[Any]]) -> Snapshot:
    """Return the snapshot of ``arrays``, whose shapes are not checked; implausible meters are left out.

    Raises KeyError, TypeError and ValueError if an array is missing or of another type, or the JSON part is invalid.
    """
    about = CheckpointHeader.model_validate_json(arrays[_ABOUT].tobytes())
    columns: dict[str, Any] = {name: arrays[name].astype(kind, casting="equiv") for name, kind in _COLUMNS.items()}
    more = {name: arrays[name] for name in about.more}
    for part, field in _WITH_PREFIX.items():
        columns[field] = {n.removeprefix(f"{part}/"): column for n, column in more.items() if n.startswith(f"{part}/")}
    return Snapshot(
        spec=WindowSpec(about.context, about.padding),
        channels=about.channels,
        model=about.model,
        devices=about.devices,
        held=about.held,
        late_runs=about.late_runs,
        latest_shares=more.get(_SHARES, np.zeros((len(about.devices), 0), dtype=np.float32)),
        meters=[meter for meter in map(about.with_filled, about.meters) if is_plausible_meter(meter)],
        filled=more[_FILLED].astype(np.uint8, casting="equiv") if _FILLED in more else None,
        time_zone=about.time_zone,
        submeters=about.submeters,
        plans=about.plans,
        latest_planned=about.latest_planned,
        imported=about.imported,
        **columns,
    )
