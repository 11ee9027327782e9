"""``gapcast check`` with real brokers and files: each problem is reported with its fix and exit code."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from gapcast.check import readings
from gapcast.check.finding import CheckInput, Severity
from gapcast.check.machine import check_state
from gapcast.check.run import run_checks
from gapcast.config.settings import Settings
from gapcast.config.shards import settings_for_shard
from gapcast.core.errors import EXIT_STATE_LOCKED, AddressError
from gapcast.core.time_grid import MINUTE_MS, minute_label
from tests.integration.conftest import StartGateway
from tests.integration.test_stream import reading
from tests.integration.test_tls import HERE, secured, tls
from tests.support.brokers import MosquittoBroker
from tests.support.certificates import Authority
from tests.support.gateways import gateway_settings
from tests.support.models import ModelCopy
from tests.support.peers import peer_of
from tests.support.ports import LOOPBACK, free_port
from tests.support.waiting import GUARD_S

pytestmark = pytest.mark.mosquitto
#: Number of messages after which listening ends: several of each topic that a test publishes repeatedly.
ENOUGH = 24
Check = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Run the checks; return the exit code and the lines. Listening ends after :data:`ENOUGH` messages."""
    monkeypatch.setattr(readings, "_MAX_MESSAGES", ENOUGH)

    def run(port: int, wait_s: float = 0.0, **sections: Any) -> tuple[int, list[str]]:
        shown: list[str] = []
        settings = gateway_settings(port, tmp_path / "state", **{"models": {}, **sections})
        return run_checks(settings, {}, shown.append, wait_s), shown

    return run


@contextmanager
def publishing(broker: MosquittoBroker, *messages: tuple[str, str | Callable[[], str]]) -> Iterator[None]:
    """Publish these messages repeatedly, like meters; a function creates a payload when it is sent."""
    ended = Event()
    with peer_of(broker.host, broker.port) as meter:

        def publish() -> None:
            while not ended.wait(0.05):
                for topic, payload in messages:
                    meter.send(topic, payload if isinstance(payload, str) else payload())

        thread = Thread(target=publish, name="meters")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(GUARD_S)


def found(lines: list[str], beginning: str) -> tuple[str, str]:
    """Return the only line with this beginning, and the fix after it."""
    (at,) = (i for i, line in enumerate(lines) if line.startswith(beginning))
    fix = lines[at + 1] if at + 1 < len(lines) and lines[at + 1].startswith("     fix: ") else ""
    return lines[at], fix


def now_minute() -> int:
    return time.time_ns() // 1_000_000 // MINUTE_MS


# --- the broker ---------------------------------------------------------------------------------------


def test_check_warns_of_a_former_key(check: Check) -> None:
    _, lines = check(free_port(), topics={"dealing": "check/{gateway}"})
    line, fix = found(lines, "warn configuration: ")
    assert line.endswith("topics.dealing is a former name")
    assert "write topics.distribution_check: " in fix


def test_check_no_broker(check: Check) -> None:
    code, lines = check(free_port())
    _, fix = found(lines, "FAIL broker: 127.0.0.1 port ")
    assert code == 1
    assert "nothing listens at this address: start the broker" in fix
    assert lines[-1].startswith("ok   http: ")  # the rest is looked at all the same


def test_check_unknown_host(check: Check) -> None:
    code, lines = check(1883, mqtt={"host": "nowhere.invalid"})
    line, fix = found(lines, "FAIL broker: nowhere.invalid port ")
    assert code == 1
    assert fix, line


def test_check_port_of_another_service(check: Check) -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        code, lines = check(silent.getsockname()[1], mqtt={"protocol": "5"})
    _, fix = found(lines, "FAIL broker: ")
    assert code == 1
    assert "check mqtt.port" in fix


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """A mosquitto with one account, which may read no native readings."""
    passwords, rights = tmp_path / "passwords", tmp_path / "rights"
    passwords.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "gapcast", "the word"], check=True)
    rights.write_text("user gapcast\ntopic read meters/+/power\n", encoding="utf-8")
    rights.chmod(0o600)
    lines = ("allow_anonymous false", f"password_file {passwords}", f"acl_file {rights}")
    broker = MosquittoBroker(tmp_path / "mosquitto", lines)
    broker.start()
    yield broker
    broker.stop()


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
@pytest.mark.parametrize("given", [{}, {"username": "gapcast", "password": "guessed"}])
def test_check_rejected_password(check: Check, guarded: MosquittoBroker, given: dict[str, str], protocol: str) -> None:
    code, lines = check(guarded.port, mqtt={"protocol": protocol, **given})
    line, fix = found(lines, "FAIL broker: ")
    assert code == 1
    assert "refused: Not authorized" in line
    assert "set mqtt.username and mqtt.password" in fix
    assert "guessed" not in "".join(lines)


def test_check_topic_without_read_rights(check: Check, restricted_broker: MosquittoBroker) -> None:
    code, lines = check(restricted_broker.port, mqtt={"username": "gapcast", "password": "the word"})
    line, fix = found(lines, "FAIL broker: ")
    assert code == 1
    assert "the subscription to gap/+/reading is refused" in line
    assert "grant this account read access to the topic" in fix


def test_check_broker_that_withholds_readings(check: Check, guarded: MosquittoBroker) -> None:
    code, lines = check(guarded.port, 0.05, mqtt={"username": "gapcast", "password": "the word"})
    assert code == 0
    assert "no permission to read" in found(lines, "warn readings: no message")[1]


@pytest.mark.parametrize(
    ("ends_in_days", "alternative", "words"),
    [(-1, HERE, "it has expired: renew it"), (30, "DNS:elsewhere.example", "it is not for '127.0.0.1'")],
)
def test_check_invalid_certificate(
    check: Check, tmp_path: Path, authority: Authority, ends_in_days: float, alternative: str, words: str
) -> None:
    identity = authority.issue("broker", alternative=alternative, ends_in_days=ends_in_days)
    with secured(tmp_path, authority, identity) as (port, _):
        code, lines = check(port, mqtt=tls(authority))
    assert code == 1
    line, fix = found(lines, "FAIL broker: ")
    assert words in line
    assert fix == "", "the line has it"


def test_check_tls_broker_without_tls(check: Check, tmp_path: Path, authority: Authority) -> None:
    with secured(tmp_path, authority, authority.issue("broker", alternative=HERE)) as (port, _):
        code, lines = check(port)
    _, fix = found(lines, "FAIL broker: ")
    assert code == 1
    assert "set mqtt.tls.enabled = true" in fix


def test_check_unusable_tls_file(check: Check, tmp_path: Path) -> None:
    code, lines = check(free_port(), mqtt={"tls": {"enabled": True, "ca_path": tmp_path / "none.pem"}})
    assert code == 2
    assert "mqtt.tls.ca_path" in found(lines, "FAIL broker: ")[0]


# --- readings -----------------------------------------------------------------------------------------


def test_check_no_message(check: Check, mosquitto: MosquittoBroker) -> None:
    code, lines = check(mosquitto.port, 0.05)
    line, fix = found(lines, "warn readings: ")
    assert (code, line) == (0, "warn readings: no message on gap/{device}/reading within 0.05 s")
    assert "--wait 70" in fix
    assert f"mosquitto_sub -h 127.0.0.1 -p {mosquitto.port} -v -t '#'; " in fix


def test_check_no_message_of_a_slow_source(check: Check, mosquitto: MosquittoBroker) -> None:
    _, lines = check(mosquitto.port, 0.05, sources=[{"preset": "tasmota"}])
    assert "a source sends every 300 s, so try --wait 310; " in found(lines, "warn readings: ")[1]


@pytest.mark.parametrize(("every_s", "wait_s"), [(5.0, 70.0), (300.0, 310.0)])
def test_usual_wait_is_that_of_the_slowest_source(every_s: float, wait_s: float) -> None:
    source = {"topic": "a/b", "device": "b", "format": "number", "every_s": every_s}
    settings = Settings.model_validate({"sources": [source]})
    assert readings.usual_wait_s(settings) == wait_s


def test_check_valid_readings(check: Check, mosquitto: MosquittoBroker) -> None:
    with publishing(mosquitto, ("gap/home/reading", reading(now_minute(), 1.2)), ("gap/attic/reading", "0.4")):
        code, lines = check(mosquitto.port, GUARD_S)
    assert code == 0
    assert found(lines, "ok   readings: ")[0].endswith(", of attic, home")
    assert found(lines, "ok   meter: home: ")[0].startswith("ok   meter: home: 1.200 kW (")
    assert found(lines, "ok   meter: attic: ")[0].startswith("ok   meter: attic: 0.400 kW (")
    assert not [line for line in lines if line.startswith(("warn", "FAIL"))]


@pytest.mark.parametrize(("power", "words"), [("75.5", "75.5 kW is high for a house"), ("0.0004", "very low")])
def test_check_suspicious_unit(check: Check, mosquitto: MosquittoBroker, power: str, words: str) -> None:
    with publishing(mosquitto, ("gap/home/reading", power)):
        code, lines = check(mosquitto.port, GUARD_S)
    line, fix = found(lines, "warn unit: home: ")
    assert code == 0
    assert words in line
    assert "unit = " in fix


def test_check_several_readings_a_minute(check: Check, mosquitto: MosquittoBroker) -> None:
    minute = now_minute()
    with publishing(mosquitto, *(("gap/home/reading", reading(minute, kw)) for kw in (1.2, 1.4))):
        _, lines = check(mosquitto.port, GUARD_S)
    line, fix = found(lines, "warn meter: home: several readings a minute: ")
    assert line.endswith("the value of its first reading, not the mean; later readings of the minute are duplicates")
    assert 'or add a source with topic = "gap/{device}/reading", value = "gap_kw", unit = "kW" and time = "ts"' in fix


def test_check_watts_taken_for_kilowatts(check: Check, mosquitto: MosquittoBroker) -> None:
    with publishing(mosquitto, ("gap/home/reading", "1230")):
        _, lines = check(mosquitto.port, GUARD_S)
    assert "if these are watts, send kW (1.23)" in found(lines, "warn readings: not usable: gap/home/reading")[0]


def test_check_source_as_configured(check: Check, mosquitto: MosquittoBroker) -> None:
    sources = [{"preset": "tasmota", "topic": "tele/{device}/SENSOR"},
               {"topic": "plain/{device}", "format": "number", "unit": "kW", "kind": "minute"}]  # fmt: skip
    tasmota = json.dumps({"Time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}", "ENERGY": {"Power": 230}})
    with publishing(mosquitto, ("tele/plug/SENSOR", tasmota), ("plain/oven", "230"), ("plain/desk", "0.23")):
        _, lines = check(mosquitto.port, GUARD_S, sources=sources)
    assert found(lines, "ok   readings: ")[0].endswith(", of desk, plug")
    assert "0.230 kW" in found(lines, "ok   meter: plug: ")[0]  # 230 W
    line, _ = found(lines, "warn readings: not usable: plain/oven: out_of_range: ")
    assert 'if these are watts, set unit = "W"' in line


@pytest.mark.parametrize(("ahead_min", "side"), [(60, "ahead of"), (-120, "behind"), (-17, "behind")])
def test_check_clock_offset_of_a_meter(check: Check, mosquitto: MosquittoBroker, ahead_min: int, side: str) -> None:
    def payload() -> str:
        return json.dumps({"ts": minute_label(now_minute() + ahead_min), "gap_kw": 1.0})

    began = now_minute()
    with publishing(mosquitto, ("gap/home/reading", payload)):
        code, lines = check(mosquitto.port, GUARD_S)
    line, fix = found(lines, "warn clock: home: ")
    assert code == 0
    n_begun = now_minute() - began  # minutes: most messages may arrive in a later minute than they were sent in
    assert any(f" {abs(ahead_min - late)} minutes {side} " in line for late in range(n_begun + 1))
    assert ("local" in fix) == (ahead_min % 60 == 0)


def test_check_local_times_in_another_zone(check: Check, mosquitto: MosquittoBroker) -> None:
    def payload() -> str:
        return json.dumps(
            {"Time": f"{datetime.now(UTC) + timedelta(hours=2):%Y-%m-%dT%H:%M:%S}", "ENERGY": {"Power": 1}}
        )

    with publishing(mosquitto, ("tele/plug/SENSOR", payload)):
        _, lines = check(mosquitto.port, GUARD_S, sources=[{"preset": "tasmota"}])
    line, fix = found(lines, "warn clock: plug: ")
    assert "minutes ahead of" in line
    assert "the meter's local times are read as UTC: set site.timezone to its zone" in fix
    assert "time_form" not in fix, "the preset has it already"


def test_check_counter_has_no_power_before_its_second_count(check: Check, mosquitto: MosquittoBroker) -> None:
    sources = [{"topic": "count/{device}", "format": "number", "unit": "kWh"}]
    with publishing(mosquitto, ("count/home", "17.5")):
        _, lines = check(mosquitto.port, GUARD_S, sources=sources)
    assert "home: no power yet" in found(lines, "ok   meter: ")[0]


def test_check_sum_without_a_term_names_it(check: Check, mosquitto: MosquittoBroker) -> None:
    sources = [{"preset": "shelly-gen1-3em"}]
    with publishing(mosquitto, *((f"shellies/em/emeter/{phase}/power", "5") for phase in (0, 1))):
        _, lines = check(mosquitto.port, GUARD_S, sources=sources)
    line, fix = found(lines, "warn meter: ")
    assert line.endswith("received 0, 1; missing 2")
    assert "check that the meter sends it" in fix


def test_check_sum_with_terms_never_together_is_named(check: Check, mosquitto: MosquittoBroker) -> None:
    terms = [("amsreader", '{"data": {"P": 345}}'), ("amsreader", '{"data": {"PO": 0}}')]
    with publishing(mosquitto, *terms):
        _, lines = check(mosquitto.port, GUARD_S, sources=[{"preset": "amsreader"}])
    line, fix = found(lines, "warn meter: ")
    assert line.endswith("data.P and data.PO never arrive in one message")
    assert "set in_one_message = false" in fix


def test_check_source_without_a_power_is_named(check: Check, mosquitto: MosquittoBroker) -> None:
    sources = [{"topic": f"{one}/{{device}}", "value": "P", "unit": "W"} for one in ("sun", "grid")]
    messages = [("sun/east", '{"p": 1}'), ("sun/west", '{"p": 1}'), ("grid/home", '{"P": 500}'), ("grid/lamp", "{}")]
    with publishing(mosquitto, *messages):
        _, lines = check(mosquitto.port, GUARD_S, sources=sources)
    line, fix = found(lines, "warn meter: ")
    assert re.fullmatch(r'warn meter: sun/\{device\}: \d+ messages without a power, such as \{"p": 1\}', line)
    assert "check that value names a field that the meter sends" in fix
    assert found(lines, "ok   meter: ")[0].startswith("ok   meter: home: 0.500 kW")


# --- the machine --------------------------------------------------------------------------------------


def test_check_sources_of_one_device(check: Check, mosquitto: MosquittoBroker) -> None:
    sources = [{"topic": f"meter/{i}", "format": "number", "device": "home", "unit": "W"} for i in range(2)]
    code, lines = check(mosquitto.port, sources=sources)
    line, fix = found(lines, "warn sources: ")
    assert code == 0
    assert "sources.0 and sources.1 are both the device home: their powers are not added up" in line
    assert "whose value is a sum" in fix


def test_check_devices_of_the_same_name(check: Check, mosquitto: MosquittoBroker) -> None:
    sources = [{"topic": f"{one}/{{device}}", "format": "number", "unit": "W"} for one in ("roof", "cellar")]
    with publishing(mosquitto, ("roof/tv", "81"), ("cellar/tv", "60"), ("cellar/oven", "5")):
        _, lines = check(mosquitto.port, GUARD_S, sources=sources)
    line, fix = found(lines, "warn sources: ")
    assert re.search(r"(roof|cellar)/tv and (roof|cellar)/tv are both the device tv: ", line)
    assert 'device = "cellar-{device}"' in fix


def test_check_source_of_every_entity(check: Check, mosquitto: MosquittoBroker) -> None:
    named = {"preset": "home-assistant", "topic": "homeassistant/sensor/grid_power/state", "device": "home"}
    _, lines = check(mosquitto.port, sources=[named])
    assert not [line for line in lines if line.startswith("warn sources: ")]
    _, lines = check(mosquitto.port, sources=[{"preset": "home-assistant"}])
    line, fix = found(lines, "warn sources: ")
    assert "sources.0 reads every sensor that Home Assistant streams" in line
    assert "name the entity: topic = " in fix


def test_check_source_that_an_earlier_one_hides(check: Check, mosquitto: MosquittoBroker) -> None:
    topics = ["meter/{device}/power", "meter/plug/power", "meter/power", "{device}/plug/power"]
    sources = [{"topic": one, "format": "number", "unit": "W", "device": f"d{i}"} for i, one in enumerate(topics)]
    _, lines = check(mosquitto.port, sources=sources)
    line, fix = found(lines, "warn sources: ")
    assert line == "warn sources: sources.1 receives nothing on meter/plug/power: sources.0 matches first"
    assert "write sources.1 before sources.0" in fix


def test_check_clock_of_this_machine_before_its_models(check: Check, tmp_path: Path) -> None:
    copy = ModelCopy(tmp_path / "models")
    made = datetime.now(UTC) + timedelta(days=400)
    copy.alter_card(lambda card: card.update(created_at=made.isoformat()))
    _, lines = check(free_port(), models={"path": copy.models})
    line, fix = found(lines, "warn clock: this machine says ")
    assert f"before its models were created ({made:%Y-%m-%d})" in line
    assert "timedatectl" in fix


def test_check_failing_model(check: Check, tmp_path: Path) -> None:
    copy = ModelCopy(tmp_path / "models")
    copy.alter_file(copy.file.read_bytes()[:-1])
    code, lines = check(free_port(), models={"path": copy.models})
    _, fix = found(lines, "FAIL models: ")
    assert code == 3  # the first trouble, though the broker fails too
    assert "restore the model" in fix


def test_check_failing_installed_model_is_named(check: Check, tmp_path: Path) -> None:
    copy = ModelCopy(tmp_path / "state" / "models")
    copy.alter_file(copy.file.read_bytes()[:-1])
    code, lines = check(free_port(), models={"path": None})
    _, fix = found(lines, "FAIL models: ")
    assert code == 3
    assert f"remove {copy.folder}; gapcast starts without it" in fix


def test_check_read_only_state_path(check: Check, tmp_path: Path, mosquitto: MosquittoBroker) -> None:
    file = tmp_path / "file"
    file.touch()
    code, lines = check(mosquitto.port, state={"path": file / "state"})
    line, fix = found(lines, "warn state: ")
    assert code == 0
    assert "is not writable (Not a directory)" in line
    assert "set state.path" in fix


def test_check_shard_without_its_state_fails(tmp_path: Path) -> None:
    """This matches ``gapcast run``, with the same exit code: it would lose the readings that the next worker needs."""
    file = tmp_path / "file"
    file.touch()
    shard = settings_for_shard(Settings.model_validate({"shards": [1], "state": {"path": file / "state"}}), 1)
    (finding,) = check_state(CheckInput(shard, {}, 0.0))
    assert (finding.severity, finding.code) == (Severity.FAIL, EXIT_STATE_LOCKED)
    assert f"{file / 'state' / 'shard-1' / 'stream'} is not writable (Not a directory)" in finding.text


def test_check_leaves_no_folder_of_the_state(check: Check, tmp_path: Path, mosquitto: MosquittoBroker) -> None:
    """The folder would belong to the account of the check, which may be root."""
    state = tmp_path / "missing" / "state"
    _, lines = check(mosquitto.port, state={"path": state}, gateway={"id": "gw"})
    assert f"ok   state: {state}/stream is writable" in lines
    assert not state.parent.exists()


def test_check_disk_full(check: Check, mosquitto: MosquittoBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    def temporary_file(**_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("gapcast.check.machine.tempfile.TemporaryFile", temporary_file)
    code, lines = check(mosquitto.port)
    line, fix = found(lines, "warn state: ")
    assert code == 0
    assert "is not writable (No space left on device)" in line
    assert fix.endswith("fix: free disk space"), "not a permission"


def test_check_disk_almost_full(check: Check, mosquitto: MosquittoBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gapcast.check.machine._LEAST_FREE_BYTES", 1 << 60)
    code, lines = check(mosquitto.port)
    line, fix = found(lines, "warn state: ")
    assert code == 0
    assert line.endswith(" MB free")
    assert "free disk space" in fix


def test_check_with_state_disabled(check: Check, mosquitto: MosquittoBroker) -> None:
    code, lines = check(mosquitto.port, state={"keep": False})
    assert code == 0
    assert found(lines, "ok   state: the state is not persisted")


def test_check_port_in_use(check: Check, mosquitto: MosquittoBroker) -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as taken:
        port = taken.getsockname()[1]
        code, lines = check(mosquitto.port, http={"port": port})
    line, fix = found(lines, "FAIL http: ")
    assert code == 2
    assert f"cannot listen on 127.0.0.1 port {port} (Address already in use)" in line
    assert "ss -ltnp" in fix


def test_check_address_of_another_machine(check: Check, mosquitto: MosquittoBroker) -> None:
    code, lines = check(mosquitto.port, http={"host": "no-such-host.invalid"})
    line, fix = found(lines, "FAIL http: ")
    assert code == AddressError.exit_code == 1, "as of gapcast run"
    assert "cannot listen on no-such-host.invalid port" in line
    assert "Unknown error" not in line
    assert "set http.host to an address of this machine" in fix


def test_check_topic_that_is_none(check: Check, mosquitto: MosquittoBroker) -> None:
    code, lines = check(mosquitto.port, topics={"forecast": "abc"})
    line, fix = found(lines, "FAIL topics: topics.forecast: ")
    assert code == 2
    assert "'abc' must have {device} as exactly one of its levels" in line
    assert "correct topics.forecast" in fix


def test_check_port_of_a_running_gapcast(check: Check, mosquitto: MosquittoBroker, start_gateway: StartGateway) -> None:
    gateway = start_gateway(mosquitto)
    code, lines = check(mosquitto.port, http={"port": gateway.application.http_port})
    assert code == 0
    assert found(lines, "ok   http: ")[0].endswith("a gapcast service is already running there")
    assert gateway.service.queries.connected


def test_check_shows_submeters_and_names_a_silent_one(mosquitto: MosquittoBroker, check: Check) -> None:
    plug = {"of": "home", "preset": "tasmota"}
    submeters = [
        {**plug, "name": "car", "topic": "tele/car/SENSOR"},
        {**plug, "name": "pump", "topic": "tele/pump/SENSOR"},
    ]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    messages = [("tele/car/SENSOR", json.dumps({"Time": now, "ENERGY": {"Power": 7_400}}))]
    messages.append(("gap/home/reading", "8.1"))
    with publishing(mosquitto, *messages):
        _, lines = check(mosquitto.port, GUARD_S, submeters=submeters)
    assert any("home (submeter car): 7.400 kW" in line for line in lines)
    assert any("home (submeter pump): no message on tele/pump/SENSOR" in line for line in lines)


def test_check_submeters_alone_are_no_readings(mosquitto: MosquittoBroker, check: Check) -> None:
    submeters = [{"of": "home", "name": "car", "topic": "car/power", "format": "number", "unit": "W"}]
    with publishing(mosquitto, ("car/power", "7400")):
        _, lines = check(mosquitto.port, GUARD_S, submeters=submeters)
    assert any("home (submeter car): 7.400 kW" in line for line in lines)
    assert "no message on gap/{device}/reading" in found(lines, "warn readings: ")[0]


def test_check_doubts_no_unit_of_an_idle_submeter(mosquitto: MosquittoBroker, check: Check) -> None:
    submeters = [{"of": "home", "name": "car", "topic": "car/power", "format": "number", "unit": "W"}]
    with publishing(mosquitto, ("car/power", "2"), ("gap/home/reading", "0.002")):
        _, lines = check(mosquitto.port, GUARD_S, submeters=submeters)
    assert found(lines, "warn unit: ")[0].startswith("warn unit: home: 0.002 kW is very low")


def test_check_shows_registers_and_names_a_silent_one(mosquitto: MosquittoBroker, check: Check) -> None:
    home = {"device": "home", "running_topic": "p1/demand", "month_peak_topic": "p1/paek"}
    demand = {"limit_kw": "month_peak", "devices": [home]}
    with publishing(mosquitto, ("p1/demand", "1.2"), ("gap/home/reading", "0.8")):
        _, lines = check(mosquitto.port, GUARD_S, demand=demand)
    assert "ok   register: home: demand of the running window 1.200 kW" in lines
    assert any("home: no highest window of the month on p1/paek within" in line for line in lines)
    assert not any("not usable" in line for line in lines)


@pytest.mark.parametrize(
    ("running", "month_peak", "expected"),
    [
        ("1.2", "2", ["warn register: home: demand of the running window 1.2 W, or is it in kW?",
                      "warn register: home: highest window of the month 2 W, or is it in kW?"]),
        ("40", "1200", ["ok   register: home: demand of the running window 0.040 kW",
                        "ok   register: home: highest window of the month 1.200 kW"]),
        ("0", "0", ["ok   register: home: demand of the running window 0.000 kW",
                    "ok   register: home: highest window of the month 0.000 kW"]),
    ],
)  # fmt: skip
def test_check_warns_of_registers_of_another_unit(
    mosquitto: MosquittoBroker, check: Check, running: str, month_peak: str, expected: list[str]
) -> None:
    home = {"device": "home", "running_topic": "p1/demand", "month_peak_topic": "p1/peak", "register_unit": "W"}
    with publishing(mosquitto, ("p1/demand", running), ("p1/peak", month_peak), ("gap/home/reading", "0.8")):
        _, lines = check(mosquitto.port, GUARD_S, demand={"limit_kw": "month_peak", "devices": [home]})
    for line in expected:
        assert any(one.startswith(line) for one in lines)


def test_check_reads_registers_in_the_messages_of_the_power(mosquitto: MosquittoBroker, check: Check) -> None:
    source = {"topic": "p1/{device}", "value": "power", "unit": "W", "every_s": 10}
    registers = {"running_topic": "p1/{device}", "running_path": "average", "register_unit": "W"}
    messages = [json.dumps({"power": 800, "average": average}) for average in (1_200, 1_200_000)]
    with publishing(mosquitto, *(("p1/home", message) for message in messages)):
        _, lines = check(mosquitto.port, GUARD_S, sources=[source], demand={"limit_kw": 2.5, **registers})
    assert "ok   register: home: demand of the running window 1.200 kW" in lines
    assert any("home: 0.800 kW" in line for line in lines)
    assert any("p1/home: out_of_range: a register of 1.2e+06 (1200 kW)" in line for line in lines)


def test_check_names_an_unusable_register(mosquitto: MosquittoBroker, check: Check) -> None:
    home = {"device": "home", "running_topic": "p1/demand"}
    with publishing(mosquitto, ("p1/demand", "1200"), ("gap/home/reading", "0.8")):
        _, lines = check(mosquitto.port, GUARD_S, demand={"limit_kw": 2.5, "devices": [home]})
    assert any("p1/demand: out_of_range: a register of 1200 (1200 kW)" in line for line in lines)


@pytest.mark.parametrize(
    ("demand", "is_warned"),
    [
        ({"limit_kw": "month_peak"}, True),
        ({"limit_kw": "month_peak", "running_topic": "p1/{device}/demand"}, True),
        ({"limit_kw": "month_peak", "imports_only": True}, False),
        ({"fuse_kw": 9.2}, False),
        ({"devices": [{"device": "other", "limit_kw": 2.5}]}, False),
    ],
)
def test_check_warns_of_export_with_a_limit(
    mosquitto: MosquittoBroker, check: Check, demand: dict[str, Any], is_warned: bool
) -> None:
    with publishing(mosquitto, ("gap/home/reading", "-1.5")):
        _, lines = check(mosquitto.port, GUARD_S, demand=demand)
    warned = [line for line in lines if line.startswith("warn demand: home: exports power (-1.500 kW)")]
    assert len(warned) == is_warned
