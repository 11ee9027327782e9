"""A gateway for screenshots: replays the bundled week as several devices, each from a different day."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from threading import Event, Thread

from gapcast.app.application import Application
from gapcast.config.settings import Settings
from gapcast.core.time_grid import DAY_MIN
from gapcast.recordings.recording import read_recording
from gapcast.replay.publisher import MeterPublisher
from gapcast.sample import sample_path

HOST, MQTT_PORT, HTTP_PORT = "127.0.0.1", 18_831, 18_080
DAY_OF = {"cellar": 0, "home": 1, "workshop": 2}
#: The device with a limit, published only for pictures of its demand.
LIMITED = "flat"
TIMEOUT_S = 120.0


def picture_settings(state: Path) -> Settings:
    """Return the settings of a gateway on :data:`HTTP_PORT` with an embedded broker."""
    return Settings.model_validate({
        "mqtt": {"host": HOST, "port": MQTT_PORT, "protocol": "3.1.1"},
        "http": {"host": HOST, "port": HTTP_PORT},
        "state": {"path": state},
        "demand": {"devices": [{"device": LIMITED, "limit_kw": "month_peak"}]},
    })  # fmt: skip


@contextmanager
def running(settings: Settings) -> Iterator[Application]:
    """Run a gateway, and wait until it is connected."""
    stopping = Event()
    gateway = Application(settings, {})
    thread = Thread(target=gateway.run, args=(stopping,), name="gateway")
    thread.start()
    try:
        wait_until(lambda: gateway.service.queries.connected)
        yield gateway
    finally:
        stopping.set()
        thread.join()


def publish(
    gateway: Application, start: int, n_minutes: int, pause_s: float, day_of: Mapping[str, int] = DAY_OF
) -> None:
    """Publish ``n_minutes`` of each device, and wait until the gateway accepted them."""
    n_before = gateway.service.statistics.readings["accepted"]
    with ExitStack() as stack:
        meters = []
        for device, day in day_of.items():
            minutes = read_recording(sample_path()).minutes()
            first = day * DAY_MIN + start
            meter = stack.enter_context(MeterPublisher(HOST, MQTT_PORT, f"gap/{device}/reading"))
            meters.append((meter, islice(minutes, first, first + n_minutes)))
        for _ in range(n_minutes):
            for meter, minutes in meters:
                meter.publish(next(minutes))
                time.sleep(pause_s)
        wait_until(lambda: gateway.service.statistics.readings["accepted"] >= n_before + n_minutes * len(day_of))


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; exit with a message after :data:`TIMEOUT_S`."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline_s:
            sys.exit(f"the gateway did not finish within {TIMEOUT_S:.0f} s")
        time.sleep(0.05)
