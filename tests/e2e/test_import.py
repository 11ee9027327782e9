"""``gapcast import``, as a user starts it."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from gapcast.sample import sample_path
from tests.e2e.conftest import Start
from tests.support.brokers import Broker
from tests.support.ports import LOOPBACK
from tests.support.waiting import wait_until

WEEK = sample_path()
SettingsOf = Callable[[int], tuple[str, ...]]


def stream_of(folder: Path) -> Path:
    return folder / "state" / "gapcast" / "stream"


def is_locked(folder: Path) -> bool:
    """Whether another process holds the state."""
    if not folder.is_dir():
        return False
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_import_from_home_assistant_starts_the_service_warm(
    start: Start, settings_of: SettingsOf, http_port: int, broker: Broker, tmp_path: Path
) -> None:
    lines = [
        f"sensor.grid,{200 + k % 7 * 30},2026-04-0{1 + k // 1440}T{k // 60 % 24:02}:{k % 60:02}:07.250Z"
        for k in range(2_000)
    ]
    export = tmp_path / "history.csv"
    export.write_text("\n".join(["entity_id,state,last_changed", *lines, "light.desk,on,2026-04-01T00:00:00.000Z", ""]))
    ambiguous = start("import", export, "--device", "home", "--unit", "W")
    assert ambiguous.wait() == 2
    assert "gapcast: " in ambiguous.err
    assert "holds 2 series: choose one by --entity: light.desk, sensor.grid" in ambiguous.err
    options = ("--device", "home", "--unit", "W", "--entity", "sensor.grid", "--timezone", "Europe/Berlin")
    imported = start("import", export, *options)
    assert imported.wait() == 0, imported.err
    assert (
        "history.csv, sensor.grid (W), Home Assistant's history; each timestamp is a time with an offset"
        in imported.err
    )
    assert "home: learned from 2,000 readings, 2026-04-01 02:00 to 2026-04-02 11:19 (Europe/Berlin)" in imported.out
    assert "Learning, scores and the prediction interval are up to date until 2026-04-02 11:19." in imported.out
    service = start("run", *settings_of(broker.port))
    service.wait_ready(http_port)
    found = httpx.get(f"http://{LOOPBACK}:{http_port}/devices/home").json()
    assert found["scores"]["all_time"]["n"] > 1_900
    refused = start("import", WEEK, "--device", "home")
    assert refused.wait() == 4
    assert "the service is running: it holds" in refused.err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_stopped_import_leaves_the_state_as_it_was(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    first = start("import", WEEK, "--device", "barn", "--start", "2010-07-18T22:00")
    assert first.wait() == 0, first.err
    folder = stream_of(tmp_path)
    before = content(folder)
    command = start("import", WEEK, "--device", "home")
    wait_until(lambda: is_locked(folder), lambda: f"the import to begin: {command.err}")
    command.signal(number)
    assert command.wait() != 0
    assert content(folder) == before
    again = start("import", WEEK, "--device", "home", "--start", "2010-07-18T22:00")
    assert again.wait() == 0, again.err
    assert "home is a new device; existing devices: barn" in again.err
