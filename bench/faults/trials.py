"""The faults, each injected several times; each returns rows of figures, or raises if a guarantee is violated."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bench.faults import learning
from bench.faults.cut import SilentProxy, cable
from bench.faults.samples import CONFIGURATION, SampledStream
from bench.faults.stage import FaultError, PersistentBroker, RestartableGateway, wait_until
from bench.faults.stream import MeterStream, StreamResult, running, streaming

Rows = dict[str, object]
#: Maximum time until a gateway is back, s.
BACK_WITHIN_S = 5.0
_SEED = 20_101_101


def kills(
    folder: Path, n_kills: int, n_devices: int = 200, per_s: float = 20_000, kind: type[MeterStream] = MeterStream
) -> Rows:
    """SIGKILL the gateway at random moments of a stream, also during its start, and restart it at once.

    The stream runs at the meter's maximum speed, so that messages are always in flight. Its ``kind`` is of readings,
    of samples, or a :class:`LearningStream`: for a gateway with everything enabled.
    """
    if kind is SampledStream:
        (folder / "gapcast.toml").write_text(CONFIGURATION, encoding="utf-8")
    draw = random.Random(_SEED)
    settings = learning.KEYS if kind is learning.LearningStream else {}
    with PersistentBroker(folder / "broker") as broker, RestartableGateway(folder, broker.port, **settings) as gateway:
        with running(kind(broker.host, broker.port, n_devices, per_s)) as stream:
            for _ in range(n_kills):
                time.sleep(draw.uniform(0.0, 2.0))
                gateway.kill()
                gateway.start()
            gateway.wait_ready()
            result = _checked(stream.finish())
        if gateway.count_logged("state.damaged") or gateway.metrics()["gapcast_state_kept"] != 1:
            msg = "the state did not survive the kills"
            raise FaultError(msg)
    return {"kills": n_kills, "devices": n_devices, **_row(result)}


def restarts(
    folder: Path, n_restarts: int, n_devices: int = 200, per_s: float = 2_000, within_s: float = BACK_WITHIN_S
) -> Rows:
    """Stop the broker, which persists its messages, and restart it after a while; be back ``within_s``."""
    draw = random.Random(_SEED)

    def down_and_up(broker: PersistentBroker, gateway: RestartableGateway) -> float:
        broker.stop()
        time.sleep(draw.uniform(0.0, 8.0))
        broker.start()
        return gateway.wait_ready()

    return {"broker restarts": n_restarts, **_in_a_stream(folder, n_restarts, down_and_up, n_devices, per_s, within_s)}


def freezes(
    folder: Path, seconds: float, n_devices: int = 200, per_s: float = 1_000, within_s: float = BACK_WITHIN_S
) -> Rows:
    """Freeze the broker in mid-stream: its connections stay open without answers."""

    def freeze(broker: PersistentBroker, gateway: RestartableGateway) -> float:
        broker.freeze()
        time.sleep(seconds)
        before = _n_accepted(gateway)
        broker.thaw()
        return _wait_for_more(gateway, before)

    return {"frozen for s": seconds, **_in_a_stream(folder, 1, freeze, n_devices, per_s, within_s)}


def silences(
    folder: Path, seconds: float, n_devices: int = 50, per_s: float = 500, within_s: float = BACK_WITHIN_S
) -> Rows:
    """Let a proxy drop the connection silently: it stays open, but no data arrives."""
    with (
        PersistentBroker(folder / "broker") as broker,
        closing(SilentProxy(broker.port)) as proxy,
        RestartableGateway(folder, proxy.port, mqtt__keepalive_s=5) as gateway,
    ):
        with streaming(broker.host, broker.port, n_devices, per_s) as stream:
            wait_until(lambda: stream.found, "the stream to flow")
            proxy.cut()
            wait_until(lambda: not gateway.is_ready(), "the gateway to notice")
            time.sleep(seconds)
            proxy.restore()
            back_s = gateway.wait_ready()
            result = _checked(stream.finish())
        _ = gateway.pid
    return {"silent proxy, s": seconds, "back after s": _in_time(back_s, within_s), **_row(result)}


def cuts(folder: Path, seconds: list[float], n_devices: int = 50, per_s: float = 500) -> Rows:
    """Pull the cable between gateway and broker for each of ``seconds``; neither side gets a FIN."""
    back_s = []
    with (
        cable() as wire,
        PersistentBroker(folder / "broker", wire.host, wire.prefix) as broker,
        RestartableGateway(folder, broker.port, wire.host) as gateway,
    ):
        with streaming(broker.host, broker.port, n_devices, per_s) as stream:
            for gone_s in seconds:
                wait_until(lambda: stream.found, "the stream to flow")
                wire.cut()
                time.sleep(gone_s)
                before = _n_accepted(gateway)
                wire.restore()
                back_s.append(_in_time(_wait_for_more(gateway, before), BACK_WITHIN_S))
            result = _checked(stream.finish())
        _ = gateway.pid
    return {"cable pulled for s": seconds, "back after s": back_s, **_row(result)}


def _in_a_stream(
    folder: Path,
    n_times: int,
    fault: Callable[[PersistentBroker, RestartableGateway], float],
    n_devices: int,
    per_s: float,
    within_s: float,
) -> Rows:
    back_s = []
    with (
        PersistentBroker(folder / "broker") as broker,
        RestartableGateway(folder, broker.port) as gateway,
        streaming(broker.host, broker.port, n_devices, per_s) as stream,
    ):
        wait_until(lambda: stream.found, "the stream to flow")
        for _ in range(n_times):
            back_s.append(_in_time(fault(broker, gateway), within_s))
            _wait_for_more(gateway, _n_accepted(gateway))
        result = _checked(stream.finish())
    return {"devices": n_devices, "back after s, at most": max(back_s), **_row(result)}


def _n_accepted(gateway: RestartableGateway) -> float:
    return gateway.metrics().get('gapcast_readings_total{result="accepted"}', 0.0)


def _wait_for_more(gateway: RestartableGateway, n_before: float) -> float:
    return wait_until(lambda: _n_accepted(gateway) > n_before, "the stream to go on")


def _in_time(back_s: float, within_s: float) -> float:
    if back_s > within_s:
        msg = f"back only after {back_s:.1f} s"
        raise FaultError(msg)
    return round(back_s, 1)


def _checked(result: StreamResult) -> StreamResult:
    if not result.is_good:
        msg = f"{result.n_missing} forecasts are missing and {result.n_different} differ: {result}"
        raise FaultError(msg)
    return result


def _row(result: StreamResult) -> Rows:
    return {
        "readings": result.n_readings,
        "forecasts missing": result.n_missing,
        "with another value": result.n_different,
        "duplicates": result.n_duplicates,
        "largest difference, kW": f"{result.max_difference_kw:.1g}",
    }
