"""``gapcast run``: start, stop, and the exit code of each error."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Invoke, Start
from tests.integration.test_stream import FIRST, power, reading
from tests.support.brokers import MosquittoBroker
from tests.support.models import ModelCopy, shipped_models
from tests.support.peers import peer_of
from tests.support.ports import LOOPBACK, free_port

SettingsOf = Callable[[int], tuple[str, ...]]
STATUS = "gapcast/e2e/status"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_sigterm_publishes_offline_and_exits_0(
    start: Start, settings_of: SettingsOf, http_port: int, mosquitto: MosquittoBroker, number: signal.Signals
) -> None:
    service = start("run", *settings_of(mosquitto.port))
    service.wait_ready(http_port)
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        peer.subscribe("gap/+/forecast")
        peer.subscribe("gapcast/+/status")
        n = 400
        for i in range(n):
            peer.send("gap/home/reading", reading(FIRST + i, power(i)))
        peer.wait_for("gap/home/forecast")
        service.signal(number)
        assert service.wait() == 0
        assert [message.payload for message in peer.wait_for(STATUS, 2)] == [b"online", b"offline"]

        # Its state is there for the next process: nothing was lost.
        again = start("run", *settings_of(mosquitto.port))
        again.wait_ready(http_port)
        observed = {m.document["observed_at"] for m in peer.wait_for("gap/home/forecast", n - 2)}
        assert len(observed) >= n - 2
    stopped = next(json.loads(line) for line in service.err.splitlines() if "service.stopped" in line)
    assert stopped["all_confirmed"] is True
    assert "Traceback" not in service.err


def test_run_killed_is_offline_by_its_last_will(
    start: Start, settings_of: SettingsOf, http_port: int, mosquitto: MosquittoBroker
) -> None:
    service = start("run", *settings_of(mosquitto.port))
    service.wait_ready(http_port)
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        peer.subscribe("gapcast/+/status")
        service.signal(signal.SIGKILL)
        assert [message.payload for message in peer.wait_for(STATUS, 2)] == [b"online", b"offline"]
    with peer_of(mosquitto.host, mosquitto.port) as later:
        later.subscribe("gapcast/+/status")
        message = later.wait_for(STATUS)[0]
        assert (message.payload, message.retained) == (b"offline", True)


def test_run_without_a_broker_starts_and_stops(start: Start, settings_of: SettingsOf, http_port: int) -> None:
    service = start("run", *settings_of(free_port()))
    service.wait_ready(http_port, "/livez")
    assert httpx.get(f"http://{LOOPBACK}:{http_port}/readyz").status_code == 503
    service.wait_for_output("mqtt.unreachable")
    service.signal(signal.SIGTERM)
    assert service.wait() == 0


def test_run_logs_json_without_a_terminal(start: Start, settings_of: SettingsOf, http_port: int) -> None:
    service = start("run", *settings_of(free_port()))
    service.wait_ready(http_port, "/livez")
    service.wait_for_output("mqtt.unreachable")
    service.signal(signal.SIGTERM)
    service.wait()
    events = [json.loads(line) for line in service.err.splitlines() if not line.startswith("INFO: ")]  # the runtime's
    assert {"http.listening", "service.started", "mqtt.unreachable", "service.stopped"} <= {e["event"] for e in events}
    assert all(event["level"] and event["timestamp"].endswith("Z") for event in events)


def test_run_keeps_the_gateway_id(start: Start, http_port: int, mosquitto: MosquittoBroker) -> None:
    names = []
    for _ in range(2):
        service = start("run", GAPCAST_MQTT__HOST=LOOPBACK, GAPCAST_MQTT__PORT=mosquitto.port,
                        GAPCAST_HTTP__PORT=http_port)  # fmt: skip
        service.wait_ready(http_port)
        with peer_of(mosquitto.host, mosquitto.port) as peer:
            peer.subscribe("gapcast/+/status")
            peer.wait_that(lambda messages: any(m.payload == b"online" for m in messages), "online")
            names.append([message.topic for message in peer.messages if message.payload == b"online"])
        service.signal(signal.SIGTERM)
        assert service.wait() == 0
    assert len(names[0]) == 1
    assert names[0] == names[1]


# --- what is wrong ------------------------------------------------------------------------------------

#: Environment or command line -> the key that is named.
BAD_SETTINGS: dict[str, tuple[dict[str, str], tuple[str, ...], str]] = {
    "an unknown key": ({}, ("--set", "mqtt.hots=broker"), "mqtt.hots"),
    "a port that is none": ({"GAPCAST_MQTT__PORT": "18x"}, (), "GAPCAST_MQTT__PORT"),
    "limits the wrong way round": ({}, ("--set", "limits.min_kw=5", "--set", "limits.max_kw=1"), "limits"),
    "one underscore": ({"GAPCAST_MQTT_HOST": "broker"}, (), "GAPCAST_MQTT__HOST"),
    "a secret that is not there": ({"GAPCAST_MQTT__PASSWORD_FILE": "/nowhere"}, (), "GAPCAST_MQTT__PASSWORD_FILE"),
    "a file that is not there": ({}, ("--config", "nowhere.toml"), "nowhere.toml"),
    "a setting without a value": ({}, ("--set", "mqtt.host"), "--set"),
}


@pytest.mark.parametrize("what", BAD_SETTINGS)
def test_run_bad_configuration_names_the_key(invoke: Invoke, what: str) -> None:
    variables, arguments, key = BAD_SETTINGS[what]
    service = invoke("run", *arguments, **variables)
    assert service.wait() == 2
    assert service.out == ""
    sentence = service.err.strip().splitlines()[-1]
    assert key in sentence
    assert "Traceback" not in service.err
    if what != "a setting without a value":  # click's own, with its usage
        assert [line for line in service.err.splitlines() if not line.startswith("INFO: ")] == [sentence]
        assert sentence.startswith("gapcast: ")


def test_run_topic_without_a_device_names_the_key(start: Start) -> None:
    service = start("run", "--set", "topics.reading=gap/reading")
    assert service.wait() == 2
    assert service.out == ""
    (sentence,) = (line for line in service.err.splitlines() if not line.startswith("INFO: "))
    assert sentence.startswith("gapcast: ")
    assert "topics.reading" in sentence


def test_run_bad_file_is_named_without_passwords(invoke: Invoke, tmp_path: Path) -> None:
    config = tmp_path / "gapcast.toml"
    config.write_text('[mqtt]\npassword = ["s3cret"]\n', encoding="utf-8")
    service = invoke("run", "--config", config)
    assert service.wait() == 2
    assert "mqtt.password" in service.err
    assert "s3cret" not in service.err
    config.write_text("[mqtt\n", encoding="utf-8")
    service = invoke("run", "--config", config)
    assert service.wait() == 2
    assert str(config) in service.err


def test_run_port_in_use_names_the_key(start: Start, settings_of: SettingsOf, http_port: int) -> None:
    with socket.create_server((LOOPBACK, http_port)):
        service = start("run", *settings_of(free_port()))
        assert service.wait() == 2
    assert f"http.port: cannot listen on {LOOPBACK} port {http_port}" in service.err
    assert "Traceback" not in service.err


def test_run_altered_model_has_its_own_exit_code(start: Start, settings_of: SettingsOf, tmp_path: Path) -> None:
    copy = ModelCopy(tmp_path / "models")
    content = bytearray(copy.file.read_bytes())
    content[len(content) // 2] ^= 1
    copy.alter_file(bytes(content))
    service = start("run", *settings_of(free_port()), GAPCAST_MODELS__PATH=copy.models)
    assert service.wait() == 3
    assert f"{copy.file}: is not the file that its card describes" in service.err
    assert "Traceback" not in service.err


@pytest.mark.parametrize("missing", ["model.tflite", "registry.json", "everything"])
def test_run_missing_model_has_its_own_exit_code(
    start: Start, settings_of: SettingsOf, tmp_path: Path, missing: str
) -> None:
    copy = ModelCopy(tmp_path / "models")
    folder = tmp_path / "nowhere" if missing == "everything" else copy.models
    for path in copy.models.rglob(missing):
        path.unlink()
    service = start("run", *settings_of(free_port()), GAPCAST_MODELS__PATH=folder)
    assert service.wait() == 3
    assert str(folder) in service.err
    assert "Traceback" not in service.err


def test_run_horizon_that_no_model_has_is_an_invalid_setting(start: Start, settings_of: SettingsOf) -> None:
    service = start("run", *settings_of(free_port()), "--set", "forecast.devices.house.horizon_min=7")
    assert service.wait() == 2
    assert "forecast.devices.house.horizon_min: no model forecasts 7 min ahead; possible are " in service.err


def test_run_unknown_model_lists_the_known_ones(start: Start, settings_of: SettingsOf) -> None:
    service = start("run", *settings_of(free_port()), "--set", "forecast.model=oracle")
    assert service.wait() == 3
    assert f"there is no model 'oracle' in {shipped_models()}; there are: " in service.err
