"""The other commands: check, models, replay, demo."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from gapcast.compiled.library import machine_name
from gapcast.core.windows.features import DERIVED
from gapcast.sample import sample_path
from tests.e2e.conftest import Invoke, Start
from tests.support.brokers import AmqttBroker, Broker
from tests.support.models import (
    ModelCopy,
    default_name,
    every_feature_model,
    history_model,
    shipped_models,
    shipped_names,
)  # fmt: skip
from tests.support.peers import peer_of
from tests.support.ports import free_port, is_open

SettingsOf = Callable[[int], tuple[str, ...]]

FORECAST = re.compile(
    r"2010-\d\d-\d\d \d\d:\d\d  now +-?\d+\.\d{3} kW   \d\d:\d\d +-?\d+\.\d{3} kW"
    r"(   \| forecast for now +-?\d+\.\d{3} kW, error +\d+\.\d{3} kW)?"
)
SUMMARY = re.compile(
    r"(?P<readings>\d+) readings, (?P<forecasts>\d+) forecasts, (?P<scored>\d+) scored\n"
    r"  forecast     MSE \d+\.\d{4} kW²  MAE \d+\.\d{4} kW\n"
    r"  persistence  MSE \d+\.\d{4} kW²  MAE \d+\.\d{4} kW\n"
    r"  skill [+-]\d+\.\d% .*\n"
    r"  latency, .*: p50 \d+\.\d ms, p99 \d+\.\d ms\n\Z"
)


def replay_settings(settings_of: SettingsOf, broker: Broker) -> tuple[str, ...]:
    """amqtt does not support MQTT 5."""
    return settings_of(broker.port) + (("--set", "mqtt.protocol=3.1.1") if isinstance(broker, AmqttBroker) else ())


# --- check --------------------------------------------------------------------------------------------


def published_line(name: str) -> str:
    """Return check's line of a shipped primary model on a site in UTC."""
    card = json.loads((shipped_models() / name / "card.json").read_text(encoding="utf-8"))
    knows_the_time = {feature["name"] for feature in card["features"]} & set(DERIVED)
    return f"; primary model: {name}" + (" (time zone UTC)" if knows_the_time else "")


@pytest.mark.compiled
def test_check_ok(start: Start, settings_of: SettingsOf, broker: Broker) -> None:
    command = start("check", "--wait", 0.2, *replay_settings(settings_of, broker))
    assert command.wait() == 0
    models, steps, reached, silence, fix, clock, memory, state, port = command.out.splitlines()
    assert models.startswith(f"ok   models: {', '.join(shipped_names())} self-tested on ")
    assert models.endswith(published_line(default_name()))
    assert steps == f"ok   compiled steps: in use, built for {machine_name()}"
    version = "3.1.1" if isinstance(broker, AmqttBroker) else "5"
    assert (
        reached
        == f"ok   broker: {broker.host} port {broker.port}, MQTT {version}, subscribed to gap/{{device}}/reading"
    )
    assert silence == "warn readings: no message on gap/{device}/reading within 0.2 s"
    assert "--wait 70" in fix
    assert [line.split(":")[0] for line in (clock, memory, state, port)] == [
        "ok   clock", "ok   memory", "ok   state", "ok   http",
    ]  # fmt: skip


def test_check_does_not_disturb_a_running_gateway(
    start: Start, settings_of: SettingsOf, http_port: int, broker: Broker
) -> None:
    service = start("run", *replay_settings(settings_of, broker))
    service.wait_ready(http_port)
    command = start("check", "--wait", 0, *replay_settings(settings_of, broker))
    assert command.wait() == 0
    assert f"ok   http: 127.0.0.1 port {http_port}: a gapcast service is already running there" in command.out
    with peer_of(broker.host, broker.port) as peer:
        peer.subscribe("gapcast/+/status")
        assert [message.payload for message in peer.wait_for("gapcast/e2e/status")] == [b"online"]
    assert "mqtt.disconnected" not in service.err


def test_check_without_a_broker(invoke: Invoke, settings_of: SettingsOf) -> None:
    port = free_port()
    command = invoke("check", *settings_of(port))
    assert command.wait() == 1
    assert command.out.splitlines()[0].startswith("ok   models: ")
    [failed] = [line for line in command.out.splitlines() if line.startswith("FAIL")]
    assert failed.startswith(f"FAIL broker: 127.0.0.1 port {port}: unreachable: ")


@pytest.mark.parametrize("name", shipped_names())
def test_check_lists_models_that_use_the_time_of_day(invoke: Invoke, settings_of: SettingsOf, name: str) -> None:
    command = invoke("check", *settings_of(free_port()), GAPCAST_FORECAST__MODEL=name)
    assert command.wait() == 1
    assert command.out.splitlines()[0].endswith(published_line(name))


def test_check_names_the_time_zone_of_a_model(invoke: Invoke, settings_of: SettingsOf, tmp_path: Path) -> None:
    copy = ModelCopy(tmp_path / "models", source=every_feature_model())
    zone = ("--set", "site.timezone=Europe/Paris")
    command = invoke("check", *settings_of(free_port()), *zone, GAPCAST_MODELS__PATH=copy.models)
    assert command.wait() == 1
    assert command.out.splitlines()[0].endswith("; primary model: every-feature (time zone Europe/Paris)")


def test_check_names_a_bad_model(invoke: Invoke, settings_of: SettingsOf, tmp_path: Path) -> None:
    copy = ModelCopy(tmp_path / "models")
    copy.alter_file(copy.file.read_bytes()[:-1])
    command = invoke("check", *settings_of(free_port()), GAPCAST_MODELS__PATH=copy.models)
    assert command.wait() == 3
    assert command.out.startswith(f"FAIL models: {copy.file}: is not the file that its card describes")


def test_check_names_a_bad_key(invoke: Invoke) -> None:
    command = invoke("check", "--set", "mqtt.port=0")
    assert command.wait() == 2
    assert "mqtt.port" in command.err


# --- models -------------------------------------------------------------------------------------------


def test_models_lists_models_with_scores(invoke: Invoke) -> None:
    command = invoke("models")
    assert command.wait() == 0
    assert command.out.startswith("scored on ")
    lines = [line for line in command.out.splitlines() if line[:2] in {"* ", "  "}]
    assert sorted(line[2:].split()[0] for line in lines) == shipped_names()
    assert [line[2:].split()[0] for line in lines if line.startswith("* ")] == [default_name()]
    for line in lines:
        assert re.search(r"\d+ parameters +\d+\.\d kB  MSE \d\.\d{4} \(persistence \d\.\d{4}\)  MAE \d\.\d{4}", line)
        assert re.search(r"; [\d, -]+ min ahead(, history of 7 days)?$", line)


def test_models_shows_lead_times_and_history(invoke: Invoke, tmp_path: Path) -> None:
    folder = ModelCopy(tmp_path / "models", source=history_model()).models
    command = invoke("models", GAPCAST_MODELS__PATH=folder)
    assert command.wait() == 0
    assert command.out.splitlines()[1].endswith("; 1-5, 10, 15, 30, 60 min ahead, history of 7 days")


def test_models_prints_nothing_of_the_runtime_to_standard_error(start: Start) -> None:
    command = start("models")
    assert command.wait() == 0
    assert command.err == ""


def with_median_error(mae_median_kw: float | None) -> Callable[[Any], object]:
    return lambda card: card["scores"]["model"].update(mae_kw=0.3, mae_median_kw=mae_median_kw)


def test_models_shows_the_medians_error_if_present(invoke: Invoke, tmp_path: Path) -> None:
    copies = [ModelCopy(tmp_path / "models", name, every_feature_model()) for name in ("with", "without")]
    for copy, mae_median_kw in zip(copies, (0.25, None), strict=True):
        copy.alter_card(with_median_error(mae_median_kw))
    command = invoke("models", GAPCAST_MODELS__PATH=copies[0].models)
    assert command.wait() == 0
    _data, first, second = command.out.splitlines()
    scores = "  MSE 0.2000 (persistence 0.2000)  MAE "
    assert first.startswith("  with         test          635 parameters ")
    assert first.endswith(f"{scores}0.2500 (0.2000), of the median; 1-5 min ahead")
    assert second.startswith("* without      test          635 parameters ")
    assert second.endswith(f"{scores}0.3000 (0.2000); 1-5 min ahead")


# --- replay -------------------------------------------------------------------------------------------


def test_replay_publishes_a_file(start: Start, settings_of: SettingsOf, broker: Broker) -> None:
    with peer_of(broker.host, broker.port) as peer:
        peer.subscribe("gap/+/reading")
        command = start("replay", sample_path(), "--speed", "max", "--limit", 100, "--device", "cabin",
                        *settings_of(broker.port))  # fmt: skip
        assert command.wait() == 0
        assert command.out == "100 readings published as cabin\n"
        documents = [message.document for message in peer.wait_for("gap/cabin/reading", 100)]
    assert len(peer.messages) == 100
    assert [list(document) for document in documents] == [["ts", "gap_kw"]] * 100
    assert documents == sorted(documents, key=lambda document: document["ts"])
    assert documents[0]["ts"].startswith("2010-")


def test_replay_that_no_source_reads_warns(
    invoke: Invoke, settings_of: SettingsOf, broker: Broker, tmp_path: Path
) -> None:
    config = tmp_path / "gapcast.toml"
    config.write_text('[[sources]]\npreset = "tasmota"\n', encoding="utf-8")
    command = invoke("replay", "--speed", "max", "--limit", 1, "--config", config, *settings_of(broker.port))
    assert command.wait() == 0, command.err
    assert "warning: a gateway with this configuration does not read gap/replay/reading" in command.err
    assert command.out == "1 readings published as replay\n"


def test_replay_without_a_file_uses_the_bundled_week(invoke: Invoke, settings_of: SettingsOf, broker: Broker) -> None:
    with peer_of(broker.host, broker.port) as peer:
        peer.subscribe("gap/+/reading")
        command = invoke("replay", "--speed", "max", "--limit", 1, *settings_of(broker.port))
        assert command.wait() == 0
        assert peer.wait_for("gap/replay/reading")[0].document == {"ts": "2010-07-12T00:00:00Z", "gap_kw": 3.58}
    assert "readings" not in command.err  # a bar is for a terminal; this is a log


def test_replay_is_forecast_by_a_running_service(
    start: Start, settings_of: SettingsOf, http_port: int, broker: Broker
) -> None:
    start("run", *replay_settings(settings_of, broker)).wait_ready(http_port)
    with peer_of(broker.host, broker.port) as peer:
        peer.subscribe("gap/+/forecast")
        for n in (49, 49 + 48):  # replayed twice, it forecasts twice, but for what shows that it starts again
            command = start("replay", sample_path(), "--speed", "max", "--limit", 50, *settings_of(broker.port))
            assert command.wait() == 0
            peer.wait_for("gap/replay/forecast", n)
    first, second = peer.messages[:49], peer.messages[49:]
    observed = [message.document["observed_at"] for message in first]
    assert [message.document["observed_at"] for message in second] == observed[1:]


def test_replay_starts_at_the_given_time(invoke: Invoke, settings_of: SettingsOf, broker: Broker) -> None:
    with peer_of(broker.host, broker.port) as peer:
        peer.subscribe("gap/+/reading")
        arguments = ("replay", sample_path(), "--speed", "max", "--limit", 1, *settings_of(broker.port))
        assert invoke(*arguments).wait() == 0
        first = peer.wait_for("gap/replay/reading")[0].document["ts"]
        day = f"{first[:8]}{int(first[8:10]) + 1:02d}"
        assert invoke(*arguments, "--start", f"{day}T12:00").wait() == 0
        assert peer.wait_for("gap/replay/reading", 2)[1].document["ts"] == f"{day}T12:00:00Z"


def test_replay_to_the_present_publishes_past_readings_at_once(
    start: Start, settings_of: SettingsOf, broker: Broker
) -> None:
    """Half of such a short file is over; each other minute is published when it is over."""
    with peer_of(broker.host, broker.port) as peer:
        peer.subscribe("gap/+/reading")
        command = start("replay", "--now", "--limit", 60, *settings_of(broker.port))
        sent = peer.wait_for("gap/replay/reading", 30)
        command.signal(signal.SIGTERM)
        assert command.wait() == 0
    minutes = [round(datetime.fromisoformat(one.document["ts"]).timestamp()) // 60 for one in sent]
    assert minutes == list(range(minutes[0], minutes[0] + len(sent)))
    assert 0 < time.time() / 60 - minutes[-1] < 60
    assert "to now at once, then one a minute until" in command.err


def test_replay_reads_any_csv_by_its_columns(
    invoke: Invoke, settings_of: SettingsOf, broker: Broker, tmp_path: Path
) -> None:
    file = tmp_path / "meter.csv"
    file.write_text(
        "when,W\n2024-01-01 00:00,1230\n2024-01-01T00:01,0.5\n2024-01-01 00:02:00,\n2024-01-01 00:03:00,40\n", "utf-8"
    )
    with peer_of(broker.host, broker.port) as peer:
        peer.subscribe("gap/+/reading")
        columns = ("--time-column", "when", "--value-column", "W", "--unit", "W")
        zone = ("--set", "site.timezone=Europe/Berlin")
        assert invoke("replay", file, "--speed", "max", *columns, *zone, *settings_of(broker.port)).wait() == 0
        documents = [message.document for message in peer.wait_for("gap/replay/reading", 3)]
    assert documents == [
        {"ts": "2023-12-31T23:00:00Z", "gap_kw": 1.23},
        {"ts": "2023-12-31T23:01:00Z", "gap_kw": 0.0005},
        {"ts": "2023-12-31T23:03:00Z", "gap_kw": 0.04},
    ]


BAD_REPLAYS: dict[str, tuple[tuple[str, ...], str]] = {
    "no such file": (("nowhere.csv",), "nowhere.csv"),
    "no such column": ((str(sample_path()), "--time-column", "when", "--value-column", "W"), "no column 'when'"),
    "a name that names no device": ((str(sample_path()), "--device", "my house"), "--device: 'my house'"),
    "a start that is no time": ((str(sample_path()), "--start", "noon"), "--start 'noon'"),
    "a speed and the present": ((str(sample_path()), "--now", "--speed", "2"), "leave out --speed"),
    "a speed of nothing": ((str(sample_path()), "--speed", "0"), "--speed"),
}


@pytest.mark.parametrize("what", BAD_REPLAYS)
@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_replay_errors_are_one_sentence(invoke: Invoke, settings_of: SettingsOf, broker: Broker, what: str) -> None:
    arguments, words = BAD_REPLAYS[what]
    command = invoke("replay", *arguments, *settings_of(broker.port))
    assert command.wait() == 2
    assert words in command.err
    assert "Traceback" not in command.err


def test_replay_without_a_broker(invoke: Invoke, settings_of: SettingsOf) -> None:
    port = free_port()
    command = invoke("replay", sample_path(), *settings_of(port))
    assert command.wait() == 2
    assert command.err.startswith(f"gapcast: the broker at 127.0.0.1 port {port} cannot be reached")


# --- demo ---------------------------------------------------------------------------------------------


def test_demo_shows_forecasts_outcomes_and_a_summary(start: Start) -> None:
    """The demo is interrupted once it has shown outcomes; the next but one test lets its duration end it."""
    command = start("demo", "--speed", 600, "--mqtt-port", free_port(), "--http-port", free_port())
    command.wait_for_outputs("forecast for now", 2)
    command.signal(signal.SIGINT)
    assert command.wait() == 0
    summary = SUMMARY.search(command.out)
    assert summary, command.out
    n_readings, n_forecasts, n_scored = (int(summary[name]) for name in ("readings", "forecasts", "scored"))
    lines = [line for line in command.out[: summary.start()].splitlines() if line.startswith("2010-")]
    assert all(FORECAST.fullmatch(line) for line in lines)
    assert n_readings >= 7
    assert n_forecasts == len(lines) == n_readings - 1
    with_outcome = [line for line in lines if "forecast for now" in line]
    assert len(with_outcome) == n_scored >= n_forecasts - 5
    assert re.search(r"^open   http://127\.0\.0\.1:\d+/$", command.out, re.MULTILINE)
    assert "Traceback" not in command.err


def test_demo_uses_free_ports_and_ends_with_ctrl_c(start: Start, broker: Broker) -> None:
    command = start("demo", "--speed", 600, "--mqtt-port", broker.port, "--http-port", broker.port)
    command.wait_for_output("forecast for now")
    address = re.search(r"^open   http://127\.0\.0\.1:(\d+)/$", command.out, re.MULTILINE)
    assert address
    assert int(address[1]) != broker.port
    assert is_open(int(address[1]))
    command.wait_ready(int(address[1]))
    command.signal(signal.SIGINT)
    assert command.wait() == 0
    assert SUMMARY.search(command.out), command.out
    assert "Traceback" not in command.err


def test_demo_reports_insufficient_data(start: Start) -> None:
    command = start("demo", "--speed", 1, "--duration", 0.5, "--mqtt-port", free_port(), "--http-port", free_port())
    assert command.wait() == 0
    # Half a second of a busy machine may be too short for the first reading.
    assert re.search(r"\n[01] readings, 0 forecasts: not enough data to score\n$", command.out)


def test_demo_uses_the_configured_model_and_its_own_broker(start: Start) -> None:
    name = next(name for name in shipped_names() if name != default_name())
    command = start("demo", "--speed", 600, "--mqtt-port", free_port(), "--http-port", free_port(),
                    GAPCAST_FORECAST__MODEL=name, GAPCAST_FORECAST__BLEND="false",
                    GAPCAST_MQTT__HOST="nowhere.invalid")  # fmt: skip
    command.wait_for_output("forecast for now")
    address = re.search(r"^open   (http://127\.0\.0\.1:\d+/)$", command.out, re.MULTILINE)
    assert address
    assert httpx.get(f"{address[1]}predict", params={"device": "home"}).json()["model"] == name
    command.signal(signal.SIGINT)
    assert command.wait() == 0


def test_demo_rejects_a_model_with_other_features(invoke: Invoke, tmp_path: Path) -> None:
    copy = ModelCopy(tmp_path / "models", source=every_feature_model())
    command = invoke("demo", "--mqtt-port", free_port(), "--http-port", free_port(), GAPCAST_MODELS__PATH=copy.models)
    assert command.wait() == 3
    assert command.out == ""
    assert (
        "gapcast: model every-feature needs reactive_kvar, voltage_v, current_a, which the demo's recording lacks: "
        "select another\n"
    ) in command.err
    assert "Traceback" not in command.err
    assert "ResourceWarning" not in command.err


def test_demo_names_a_bad_key(invoke: Invoke) -> None:
    command = invoke("demo", GAPCAST_SITE__TIMEZONE="Europe/Pars")
    assert command.wait() == 2
    assert "environment GAPCAST_SITE__TIMEZONE: there is no such time zone" in command.err


# --- the package --------------------------------------------------------------------------------------


def test_edge_imports_nothing_of_the_trainer(environment: dict[str, str]) -> None:
    program = (
        "import importlib, pkgutil, sys, gapcast\n"
        "found = pkgutil.walk_packages(gapcast.__path__, 'gapcast.')\n"
        # Only the child process of a refit loads what LightGBM needs.
        "names = [m.name for m in found if m.name not in ('gapcast.__main__', 'gapcast.refit.fit')]\n"
        "[importlib.import_module(name) for name in names]\n"
        "print(len(names), *sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    n_modules, *loaded = done.stdout.split()
    assert int(n_modules) > 40
    assert not {"tensorflow", "keras", "pandas", "sklearn", "matplotlib", "lightgbm", "gapcast_trainer"} & set(loaded)


@pytest.mark.parametrize(
    "command", ["run", "demo", "replay", "import", "check", "status", "models", "setup", "systemd-unit"]
)
def test_commands_have_help(invoke: Invoke, command: str) -> None:
    shown = invoke(command, "--help")
    assert shown.wait() == 0
    assert shown.out.startswith(f"Usage: gapcast {command}")
