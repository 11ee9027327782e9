"""The engine's state as columns: captured from one engine, restored into the next (:mod:`.snapshot_restoration`)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, I64
from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.plans.plan_tracker import TrackerState
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.samples import MeterState
from gapcast.core.readings.submeters import Submeters
from gapcast.core.snapshots.horizon_state import ForecasterColumns, forecaster_signature, horizon_columns
from gapcast.core.windows.window import MIN_OBSERVED, WindowSpec


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The streams of N devices, in the order of their rows, and their newest forecasts.

    ``values`` is ``[N, context, C]`` (oldest first, the units of ``channels``), ``observed`` ``[N, ceil(context / 8)]``
    the bits of :class:`~gapcast.core.streams.device_streams.Stream`, lowest first, as is ``filled`` (None: no filled
    minutes); ``last_minute`` and ``n_seen`` are ``[N]``. The ``latest_`` fields are
    :meth:`gapcast.core.forecasts.newest_forecast_columns.NewestForecastColumns.columns` of ``model``. ``held`` and
    ``late_runs`` are readings that are not accepted yet. ``learning_state``, ``scores`` and ``drift`` are the
    ``columns`` of :class:`~gapcast.core.learning.ensemble.ensemble.Ensemble`, and for the first devices, those that may
    be tracked, of :class:`~gapcast.core.learning.scores.scores.Scores` and
    :class:`~gapcast.core.learning.scores.drift.Drift`. ``meters`` are the meters with an open minute; ``time_zone`` is
    the zone of the engine (empty: unknown).
    ``submeters`` are the names of the submeters' channels. ``plans`` are the announced loads; ``latest_planned`` are
    the indices of devices whose newest forecast contains planned power, each with the mean without it and the planned
    power, kW. ``week`` are the ``columns`` of :class:`~gapcast.core.streams.week.WeekHistory`, empty without one;
    ``outlook`` the columns of :class:`~gapcast.core.outlook.outlook_forecaster.OutlookForecaster`, ``demand`` the
    columns of :class:`~gapcast.core.demand.demand_forecaster.DemandForecaster`. ``horizons`` is the state of devices
    with a horizon of their own (:mod:`.horizon_state`), empty without any. ``imported`` are the devices whose newest
    minute is the last of imported minutes. Unless ``is_copy``, columns are views of the engine's arrays: read them
    before the engine changes.
    """

    spec: WindowSpec
    channels: tuple[str, ...]
    model: str
    devices: list[str]
    values: F32
    observed: NDArray[np.uint8]
    last_minute: I64
    n_seen: NDArray[np.int32]
    held: list[Reading]
    late_runs: list[list[Reading]]
    latest_kw: F32
    latest_when: I64
    latest_n_observed: NDArray[np.int32]
    latest_shares: F32
    learning_state: dict[str, NDArray[Any]]
    scores: dict[str, NDArray[Any]]
    drift: dict[str, NDArray[Any]]
    meters: list[MeterState] = field(default_factory=list)
    time_zone: str = ""
    filled: NDArray[np.uint8] | None = None
    submeters: Submeters = field(default_factory=dict)
    plans: list[TrackerState] = field(default_factory=list)
    latest_planned: list[tuple[int, float, float]] = field(default_factory=list)
    week: dict[str, NDArray[Any]] = field(default_factory=dict)
    outlook: dict[str, NDArray[Any]] = field(default_factory=dict)
    demand: dict[str, NDArray[Any]] = field(default_factory=dict)
    horizons: dict[str, NDArray[Any]] = field(default_factory=dict)
    imported: list[str] = field(default_factory=list)
    is_copy: bool = True


def capture_snapshot(engine: Engine, meters: Sequence[MeterState] = (), *, copies: bool = True) -> Snapshot:
    """Return a copy of the state of ``engine`` and its ``meters``.

    Unless ``copies``, learned state, nearly all of the snapshot, is not copied: see :class:`Snapshot`.
    """
    buffers = engine.buffers
    context = buffers.spec.context
    devices = sorted(buffers, key=buffers.row)  # restored rows are not higher: a tracked device stays tracked
    streams = [buffers.stream(device) for device in devices]
    windows = np.empty((len(devices), *buffers.shape), dtype=np.float32)
    for device, window in zip(devices, windows, strict=True):
        buffers.copy_window(device, window)
    rows = [stream.row for stream in streams]
    scored_rows = rows[: bisect_left(rows, engine.horizons.main.n_tracked)]
    main = ForecasterColumns.from_forecaster(engine.horizons.main, rows, scored_rows, copies=copies)
    return Snapshot(
        spec=buffers.spec,
        channels=buffers.channels,
        model=forecaster_signature(engine.horizons.main),
        devices=devices,
        values=windows.reshape(len(devices), context, len(buffers.channels)),
        observed=_packed([stream.observed for stream in streams], context),
        last_minute=np.array([stream.last_minute for stream in streams], dtype=np.int64),
        n_seen=np.array([min(stream.n_seen, MIN_OBSERVED) for stream in streams], dtype=np.int32),
        held=[stream.held for stream in streams if stream.held is not None],
        late_runs=[list(stream.late_run) for stream in streams if stream.late_run],
        latest_kw=main.latest["kw"],
        latest_when=main.latest["when"],
        latest_n_observed=main.latest["n_observed"],
        latest_shares=main.latest["shares"],
        learning_state=main.learning_state,
        scores=main.scores,
        drift=main.drift,
        meters=list(meters),
        time_zone=str(engine.zone),
        filled=_packed([stream.filled for stream in streams], context) if any(s.filled for s in streams) else None,
        submeters={device: names for device, names in buffers.submeters.items() if device in buffers},
        plans=engine.plans.states(),
        latest_planned=[
            (i, *one.newest.planned[row])
            for one in engine.horizons.all
            for i, row in enumerate(rows)
            if row in one.newest.planned
        ],
        week={} if buffers.week is None else buffers.week.columns(rows),
        outlook=main.outlook,
        demand={} if engine.demands.forecaster is None else engine.demands.forecaster.columns(rows),
        horizons=horizon_columns(engine, devices) if engine.horizons.others else {},
        imported=[device for device in devices if buffers.is_imported(device)],
        is_copy=copies,
    )


def _n_bytes(context: int) -> int:
    return -(-context // 8)


def _packed(bits: Sequence[int], context: int) -> NDArray[np.uint8]:
    """Return one row ``[ceil(context / 8)]`` for each of ``bits``, the lowest first."""
    rows = b"".join(one.to_bytes(_n_bytes(context), "little") for one in bits)
    return np.frombuffer(rows, dtype=np.uint8).reshape(len(bits), _n_bytes(context))


def check_shapes(snapshot: Snapshot) -> None:
    """Raise :class:`StateError` if the columns of ``snapshot`` do not fit each other, or a device occurs twice."""
    n, context = len(snapshot.devices), snapshot.spec.context
    if len(set(snapshot.devices)) < n:
        msg = "a device is named twice"
        raise StateError(msg)
    found = {
        "values": (snapshot.values.shape, (n, context, len(snapshot.channels))),
        "observed": (snapshot.observed.shape, (n, _n_bytes(context))),
        "filled": (
            snapshot.observed.shape if snapshot.filled is None else snapshot.filled.shape,
            (n, _n_bytes(context)),
        ),
        "last_minute": (snapshot.last_minute.shape, (n,)),
        "n_seen": (snapshot.n_seen.shape, (n,)),
        "latest_kw": (snapshot.latest_kw.shape[:1], (n,)),
        "latest_when": (snapshot.latest_when.shape, (n, 2)),
        "latest_n_observed": (snapshot.latest_n_observed.shape, (n,)),
        "latest_shares": (snapshot.latest_shares.shape[:1], (n,)),
    }
    for name, (shape, wanted) in found.items():
        if shape != wanted:
            msg = f"{name} is of shape {shape}, not {wanted}"
            raise StateError(msg)
