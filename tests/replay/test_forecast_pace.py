"""A replay at full speed stays close to the gateway that forecasts it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event, Thread

import pytest

from gapcast.core.time_grid import minute_label
from gapcast.replay.forecast_pace import MOST_AHEAD, ForecastPace
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import gateway_settings, running
from tests.support.waiting import GUARD_S, wait_until

START = 29_344_200
N_READINGS = 4_000


def forecast(minute: int) -> bytes:
    return json.dumps({"observed_at": minute_label(minute)}).encode()


def has_length(found: list[int], n: int) -> bool:
    return len(found) >= n


def test_pace_waits_until_the_forecasts_catch_up() -> None:
    pace, passed = ForecastPace(Event(), most_ahead=3, patience_s=60), []

    def publish() -> None:
        for minute in range(START, START + 8):
            pace.wait(minute)
            passed.append(minute)

    meter = Thread(target=publish, daemon=True)
    meter.start()
    for n_passed in range(3, 8):
        wait_until(partial(has_length, passed, n_passed), "three readings ahead")
        assert len(passed) == n_passed
        pace.record_forecast(forecast(START + n_passed - 3))
    meter.join(GUARD_S)
    assert len(passed) == 8


def test_pace_without_a_gateway_does_not_wait() -> None:
    pace = ForecastPace(Event(), most_ahead=2, patience_s=0.25)
    for minute in range(START, START + 10_000):  # would be 40 minutes, if each waited
        pace.wait(minute)


def test_pace_ends_with_the_replay() -> None:
    stopping = Event()
    stopping.set()
    pace = ForecastPace(stopping, most_ahead=1, patience_s=1_000)
    for minute in range(START, START + 5):
        pace.wait(minute)


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"{}", b'{"observed_at": 3}', b'{"observed_at": "soon"}'])
def test_pace_ignores_what_is_no_forecast(payload: bytes) -> None:
    pace = ForecastPace(Event())
    pace.wait(START)
    pace.record_forecast(payload)


@pytest.fixture
def short_queue(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """A mosquitto that drops what a subscriber does not accept, after fewer messages than by default."""
    broker = MosquittoBroker(tmp_path / "mosquitto", (f"max_queued_messages {MOST_AHEAD + 100}",))
    broker.start()
    yield broker
    broker.stop()


@pytest.mark.long
@pytest.mark.mosquitto
def test_replay_at_full_speed_loses_no_reading(short_queue: MosquittoBroker, tmp_path: Path) -> None:
    """The command, in a separate process, publishes faster than the gateway forecasts."""
    command = [sys.executable, "-m", "gapcast", "replay", "--device", "home", "--speed", "max"]
    address = ("--set", f"mqtt.port={short_queue.port}", "--limit", str(N_READINGS))
    with running(gateway_settings(short_queue.port, tmp_path / "state")) as gateway:
        done = subprocess.run([*command, *address], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.stdout == f"{N_READINGS} readings published as home\n", done.stderr
        gateway.wait_taken(N_READINGS)
        assert gateway.service.statistics.readings["accepted"] == N_READINGS
