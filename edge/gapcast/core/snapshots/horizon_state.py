"""The state of devices with a horizon of their own as columns: captured from one engine, restored into another.

The names of columns begin with the horizon: ``15/learnt/memory``. Such columns hold only the devices of that horizon;
``15/places`` holds their indices among all devices of the snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import are_distinct
from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.horizons.horizon_forecaster import HorizonForecaster
from gapcast.core.learning.ensemble import learning_state
from gapcast.core.learning.submeters import submetered_state
from gapcast.core.outlook import stored_state

#: The horizon of each device, minutes ``[N]``.
OF_DEVICES = "of_devices"
_PLACES, _SIGNATURE = "places", "signature"
#: Prefix of the names of columns with learning state; it is stored, and cannot change.
LEARNING_PREFIX = "learnt"
#: Columns with indices of devices, among the devices captured together.
_TRACKED = {
    LEARNING_PREFIX: (learning_state.TRACKED, submetered_state.TRACKED),
    "outlook": (stored_state.TRACKED,),
}
_LATEST = ("kw", "when", "n_observed", "shares")

Columns = Mapping[str, NDArray[Any]]


class ForecasterColumns(NamedTuple):
    """The state of one forecaster, as columns of N devices: the newest forecasts, and the learned state.

    ``learning_state``, ``scores``, ``drift`` and ``outlook`` are the ``columns`` of its parts, empty without them.
    Scores and drift of the main horizon are those of its first devices, without the untracked ones.
    """

    latest: dict[str, NDArray[Any]]
    learning_state: dict[str, NDArray[Any]]
    scores: dict[str, NDArray[Any]]
    drift: dict[str, NDArray[Any]]
    outlook: dict[str, NDArray[Any]]

    @classmethod
    def from_forecaster(
        cls, forecaster: HorizonForecaster, rows: list[int], scored_rows: list[int], *, copies: bool = True
    ) -> ForecasterColumns:
        """Return the state of ``rows``, with scores and drift of ``scored_rows``.

        Unless ``copies``, columns may be views.
        """
        one = forecaster
        return cls(
            dict(zip(_LATEST, one.newest.columns(rows), strict=True)),
            {} if one.ensemble is None else one.ensemble.columns(rows, copies=copies),
            one.scores.columns(scored_rows, copies=copies),
            one.drift.columns(scored_rows),
            {} if one.outlooks is None else one.outlooks.columns(rows, copies=copies),
        )


#: Prefixes of the names of each field's columns.
_PARTS = tuple(LEARNING_PREFIX if field == "learning_state" else field for field in ForecasterColumns._fields)


class StoredHorizon(NamedTuple):
    """The stored state of one horizon. ``places`` are the indices of its devices."""

    horizon_min: int
    places: NDArray[np.int64]
    signature: str
    columns: ForecasterColumns


def forecaster_signature(forecaster: HorizonForecaster) -> str:
    """Return the key of the stored forecasts' validity: the model, its lead times and ensemble members."""
    members = "" if forecaster.ensemble is None else f" of {','.join(forecaster.ensemble.members)}"
    return f"{model_signature(forecaster)}{members}"


def model_signature(forecaster: HorizonForecaster) -> str:
    """Return the name, version and published lead times of the primary model."""
    model = forecaster.published_model
    lead_times_published = model.lead_times_min if forecaster.has_path else model.lead_times_min[-1:]
    return f"{model.name} {model.version} {','.join(map(str, lead_times_published))}"


def horizon_columns(engine: Engine, devices: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return a copy of the state of the ``devices`` that have a horizon of their own, and the horizons of all."""
    horizons_min = [engine.forecaster_of(device).horizon_min for device in devices]
    columns: dict[str, NDArray[Any]] = {OF_DEVICES: np.array(horizons_min, dtype=np.int64)}
    for horizon_min, one in engine.horizons.others.items():
        places = [i for i, device in enumerate(devices) if engine.horizons.own_min.get(device) == horizon_min]
        rows = [engine.buffers.row(devices[i]) for i in places]
        at = np.array(places, dtype=np.int64)
        columns[f"{horizon_min}/{_PLACES}"] = at
        columns[f"{horizon_min}/{_SIGNATURE}"] = np.array([forecaster_signature(one)])
        for part, found in zip(_PARTS, ForecasterColumns.from_forecaster(one, rows, rows), strict=True):
            for name, column in found.items():
                is_index = name in _TRACKED.get(part, ())
                columns[f"{horizon_min}/{part}/{name}"] = at[column] if is_index else column
    return columns


def stored_horizons(columns: Columns, n_devices: int) -> Iterator[StoredHorizon]:
    """Yield the state of each horizon in ``columns`` of ``n_devices``; raise :class:`StateError` if it is damaged."""
    for name in columns:
        horizon, _, part = name.partition("/")
        if part != _PLACES:
            continue
        places = columns[name]
        is_index = places.ndim == 1 and places.dtype.kind == "i" and are_distinct(places)
        if not horizon.isdecimal() or not is_index or not ((places >= 0) & (places < n_devices)).all():
            msg = f"the stored state of the horizon {horizon!r} names a device twice, or one that does not exist"
            raise StateError(msg)
        signature = columns.get(f"{horizon}/{_SIGNATURE}", np.array([""]))
        yield StoredHorizon(
            int(horizon),
            places,
            str(signature.flat[0]) if signature.size else "",
            ForecasterColumns(*(_with_prefix(columns, f"{horizon}/{part}/") for part in _PARTS)),
        )


def horizons_of_devices(columns: Columns, n_devices: int) -> list[int] | None:
    """Return the horizon of each of ``n_devices``, minutes; None if ``columns`` do not contain it."""
    found = columns.get(OF_DEVICES)
    return None if found is None or found.shape != (n_devices,) or found.dtype.kind != "i" else found.tolist()


def expanded(initial: Columns, columns: Columns, places: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return the columns ``initial`` of all devices, with ``columns`` written to the devices at ``places``.

    A column that ``initial`` does not have, or that has another shape or type, is ignored.
    """
    whole = dict(initial)
    for name, column in columns.items():
        whole_column = whole.get(name)
        if whole_column is None or column.dtype != whole_column.dtype:
            continue
        if column.shape == (len(places), *whole_column.shape[1:]):
            kept = places < len(whole_column)
            whole_column[places[kept]] = column[kept]
    return whole


def restore_newest(
    forecaster: HorizonForecaster, stored: StoredHorizon, n_devices: int, planned: Mapping[int, tuple[float, float]]
) -> None:
    """Restore the newest forecasts of one horizon, if they are valid for ``forecaster``.

    ``planned`` are the planned powers of devices of all horizons, as in
    :attr:`~gapcast.core.forecasts.newest_forecast_columns.NewestForecastColumns.planned`.
    """
    if stored.signature != forecaster_signature(forecaster) or stored.columns.latest.keys() != {*_LATEST}:
        return
    initial: Columns = dict(zip(_LATEST, forecaster.newest.columns([*range(n_devices)]), strict=True))
    whole = expanded(initial, stored.columns.latest, stored.places)
    forecaster.newest.restore_columns(*(whole[name] for name in _LATEST))
    forecaster.newest.planned = {row: planned[row] for row in stored.places.tolist() if row in planned}


def _with_prefix(columns: Columns, prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): column for name, column in columns.items() if name.startswith(prefix)}
