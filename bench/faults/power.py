"""Power cuts: what a gateway recovers from a disk that lost power during a stream."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import NamedTuple

from bench.faults.disk import Disk
from bench.faults.stage import FaultError, PersistentBroker, RestartableGateway
from bench.faults.stream import FIRST_MINUTE, Key, MeterStream, running, streaming
from bench.faults.trials import Rows
from bench.fleet import device_name
from gapcast.core.time_grid import minute_label
from gapcast.storage.store import SYNC_S

_SEED = 20_101_101
#: Tolerated delay of a sync, s.
_DISK_S = 1.0
#: Minutes of the stream after the power is back.
_AFTER_MIN = 3


class Cut(NamedTuple):
    """A copy of the disk at a moment (``time.monotonic``), when the stream was at ``n_minutes``."""

    image: Path
    at_s: float
    n_minutes: int


class DataLoss(NamedTuple):
    """Data lost by a cut: readings that were forecast but are not on the disk, and the age of the oldest one."""

    n_readings: int
    most_of_a_device: int
    lost_s: float


def power_cuts(folder: Path, n_cuts: int, n_devices: int = 200, per_s: float = 20) -> Rows:
    """Cut the power of the gateway's disk at random moments of a stream, and start a gateway on each copy.

    A minute of the stream takes ten seconds, so that up to three readings of each device may be lost.
    """
    draw = random.Random(_SEED)
    disk = Disk(folder / "disk.img", folder / "disk")
    disk.make()
    cuts = []
    with (
        PersistentBroker(folder / "broker") as broker,
        disk.mounted(),
        RestartableGateway(folder, broker.port, state__path=disk.mounted_at / "state"),
        streaming(broker.host, broker.port, n_devices, per_s) as stream,
    ):
        time.sleep(2 * SYNC_S)
        for i in range(n_cuts):
            time.sleep(draw.uniform(5.0, 1.2 * SYNC_S))
            cuts.append(_cut(disk, folder / f"cut-{i}.img", stream))
        losses = [_after(folder / f"after-{i}", cut, stream) for i, cut in enumerate(cuts)]
    return {
        "power cuts": n_cuts,
        "devices": n_devices,
        "readings before the cuts": sum(cut.n_minutes for cut in cuts) * n_devices,
        "lost readings": [loss.n_readings for loss in losses],
        "of one device, at most": max(loss.most_of_a_device for loss in losses),
        "not on the disk for s": [round(loss.lost_s, 1) for loss in losses],
    }


def _cut(disk: Disk, image: Path, stream: MeterStream) -> Cut:
    n_minutes, at_s = stream.n_minutes, time.monotonic()
    disk.lose_power(image)
    return Cut(image, at_s, n_minutes)


def _after(folder: Path, cut: Cut, stream: MeterStream) -> DataLoss:
    """Start a gateway on the copy, compare its state, and continue the stream."""
    folder.mkdir()
    disk = Disk(cut.image, folder / "disk")
    with (
        PersistentBroker(folder / "broker") as broker,
        disk.mounted(),
        RestartableGateway(folder, broker.port, state__path=disk.mounted_at / "state") as gateway,
    ):
        loss = _loss({one["device"]: one["observed_at"] for one in gateway.latest()}, cut, stream)
        _continue_stream(gateway, broker, cut, stream.n_devices)
    cut.image.unlink()
    return loss


def _loss(newest: dict[str, str], cut: Cut, stream: MeterStream) -> DataLoss:
    """Compare the ``newest`` minute of each device with the forecasts published before the cut."""
    lost: dict[str, list[float]] = {}
    for key, first_s in list(stream.first_received_s.items()):
        if first_s <= cut.at_s and key.observed_at > newest.get(key.device, ""):
            lost.setdefault(key.device, []).append(first_s)
    all_lost_s = [came_s for some in lost.values() for came_s in some]
    loss = DataLoss(
        len(all_lost_s), max(map(len, lost.values()), default=0), cut.at_s - min(all_lost_s, default=cut.at_s)
    )
    if loss.lost_s > SYNC_S + _DISK_S:
        msg = f"readings of the last {loss.lost_s:.1f} s were lost, and {SYNC_S:g} s are guaranteed: {loss}"
        raise FaultError(msg)
    return loss


def _continue_stream(gateway: RestartableGateway, broker: PersistentBroker, cut: Cut, n_devices: int) -> None:
    """Publish the minutes after the cut; each must be forecast from a continued window, and persisted."""
    rest = MeterStream(broker.host, broker.port, n_devices, n_devices, first=cut.n_minutes, n_at_most=_AFTER_MIN)
    with running(rest) as after:
        expected = {
            Key(device_name(device), minute_label(FIRST_MINUTE + cut.n_minutes + i))
            for device in range(n_devices)
            for i in range(_AFTER_MIN)
        }
        after.wait_for(expected)
    restarted = [key for key in expected if after.found[key][0].n_observed <= _AFTER_MIN]
    if restarted:
        msg = f"{len(restarted)} forecasts are from a restarted window, for example {restarted[0]}"
        raise FaultError(msg)
    if gateway.count_logged("state.damaged") or gateway.metrics()["gapcast_state_kept"] != 1:
        msg = "the state did not survive the power cut"
        raise FaultError(msg)
