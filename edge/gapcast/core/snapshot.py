"""The engine's state as columns: captured from one engine, restored into the next.

The restored state is identical, bit for bit, so that a restart does not change forecasts. Readings
after the snapshot are replayed, one by one, by the rules of the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.buffer import Buffers
from gapcast.core.device_streams import Stream
from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.learning.learning_state import OF_ALL_DEVICES, TRACKED
from gapcast.core.learning.submetered_state import PREFIX
from gapcast.core.meters.samples import MeterState
from gapcast.core.outlook.stored_state import SIGNATURE, implausible_outlooks
from gapcast.core.plan_tracker import TrackerState
from gapcast.core.reading import Reading
from gapcast.core.snapshot_checks import implausible_devices, implausible_learning, implausible_sums
from gapcast.core.state_limits import is_plausible_reading, is_plausible_run
from gapcast.core.submeters import Submeters, channels_of
from gapcast.core.window import F32, I64, MIN_OBSERVED, WindowSpec

#: Windows forecast at a time when the last forecasts are made again.
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The streams of N devices, in the order of their first readings, and their newest forecasts.

    ``values`` is ``[N, context, C]`` (oldest first, the units of ``channels``), ``observed`` ``[N, ceil(context / 8)]``
    the bits of :class:`~gapcast.core.device_streams.Stream`, lowest first, as is ``filled`` (None: no minute was);
    ``last_minute`` and ``n_seen`` are ``[N]``;
    the ``latest_`` ones are :meth:`gapcast.core.latest.Latest.columns` of ``model``. ``held`` and ``late_runs`` are
    readings that are not accepted yet; ``learnt``, ``scores`` and ``drift`` are the ``columns`` of
    :class:`~gapcast.core.learning.ensemble.Ensemble`, :class:`~gapcast.core.learning.scores.Scores` and
    :class:`~gapcast.core.learning.drift.Drift`. ``meters`` are the meters with an open minute; ``time_zone`` is
    that of the engine (empty: not known). ``submeters`` are the names of the submeters' channels. ``plans`` are the
    announced loads; ``latest_planned`` are the indices of devices whose newest forecast contains planned power, each
    with the mean without it and the planned power, kW; ``week`` are the ``columns`` of
    :class:`~gapcast.core.outlook.week.WeekHistory`, empty without one. ``outlook`` are those
    of :class:`~gapcast.core.outlook.engine_part.OutlookPart`, ``demand`` those of
    :class:`~gapcast.core.demand.engine_part.DemandPart`.
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
    learnt: dict[str, NDArray[Any]]
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


def capture_snapshot(engine: Engine, meters: Sequence[MeterState] = ()) -> Snapshot:
    """Return a copy of the state of ``engine`` and its ``meters``."""
    buffers = engine.buffers
    context = buffers.spec.context
    devices = list(buffers)
    streams = [buffers.stream(device) for device in devices]
    windows = np.empty((len(devices), *buffers.shape), dtype=np.float32)
    for device, window in zip(devices, windows, strict=True):
        buffers.copy_window(device, window)
    rows = [stream.row for stream in streams]
    latest_kw, latest_when, latest_n_observed, latest_shares = engine.newest.columns(rows)
    return Snapshot(
        spec=buffers.spec,
        channels=buffers.channels,
        model=forecast_signature(engine),
        devices=devices,
        values=windows.reshape(len(devices), context, len(buffers.channels)),
        observed=_packed([stream.observed for stream in streams], context),
        last_minute=np.array([stream.last_minute for stream in streams], dtype=np.int64),
        n_seen=np.array([min(stream.n_seen, MIN_OBSERVED) for stream in streams], dtype=np.int32),
        held=[stream.held for stream in streams if stream.held is not None],
        late_runs=[list(stream.late_run) for stream in streams if stream.late_run],
        latest_kw=latest_kw,
        latest_when=latest_when,
        latest_n_observed=latest_n_observed,
        latest_shares=latest_shares,
        learnt={} if engine.ensemble is None else engine.ensemble.columns(rows),
        scores=engine.scores.columns(rows),
        drift=engine.drift.columns(rows),
        meters=list(meters),
        time_zone=str(engine.zone),
        filled=_packed([stream.filled for stream in streams], context) if any(s.filled for s in streams) else None,
        submeters={device: names for device, names in buffers.submeters.items() if device in buffers},
        plans=engine.plans.states(),
        latest_planned=[(i, *engine.newest.planned[row]) for i, row in enumerate(rows) if row in engine.newest.planned],
        week={} if buffers.week is None else buffers.week.columns(rows),
        outlook={} if engine.outlooks is None else engine.outlooks.columns(rows),
        demand={} if engine.demands is None else engine.demands.columns(rows),
    )


class RestoreProblems(NamedTuple):
    """The parts of a snapshot that were not restored.

    ``learning`` says why learned values were left out (empty: all were restored); ``devices`` start again, because
    their windows or newest forecasts hold implausible values.
    """

    learning: str
    devices: list[str]


def restore_snapshot(engine: Engine, snapshot: Snapshot) -> RestoreProblems:
    """Restore ``snapshot`` into ``engine``, which must be new; return what was left out.

    If the model has another context or padding, each window is cut, or padded again from its oldest reading; for
    another model the newest forecasts are left out. Values out of range (:mod:`.snapshot_checks`) are left out for
    their device only, learned columns that do not fit each other for all devices. Raises :class:`StateError`,
    before anything is restored, if the model takes a measured feature that the snapshot does not have.
    """
    buffers = engine.buffers
    required = buffers.channels[: buffers.n_required]
    missing = [name for name in required if name not in snapshot.channels]
    if missing:
        msg = f"the stored readings have no {', '.join(missing)}, which model {engine.model.name} needs"
        raise StateError(msg)
    values = np.full((len(snapshot.values), snapshot.spec.context, len(buffers.channels)), np.nan, dtype=np.float32)
    values[:, :, : len(required)] = snapshot.values[:, :, [snapshot.channels.index(name) for name in required]]
    _restore_submeters(buffers, snapshot, values)
    values = values.reshape(len(values), snapshot.spec.context, *buffers.shape[1:])
    dropped = implausible_devices(snapshot)
    for i, device in enumerate(snapshot.devices):
        stream = buffers.add_device(device)
        if stream is None:
            break
        if dropped[i]:
            continue
        stream.last_minute, stream.n_seen = int(snapshot.last_minute[i]), int(snapshot.n_seen[i])
        observed = int.from_bytes(snapshot.observed[i].tobytes(), "little")
        if snapshot.filled is not None:
            stream.filled = observed & int.from_bytes(snapshot.filled[i].tobytes(), "little")
        fill_window(stream, values[i], observed, buffers.spec, same_spec=buffers.spec == snapshot.spec)
    _restore_waiting(buffers, snapshot)
    _restore_week(buffers, snapshot)
    if snapshot.model == forecast_signature(engine):
        n = len(buffers)
        kw, when = snapshot.latest_kw[:n], snapshot.latest_when[:n]
        engine.newest.restore_columns(kw, when, snapshot.latest_n_observed[:n], snapshot.latest_shares[:n])
        engine.newest.planned = {
            i: (uncontrolled_kw, planned_kw)
            for i, uncontrolled_kw, planned_kw in snapshot.latest_planned
            if 0 <= i < n and np.isfinite(uncontrolled_kw) and np.isfinite(planned_kw)
        }
    engine.plans.restore(snapshot.plans)
    problems = (
        _restore_learning(engine, snapshot),
        _restore_outlooks(engine, snapshot),
        _restore_demands(engine, snapshot),
    )
    if engine.ensemble is not None and engine.ensemble.submetered is not None:
        for device in _with_other_submeters(buffers, snapshot):
            engine.ensemble.submetered.forget(buffers.row(device))
    names = [device for i, device in enumerate(snapshot.devices) if dropped[i] and device in buffers]
    for device in names:
        engine.forget(device)
    return RestoreProblems("; ".join(filter(None, problems)), names)


def _restore_submeters(buffers: Buffers, snapshot: Snapshot, values: F32) -> None:
    """Write submeters of both configurations, by name, to their channels of ``values`` ``[N, context, C]``."""
    stored_at = {name: i for i, name in enumerate(snapshot.channels)}
    for i, device in enumerate(snapshot.devices):
        stored = dict(zip(snapshot.submeters.get(device, ()), channels_of(snapshot.submeters), strict=False))
        for at, name in enumerate(buffers.submeters.get(device, ()), start=buffers.n_required):
            if name in stored and stored[name] in stored_at:
                values[i, :, at] = snapshot.values[i, :, stored_at[stored[name]]]


def _with_other_submeters(buffers: Buffers, snapshot: Snapshot) -> list[str]:
    """Return the devices whose submeters were others, or in another order, when ``snapshot`` was captured."""
    now, before = buffers.submeters, snapshot.submeters
    return [one for one in snapshot.devices if one in buffers and now.get(one, ()) != tuple(before.get(one, ()))]


def _restore_waiting(buffers: Buffers, snapshot: Snapshot) -> None:
    """Restore held and late readings that have every channel of the model."""
    channels = buffers.channels[: buffers.n_required]
    for reading in snapshot.held:
        is_usable = is_plausible_reading(reading) and not reading.missing_features(channels)
        if is_usable and reading.device in buffers:
            buffers.stream(reading.device).held = reading
    for run in snapshot.late_runs:
        is_usable = is_plausible_run(run) and not any(reading.missing_features(channels) for reading in run)
        if is_usable and run[0].device in buffers:
            buffers.stream(run[0].device).late_run = list(run)


def _restore_week(buffers: Buffers, snapshot: Snapshot) -> None:
    """Restore the quarter-hours; those of devices without sound stored ones begin with their windows."""
    if buffers.week is None:
        return
    if snapshot.week:
        with suppress(StateError):  # damaged columns: all devices begin with their windows
            buffers.week.restore_columns(snapshot.week, snapshot.last_minute[: len(buffers)])
    buffers.add_windows_to_week()


def _restore_learning(engine: Engine, snapshot: Snapshot) -> str:
    """Restore learning state, scores and drift; return what was left out, empty if nothing was."""
    if engine.ensemble is None:
        return ""
    n_devices, learnt, n_bad = len(engine.buffers), snapshot.learnt, 0
    try:
        if learnt and TRACKED in learnt:
            tracked = learnt[TRACKED]
            bad = implausible_learning(learnt)
            n_bad = int(bad.sum())
            sound = ~bad & (tracked < n_devices)
            if not sound.all():
                by_row = {name for name in learnt if name not in OF_ALL_DEVICES and not name.startswith(PREFIX)}
                learnt = {name: column[sound] if name in by_row else column for name, column in learnt.items()}
        engine.ensemble.restore_columns(n_devices, learnt)
        for columns, scorer, of_drift in (
            (snapshot.scores, engine.scores, False),
            (snapshot.drift, engine.drift, True),
        ):
            if columns:
                scorer.restore_columns(columns)
                bad_rows = np.flatnonzero(implausible_sums(columns, of_drift=of_drift))
                n_bad += len(bad_rows)
                for row in bad_rows.tolist():
                    scorer.forget(row)
    except (StateError, ValueError, IndexError, TypeError) as error:
        return str(error)
    return f"{n_bad} rows of learned values or scores are out of range" if n_bad else ""


def _restore_outlooks(engine: Engine, snapshot: Snapshot) -> str:
    """Restore what outlooks learned; return what was left out, empty if nothing was."""
    if engine.outlooks is None or not snapshot.outlook:
        return ""
    columns, n_bad = snapshot.outlook, 0
    try:
        bad = implausible_outlooks(columns)
        n_bad = int(bad.sum())
        if n_bad:
            columns = {name: column if name == SIGNATURE else column[~bad] for name, column in columns.items()}
        engine.outlooks.restore_columns(len(engine.buffers), columns)
    except (StateError, ValueError, IndexError, TypeError) as error:
        return str(error)
    return f"{n_bad} rows of learned outlooks are out of range" if n_bad else ""


def _restore_demands(engine: Engine, snapshot: Snapshot) -> str:
    """Restore windows, peaks and limits; return what was left out, empty if nothing was."""
    if engine.demands is None:
        return ""
    problem = ""
    if snapshot.demand:
        try:
            problem = engine.demands.restore_columns(engine.buffers, snapshot.demand)
        except (StateError, ValueError, IndexError, TypeError) as error:
            problem = str(error)
    engine.buffers.begin_billing(engine.demands.windows)
    return problem


def fill_window(stream: Stream, values: F32, observed: int, spec: WindowSpec, *, same_spec: bool) -> None:
    """Write a window ``values`` and its ``observed`` bits to a new ``stream``; cut or padded unless ``same_spec``."""
    context = spec.context
    n = context if same_spec else min(context, observed.bit_length())
    row = stream.block[stream.at]
    row[: context - n] = spec.pad_kw(values[len(values) - n])
    row[context - n : context] = values[len(values) - n :]
    stream.end = context
    window_bits = (1 << context) - 1
    stream.observed, stream.filled = observed & window_bits, stream.filled & window_bits


def _n_bytes(context: int) -> int:
    return -(-context // 8)


def _packed(bits: Sequence[int], context: int) -> NDArray[np.uint8]:
    """Return one row ``[ceil(context / 8)]`` for each of ``bits``, the lowest first."""
    rows = b"".join(one.to_bytes(_n_bytes(context), "little") for one in bits)
    return np.frombuffer(rows, dtype=np.uint8).reshape(len(bits), _n_bytes(context))


def forecast_signature(engine: Engine) -> str:
    """Return what must be equal for stored forecasts to be valid: the model, its lead times and ensemble members."""
    model = engine.published_model
    lead_times_published = model.lead_times_min if engine.includes_path else model.lead_times_min[-1:]
    members = "" if engine.ensemble is None else f" of {','.join(engine.ensemble.members)}"
    return f"{model.name} {model.version} {','.join(map(str, lead_times_published))}{members}"


def check_shapes(snapshot: Snapshot) -> None:
    """Raise :class:`StateError` if the columns of ``snapshot`` do not fit each other, or a device is named twice."""
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
