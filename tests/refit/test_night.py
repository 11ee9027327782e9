"""A night passes: the running gateway refits in a separate process, uses the trees, and stores them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from gapcast.core.time_grid import DAY_MIN, minute_label
from gapcast.history_import.past_readings import PastFiles
from gapcast.history_import.run import Target, import_past
from gapcast.recordings.text.layout import FileFormat, Layout
from gapcast.refit import nights
from gapcast.refit.nights import START_DELAY_S
from gapcast.refit.schedule import LEAST_READINGS
from gapcast.refit.worker import refit_confined
from tests.refit.cycling import cycling_kw
from tests.support.brokers import MosquittoBroker
from tests.support.clocks import ManualClock
from tests.support.gateways import Gateway, gateway_settings, running
from tests.support.houses import FIRST
from tests.support.peers import peer_of
from tests.support.waiting import wait_until

N_READINGS = LEAST_READINGS + 120
NOON_S = 1_289_390_400.0  # 2010-11-10T12:00Z


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as closing:
        yield closing


def has_forest(gateway: Gateway) -> bool:
    return gateway.service.queries.read(lambda engine, _: "home" in engine.horizons.main.forests)


def metric(gateway: Gateway, name: str) -> float:
    lines = httpx.get(f"{gateway.url}/metrics").text.splitlines()
    return float(next(line.split()[-1] for line in lines if line.startswith(f"{name} ")))


@pytest.mark.long
@pytest.mark.lightgbm
def test_night_refits_and_restart_keeps_the_trees(
    mosquitto: MosquittoBroker, stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The lowest priority, the default, would wait for everything else that runs on this machine.
    monkeypatch.setattr(nights, "refit_confined", partial(refit_confined, niceness=0))
    past_kw = cycling_kw(N_READINGS + 30)
    text = ["ts,kw", *(f"{minute_label(FIRST + i)},{kw}" for i, kw in enumerate(past_kw[:N_READINGS].tolist()))]
    (tmp_path / "past.csv").write_text("\n".join([*text, ""]))
    settings = gateway_settings(mosquitto.port, tmp_path / "state", learning={"refit": True, "refit_every_days": 14})
    form = FileFormat(Layout("ts", "kw", unit="kW", zone=UTC))
    import_past(settings, {}, PastFiles((tmp_path / "past.csv",), form, UTC), Target("home"), lambda _: None)

    clock = ManualClock(NOON_S)
    peer = stack.enter_context(peer_of(mosquitto.host, mosquitto.port))
    peer.subscribe("gap/home/forecast")

    def publish(first: int, n: int, n_before: int) -> list[dict[str, Any]]:
        for i in range(first, first + n):
            payload = {"ts": minute_label(FIRST + i), "gap_kw": float(past_kw[i])}
            peer.publish("gap/home/reading", json.dumps(payload), 1)
        return [message.document for message in peer.wait_for("gap/home/forecast", n_before + n)[n_before:]]

    with running(settings, clock_s=clock) as gateway:
        assert "refit" in publish(N_READINGS, 5, 0)[-1]["experts"]
        assert not has_forest(gateway)
        assert metric(gateway, "gapcast_refit_devices") == 0
        clock.now_s += max(DAY_MIN * 60, START_DELAY_S)
        wait_until(lambda: has_forest(gateway), "the trees of the nightly refit")
        wait_until(lambda: metric(gateway, "gapcast_refit_devices") == 1, "the metrics of the refit")
        assert metric(gateway, "gapcast_refit_last_run_timestamp_seconds") == clock.now_s
        publish(N_READINGS + 5, 5, 5)

    with running(settings, clock_s=clock) as gateway:
        assert has_forest(gateway), "kept with the state"
        publish(N_READINGS + 10, 5, 10)
        assert httpx.delete(f"{gateway.url}/devices/home").status_code == 204
        assert not has_forest(gateway)
    assert not list((tmp_path / "state").rglob("home.*")), "nothing is left of a forgotten device"
