"""A gateway that restarts continues as if it had not stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from gapcast.core.time_grid import minute_label
from gapcast.storage.generations import checkpoint_path, files_of
from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, offline, power, reading, without_issue
from tests.support.brokers import BROKER_KINDS, Broker, MosquittoBroker, started_broker
from tests.support.gateways import ALONE, Gateway
from tests.support.waiting import wait_until

IN, OUT = "gap/home/reading", "gap/home/forecast"
N = 40


@pytest.fixture(params=BROKER_KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """A started broker of each kind, because the tested behaviour may differ between them."""
    with started_broker(request.param, tmp_path) as made:
        yield made


def metric(gateway: Gateway, name: str) -> float:
    lines = httpx.get(f"{gateway.url}/metrics").text.splitlines()
    return float(next(line.split()[-1] for line in lines if line.startswith(f"{name} ")))


def forecasts_of(gateway: Gateway) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{gateway.url}/predict").json()["forecasts"]
    return found


@pytest.mark.parametrize("away_min", [1, 3, 5, 6])
def test_restart_does_not_change_the_first_forecast(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect, away_min: int
) -> None:
    """From the sixth minute a reading follows five missing ones, as it would without the restart."""
    peer = connect(mosquitto)
    peer.subscribe("gap/+/forecast")
    minutes = [(FIRST + i, power(i)) for i in range(N)] + [(FIRST + N - 1 + away_min, 2.345)]
    gateway = start_gateway(mosquitto, forecast=ALONE)
    for i in range(N):
        peer.publish(IN, reading(*minutes[i]))
        if i:
            peer.wait_for(OUT, i)  # one by one, as the engine alone has them
    last = forecasts_of(gateway)
    gateway.stop()

    gateway = start_gateway(mosquitto, forecast=ALONE)
    assert forecasts_of(gateway) == last, "what was last forecast is there at once, with the time it was issued"
    peer.publish(IN, reading(*minutes[N]))
    documents = [message.document for message in peer.wait_for(OUT, N)]
    assert [without_issue(document) for document in documents] == offline("home", minutes), "bit for bit"
    assert metric(gateway, "gapcast_state_kept") == 1
    # Written once the broker has confirmed the forecast.
    wait_until(lambda: metric(gateway, "gapcast_state_written_bytes_total") > 0, "the batch to be written")


def test_restart_without_state_starts_empty(broker: Broker, start_gateway: StartGateway, connect: Connect) -> None:
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    gateway = start_gateway(broker, state={"keep": False})
    for i in range(3):
        peer.publish(IN, reading(FIRST + i, power(i)))
    peer.wait_for(OUT, 2)
    assert "state:kept" not in httpx.get(f"{gateway.url}/readyz").json()["checks"]
    assert metric(gateway, "gapcast_state_kept") == 0
    gateway.stop()
    gateway = start_gateway(broker, state={"keep": False})
    assert forecasts_of(gateway) == []
    for i in range(3, 5):
        peer.publish(IN, reading(FIRST + i, power(i)))
    newest = peer.wait_for(OUT, 3)[-1].document
    assert (newest["observed_at"], newest["n_observed"]) == (minute_label(FIRST + 4), 2)


def test_restart_without_state_logs_the_forecasts_of_queued_readings(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    """The queued readings arrive with the connection, before the intake is first looked at."""
    peer = connect(mosquitto)
    peer.subscribe("gap/+/forecast")
    start_gateway(mosquitto, state={"keep": False}).stop()
    for i in range(3):
        peer.publish(IN, reading(FIRST + i, power(i)))
    with capture_logs() as entries:
        start_gateway(mosquitto, state={"keep": False})
        peer.wait_for(OUT, 2)
        wait_until(lambda: any(one["event"] == "forecasts.started" for one in entries), "the log of the first forecast")


def test_restart_with_unwritable_state_forecasts_and_warns(
    broker: Broker, start_gateway: StartGateway, connect: Connect, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "stream").write_text("a file where the folder should be", encoding="utf-8")
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    gateway = start_gateway(broker)
    for i in range(3):
        peer.publish(IN, reading(FIRST + i, power(i)))
    peer.wait_for(OUT, 2)
    health = httpx.get(f"{gateway.url}/readyz")
    assert health.status_code == 200
    assert health.json()["status"] == "warn"
    (check,) = health.json()["checks"]["state:kept"]
    assert check["status"] == "warn"
    assert "readings are not persisted across a restart" in check["output"]
    assert metric(gateway, "gapcast_state_kept") == 0
    assert (tmp_path / "state" / "stream").read_text(encoding="utf-8") == "a file where the folder should be"


def test_restart_on_a_damaged_checkpoint_warns_and_forecasts(
    broker: Broker, start_gateway: StartGateway, connect: Connect, tmp_path: Path
) -> None:
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    gateway = start_gateway(broker)
    assert httpx.get(f"{gateway.url}/readyz").json()["checks"]["state:restored"] == [{"status": "pass"}]
    for i in range(3):
        peer.publish(IN, reading(FIRST + i, power(i)))
    peer.wait_for(OUT, 2)
    last = forecasts_of(gateway)
    gateway.stop()
    folder = tmp_path / "state" / "stream"
    newest = max(generation for path, generation in files_of(folder).items() if path.suffix == ".npz")
    path = checkpoint_path(folder, newest)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)

    gateway = start_gateway(broker)
    health = httpx.get(f"{gateway.url}/readyz")
    assert (health.status_code, health.json()["status"]) == (200, "warn")
    (check,) = health.json()["checks"]["state:restored"]
    assert check["status"] == "fail"
    assert f"{path.name}: its digest is wrong" in check["output"]
    assert f"Used instead: {checkpoint_path(folder, newest - 1).name}" in check["output"]
    assert forecasts_of(gateway) == last
    peer.publish(IN, reading(FIRST + 3, power(3)))
    newest_forecast = peer.wait_for(OUT, 3)[-1].document
    assert (newest_forecast["observed_at"], newest_forecast["n_observed"]) == (minute_label(FIRST + 3), 4)


# --- what others see of the devices that come back --------------------------------------------------------


@pytest.mark.mosquitto
def test_restart_announces_restored_devices(tmp_path: Path, start_gateway: StartGateway, connect: Connect) -> None:
    """The device that continues is online, the other is offline, each by its name."""
    forgetful = MosquittoBroker(tmp_path / "mosquitto", ("persistence false",))
    forgetful.start()
    try:
        gateway = start_gateway(forgetful, forecast={"model": "lstm-5-3"})
        meter = connect(forgetful)
        meter.subscribe("gap/+/forecast")
        for device in ("gone", "home", "cellar"):
            for i in range(3):
                meter.publish(f"gap/{device}/reading", reading(FIRST + i, power(i)))
            meter.wait_for(f"gap/{device}/forecast", 2)
        assert httpx.delete(f"{gateway.url}/devices/gone").status_code == 204
        meter.close()
        gateway.stop()
        forgetful.stop()
        forgetful.start()

        devices = {"stale_after_min": 0.02}
        gateway = start_gateway(forgetful, forecast={"model": "lstm-5-3"}, devices=devices)
        assert [forecast["device"] for forecast in forecasts_of(gateway)] == ["cellar", "home"]
        assert httpx.get(f"{gateway.url}/predict?device=gone").status_code == 404
        meter = connect(forgetful)
        meter.subscribe("gap/+/availability")
        meter.subscribe("gap/+/forecast")
        meter.publish("gap/home/reading", reading(FIRST + 3, power(3)))
        assert meter.wait_for("gap/home/forecast")[0].document["n_observed"] == 4
        # Before its first reading, or long after it, home is offline as well.
        wait_until(lambda: b"online" in {one.payload for one in meter.on("gap/home/availability")}, "home online")
        assert meter.wait_for("gap/cellar/availability")[0].payload == b"offline"
        assert meter.on("gap/gone/availability") == []
    finally:
        forgetful.stop()


def test_restart_does_not_restore_a_forgotten_device(
    broker: Broker, start_gateway: StartGateway, connect: Connect, tmp_path: Path
) -> None:
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    gateway = start_gateway(broker)
    for device in ("home", "cellar"):
        for i in range(3):
            peer.publish(f"gap/{device}/reading", reading(FIRST + i, power(i)))
        peer.wait_for(f"gap/{device}/forecast", 2)
    assert httpx.delete(f"{gateway.url}/devices/home").status_code == 204
    files = tmp_path / "state" / "stream"

    def is_only_of_the_other() -> bool:
        try:
            contents = b"".join(path.read_bytes() for path in files_of(files))
        except FileNotFoundError:  # a file was replaced meanwhile
            return False
        return b"home" not in contents and b"cellar" in contents

    wait_until(is_only_of_the_other, "the files that tell of it to go")
    gateway.stop()
    gateway = start_gateway(broker)
    assert [forecast["device"] for forecast in forecasts_of(gateway)] == ["cellar"]
    assert httpx.delete(f"{gateway.url}/devices/home").status_code == 404
