"""Each fault, done so many times; each returns rows of what came of it, and raises where a promise was broken."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from bench.faults import learning
from bench.faults.cut import SilentProxy, cable
from bench.faults.samples import CONFIGURATION, SampledStream
from bench.faults.stage import Broker, FaultError, Gateway, wait_until
from bench.faults.stream import Stream, Verdict, running, streaming

Rows = dict[str, object]
#: A gateway must be back within this, s.
BACK_WITHIN_S = 5.0
_SEED = 20_101_101


def kills(folder: Path, n_kills: int, n_devices: int = 200, per_s: float = 20_000, kind: type[Stream] = Stream) -> Rows:
    """SIGKILL the gateway at any moment of a stream, its own start among them, and start it again at once.

    The stream, of readings or of samples by its ``kind``, is as fast as the meter can, so that there is always
    something under way. Or it is a :class:`LearningStream`: at a gateway with everything on.
    """
    if kind is SampledStream:
        (folder / "gapcast.toml").write_text(CONFIGURATION, encoding="utf-8")
    draw = random.Random(_SEED)
    broker = Broker(folder / "broker")
    broker.start()
    gateway = Gateway(folder, broker.port, **(learning.KEYS if kind is learning.LearningStream else {}))
    try:
        gateway.start()
        gateway.wait_ready()
        with running(kind(broker.host, broker.port, n_devices, per_s)) as stream:
            for _ in range(n_kills):
                time.sleep(draw.uniform(0.0, 2.0))
                gateway.kill()
                gateway.start()
            gateway.wait_ready()
            verdict = _judged(stream.finish())
        if gateway.said("state.damaged") or gateway.metrics()["gapcast_state_kept"] != 1:
            msg = "the state did not survive the kills"
            raise FaultError(msg)
    finally:
        gateway.stop()
        broker.stop()
    return {"kills": n_kills, "devices": n_devices, **_row(verdict)}


def restarts(folder: Path, n_restarts: int, n_devices: int = 200, per_s: float = 2_000) -> Rows:
    """Stop the broker, which writes down what it holds, and start it again after a while."""
    draw = random.Random(_SEED)

    def down_and_up(broker: Broker, gateway: Gateway) -> float:
        broker.stop()
        time.sleep(draw.uniform(0.0, 8.0))
        broker.start()
        return gateway.wait_ready()

    return {"broker restarts": n_restarts, **_in_a_stream(folder, n_restarts, down_and_up, n_devices, per_s)}


def freezes(folder: Path, seconds: float, n_devices: int = 200, per_s: float = 1_000) -> Rows:
    """Freeze the broker in mid stream: it holds its connections, and answers nothing."""

    def freeze(broker: Broker, gateway: Gateway) -> float:
        broker.freeze()
        time.sleep(seconds)
        before = _n_accepted(gateway)
        broker.thaw()
        return _wait_for_more(gateway, before)

    return {"frozen for s": seconds, **_in_a_stream(folder, 1, freeze, n_devices, per_s)}


def silences(folder: Path, seconds: float, n_devices: int = 50, per_s: float = 500) -> Rows:
    """Let what lies between them forget the connection: it stays open, and nothing comes any more."""
    broker = Broker(folder / "broker")
    broker.start()
    proxy = SilentProxy(broker.port)
    gateway = Gateway(folder, proxy.port, mqtt__keepalive_s=5)
    try:
        gateway.start()
        gateway.wait_ready()
        with streaming(broker.host, broker.port, n_devices, per_s) as stream:
            wait_until(lambda: stream.found, "the stream to flow")
            proxy.cut()
            wait_until(lambda: not gateway.is_ready(), "the gateway to notice")
            time.sleep(seconds)
            proxy.repair_window()
            back_s = gateway.wait_ready()
            verdict = _judged(stream.finish())
        _ = gateway.pid
    finally:
        gateway.stop()
        proxy.close()
        broker.stop()
    return {"silent proxy, s": seconds, "back after s": _in_time(back_s), **_row(verdict)}


def cuts(folder: Path, seconds: list[float], n_devices: int = 50, per_s: float = 500) -> Rows:
    """Pull the cable between gateway and broker for each of ``seconds``; no one gets a FIN."""
    back_s = []
    with cable() as wire:
        broker = Broker(folder / "broker", wire.host, wire.prefix)
        broker.start()
        gateway = Gateway(folder, broker.port, wire.host)
        try:
            gateway.start()
            gateway.wait_ready()
            with streaming(broker.host, broker.port, n_devices, per_s) as stream:
                for gone_s in seconds:
                    wait_until(lambda: stream.found, "the stream to flow")
                    wire.cut()
                    time.sleep(gone_s)
                    before = _n_accepted(gateway)
                    wire.repair_window()
                    back_s.append(_in_time(_wait_for_more(gateway, before)))
                verdict = _judged(stream.finish())
            _ = gateway.pid
        finally:
            gateway.stop()
            broker.stop()
    return {"cable pulled for s": seconds, "back after s": back_s, **_row(verdict)}


def _in_a_stream(
    folder: Path, n_times: int, fault: Callable[[Broker, Gateway], float], n_devices: int, per_s: float
) -> Rows:
    broker = Broker(folder / "broker")
    broker.start()
    gateway = Gateway(folder, broker.port)
    back_s = []
    try:
        gateway.start()
        gateway.wait_ready()
        with streaming(broker.host, broker.port, n_devices, per_s) as stream:
            wait_until(lambda: stream.found, "the stream to flow")
            for _ in range(n_times):
                back_s.append(_in_time(fault(broker, gateway)))
                _wait_for_more(gateway, _n_accepted(gateway))
            verdict = _judged(stream.finish())
    finally:
        gateway.stop()
        broker.stop()
    return {"devices": n_devices, "back after s, at most": max(back_s), **_row(verdict)}


def _n_accepted(gateway: Gateway) -> float:
    return gateway.metrics().get('gapcast_readings_total{result="accepted"}', 0.0)


def _wait_for_more(gateway: Gateway, n_before: float) -> float:
    return wait_until(lambda: _n_accepted(gateway) > n_before, "the stream to go on")


def _in_time(back_s: float) -> float:
    if back_s > BACK_WITHIN_S:
        msg = f"back only after {back_s:.1f} s"
        raise FaultError(msg)
    return round(back_s, 1)


def _judged(verdict: Verdict) -> Verdict:
    if not verdict.is_good:
        msg = f"{verdict.n_missing} forecasts are missing and {verdict.n_different} are others: {verdict}"
        raise FaultError(msg)
    return verdict


def _row(verdict: Verdict) -> Rows:
    return {
        "readings": verdict.n_readings,
        "forecasts missing": verdict.n_missing,
        "of another value": verdict.n_different,
        "came again": verdict.n_again,
        "off by kW, at most": f"{verdict.most_off_kw:.1g}",
    }
