"""The engine's state as columns: taken from one engine, and given to the next.

What is given back is bit for bit what was taken, so that a forecast does not know of the restart. What
came after the snapshot is replayed, reading by reading, by the rules of the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.core.engine import Accepted, Engine
from edge.core.errors import ModelError, StateError
from edge.core.reading import Reading
from edge.core.rows import Stream
from edge.core.samples import MeterState
from edge.core.window import F32, I64, MIN_OBSERVED, WindowSpec

#: Windows forecast at a time when the last forecasts are made again.
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where the streams of N devices stand, in the order they came, and what was last forecast for them.

    ``values`` is ``[N, context, C]`` (oldest first, the units of ``channels``), ``observed`` ``[N, ceil(context / 8)]``
    the bits of :class:`~edge.core.buffer.Stream`, lowest first, ``last_minute`` and ``n_seen`` are ``[N]``; the
    ``latest_`` ones are :meth:`edge.core.latest.Latest.columns` of the model named. ``held`` and ``late_runs`` are
    readings that wait to be understood; ``learnt``, ``scores`` and ``drift`` are what the ``columns`` of
    :class:`~edge.core.online.blend.Blend`, :class:`~edge.core.online.scores.Scores` and
    :class:`~edge.core.online.drift.Drift` gave.
    ``meters`` are those of which minutes are open.
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


def take(engine: Engine, meters: Sequence[MeterState] = ()) -> Snapshot:
    """Return a copy of the state of ``engine``, and with it of its ``meters``."""
    buffers = engine.buffers
    context = buffers.spec.context
    devices = list(buffers)
    streams = [buffers.stream(device) for device in devices]
    windows = np.empty((len(devices), *buffers.shape), dtype=np.float32)
    for device, window in zip(devices, windows, strict=True):
        buffers.copy_window(device, window)
    bits = b"".join(stream.observed.to_bytes(_n_bytes(context), "little") for stream in streams)
    rows = [stream.row for stream in streams]
    latest_kw, latest_when, latest_n_observed, latest_shares = engine.newest.columns(rows)
    return Snapshot(
        spec=buffers.spec,
        channels=buffers.channels,
        model=told_by(engine),
        devices=devices,
        values=windows.reshape(len(devices), context, len(buffers.channels)),
        observed=np.frombuffer(bits, dtype=np.uint8).reshape(len(devices), _n_bytes(context)),
        last_minute=np.array([stream.last_minute for stream in streams], dtype=np.int64),
        n_seen=np.array([min(stream.n_seen, MIN_OBSERVED) for stream in streams], dtype=np.int32),
        held=[stream.held for stream in streams if stream.held is not None],
        late_runs=[list(stream.late_run) for stream in streams if stream.late_run],
        latest_kw=latest_kw,
        latest_when=latest_when,
        latest_n_observed=latest_n_observed,
        latest_shares=latest_shares,
        learnt={} if engine.blend is None else engine.blend.columns(rows),
        scores=engine.scores.columns(rows),
        drift=engine.drift.columns(rows),
        meters=list(meters),
    )


def give(engine: Engine, snapshot: Snapshot) -> str:
    """Put ``engine``, which must be new, where ``snapshot`` was taken.

    Where its model has another context or padding, each window is cut or padded anew from its oldest
    reading on; where it is another model, the last forecasts are left out. What was learnt is left out where its
    columns do not fit each other, and what is wrong with them returned: "" where nothing is. Raises
    :class:`StateError`, before anything is given, where the model takes a measured feature that the snapshot has not.
    """
    buffers = engine.buffers
    missing = [name for name in buffers.channels if name not in snapshot.channels]
    if missing:
        msg = f"the readings that were kept have no {', '.join(missing)}, which model {engine.model.name} needs"
        raise StateError(msg)
    values = snapshot.values[:, :, [snapshot.channels.index(name) for name in buffers.channels]]
    values = values.reshape(len(values), snapshot.spec.context, *buffers.shape[1:])
    for i, device in enumerate(snapshot.devices):
        stream = buffers.adopt(device)
        if stream is None:
            break
        stream.last_minute, stream.n_seen = int(snapshot.last_minute[i]), int(snapshot.n_seen[i])
        observed = int.from_bytes(snapshot.observed[i].tobytes(), "little")
        fill(stream, values[i], observed, buffers.spec, as_it_was=buffers.spec == snapshot.spec)
    for reading in snapshot.held:
        if reading.device in buffers:
            buffers.stream(reading.device).held = reading
    for run in snapshot.late_runs:
        if run[0].device in buffers:
            buffers.stream(run[0].device).late_run = list(run)
    if snapshot.model == told_by(engine):
        n = len(buffers)
        kw, when = snapshot.latest_kw[:n], snapshot.latest_when[:n]
        engine.newest.take_over(kw, when, snapshot.latest_n_observed[:n], snapshot.latest_shares[:n])
    if engine.blend is not None:
        try:
            engine.blend.take_over(len(buffers), snapshot.learnt)
            for columns, scorer in ((snapshot.scores, engine.scores), (snapshot.drift, engine.drift)):
                if columns:
                    scorer.take_over(columns)
        except (StateError, ValueError) as error:
            return str(error)
    return ""


def fill(stream: Stream, values: F32, observed: int, spec: WindowSpec, *, as_it_was: bool) -> None:
    """Put a window ``values`` and its ``observed`` bits into a new ``stream``; cut or padded, unless ``as_it_was``."""
    context = spec.context
    n = context if as_it_was else min(context, observed.bit_length())
    row = stream.block[stream.at]
    row[: context - n] = spec.pad_kw(values[len(values) - n])
    row[context - n : context] = values[len(values) - n :]
    stream.end = context
    stream.observed = observed & ((1 << context) - 1)


class Replay:
    """Takes an engine on from a snapshot, through the batches of readings that came after it."""

    def __init__(self, engine: Engine) -> None:
        """Go on with ``engine`` from where it stands."""
        self._engine = engine
        self._due: dict[str, tuple[F32, int, int, int]] = {}  # window, minute, n_observed, issued at (ms)
        self._waiting: list[tuple[Sequence[Reading], int]] = []  # batches, and when their forecasts were issued
        self._n_waiting = 0
        self.n_readings = 0
        self.n_forgotten = 0

    def take(self, readings: Sequence[Reading], issued_at_ms: int) -> None:
        """Let a batch enter that was forecast at ``issued_at_ms``.

        Where forecasts are learnt from, all are made again, several batches at a time; else the last one of each
        device, at the end.
        """
        self.n_readings += len(readings)
        if self._engine.blend is not None:
            self._waiting.append((readings, issued_at_ms))
            self._n_waiting += len(readings)
            if self._n_waiting >= _BATCH:
                self._learn_again()
            return
        accepted = self._engine.accept(readings)
        whose = zip(accepted.windows, accepted.devices, accepted.minutes, accepted.n_observed, strict=True)
        for window, device, minute, n_observed in whose:
            self._due[device] = (window.copy(), minute, n_observed, issued_at_ms)

    def _learn_again(self) -> None:
        """Forecast what waits in one go; where the model gives no number, batch by batch, as it was done then."""
        engine, waiting = self._engine, self._waiting
        self._waiting, self._n_waiting = [], 0
        accepted = [engine.accept(readings) for readings, _ in waiting]
        ready = [(one, issued_at_ms) for one, (_, issued_at_ms) in zip(accepted, waiting, strict=True) if one.devices]
        if not ready:
            return
        try:
            engine.forecast(_joined([one for one, _ in ready]), 0)
        except ModelError:
            for one, issued_at_ms in ready:
                with suppress(ModelError):
                    engine.forecast(one, issued_at_ms)
                engine.learn()
            return
        engine.learn()
        for one, issued_at_ms in ready:
            engine.newest.stamp(one.rows, [issued_at_ms] * len(one.rows))

    def forget(self, device: str) -> None:
        """Let a device be forgotten, as it was then."""
        self._learn_again()
        self._engine.forget(device)
        self._due.pop(device, None)
        self.n_forgotten += 1

    def finish(self) -> None:
        """Make the last forecast of each device again, but where the model gives no number, as it did not before."""
        self._learn_again()
        engine, due = self._engine, list(self._due.items())
        for first in range(0, len(due), _BATCH):
            some = due[first : first + _BATCH]
            devices = [device for device, _ in some]
            windows, minutes, n_observed, issued_at_ms = map(list, zip(*(what for _, what in some), strict=True))
            rows = [engine.buffers.row(device) for device in devices]
            ready = Accepted([], [], np.stack(windows), devices, rows, [], minutes, n_observed, [], {})
            try:
                engine.forecast(ready, 0)
            except ModelError:
                continue
            engine.newest.stamp(rows, issued_at_ms)
        self._due.clear()


def _joined(parts: list[Accepted]) -> Accepted:
    """Return what is due a forecast of all ``parts``, in their order."""
    windows = np.concatenate([part.windows for part in parts])
    names = ("devices", "rows", "minutes", "n_observed")
    devices, rows, minutes, n_observed = ([one for part in parts for one in getattr(part, name)] for name in names)
    return Accepted([], [], windows, devices, rows, [], minutes, n_observed, [], {})


def _n_bytes(context: int) -> int:
    return -(-context // 8)


def told_by(engine: Engine) -> str:
    """Return what must be the same for the last forecasts to be of use: the model, and the minutes that it tells."""
    speaker = engine.speaker
    told_min = speaker.lead_times_min if engine.tells_path else speaker.lead_times_min[-1:]
    experts = "" if engine.blend is None else f" of {','.join(engine.blend.experts)}"
    return f"{speaker.name} {speaker.version} {','.join(map(str, told_min))}{experts}"


def check_shapes(snapshot: Snapshot) -> None:
    """Raise :class:`StateError` where the columns of ``snapshot`` do not fit each other."""
    n, context = len(snapshot.devices), snapshot.spec.context
    found = {
        "values": (snapshot.values.shape, (n, context, len(snapshot.channels))),
        "observed": (snapshot.observed.shape, (n, _n_bytes(context))),
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
