"""The add-on for Home Assistant: its files match gapcast, and its options give a working gateway."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import yaml
from click.testing import CliRunner

from bench.subject import PYTHON_PATH
from gapcast.addon.options import PORT, SUPERVISOR, settings_of
from gapcast.addon.supervisor import mqtt_service
from gapcast.cli import main
from gapcast.config.sections.demand import MONTH_PEAK, NO_LIMIT
from gapcast.config.sections.sources import SourceSettings
from gapcast.config.settings import LogSettings
from gapcast.core.billing.options import WINDOW_MINUTES
from gapcast.core.errors import SettingsError
from gapcast.core.meters.source import FEATURE_KEYS, TimeForm, Unit
from gapcast.presets import presets
from tests.integration.test_stream import FIRST, reading
from tests.support.brokers import MosquittoBroker
from tests.support.disks import open_folder
from tests.support.gateways import running
from tests.support.http_servers import QuietHandler, serving
from tests.support.optional_tools import ROOT
from tests.support.peers import peer_of
from tests.support.ports import LOOPBACK, free_port

ADDON = ROOT / "homeassistant-addon"
CONFIG: dict[str, Any] = yaml.safe_load((ADDON / "config.yaml").read_text(encoding="utf-8"))
LANGUAGES = sorted((ADDON / "translations").glob("*.yaml"))
SERVICE = {
    "host": "core-mosquitto",
    "port": 1883,
    "ssl": False,
    "protocol": "3.1.1",
    "username": "addons",
    "password": "w",
}
#: Types of options that the Supervisor supports, as listed in its documentation.
TYPE = re.compile(
    r"(?:str|bool|int|float|port|email|url|password|device)(?:\([^)]*\))?\??|(?:list|match)\(.+\)\??"
)  # fmt: skip


# --- its files ----------------------------------------------------------------------------------------


def test_addon_version_equals_gapcasts() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert CONFIG["version"] == version
    assert set(re.findall(r"^ARG VERSION=(.+)$", (ADDON / "Dockerfile").read_text(), re.MULTILINE)) == {version}
    assert f"## {version}\n" in (ADDON / "CHANGELOG.md").read_text(encoding="utf-8")


def test_addon_is_built_on_the_released_image_with_the_refit() -> None:
    assert re.findall(r"^ARG IMAGE=(.+)$", (ADDON / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE) == [
        "gapcast-refit"
    ]
    release = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))["jobs"]
    (image,) = [one for one in release["images"]["strategy"]["matrix"]["include"] if one["image"] == "-refit"]
    assert (image["file"], image["requirements"]) == ("docker/Dockerfile", "refit")
    assert set(image["platforms"].split(",")) == {"linux/amd64", "linux/arm64"}
    assert any("${REPOSITORY,,}-refit" in step.get("run", "") for step in release["addon"]["steps"])


def test_addon_is_healthy_without_a_broker() -> None:
    """The Supervisor's watchdog restarts an unhealthy container, but a restart does not provide a broker."""
    [check] = re.findall(
        r"^HEALTHCHECK .*\\\n +CMD (.+)$", (ADDON / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert json.loads(check) == ["/opt/gapcast/bin/python", "-P", "-m", "gapcast.health", "--live"]


def test_addon_has_what_the_supervisor_requires() -> None:
    assert CONFIG.keys() >= {"name", "version", "slug", "description", "arch"}
    assert re.fullmatch(r"[a-z0-9_]+", CONFIG["slug"])
    assert set(CONFIG["arch"]) == {"aarch64", "amd64"}  # the 32-bit ones were given up in 2025
    assert all(re.fullmatch(r"(mqtt|mysql):(provide|want|need)", service) for service in CONFIG["services"])
    assert CONFIG["ingress_port"] == PORT
    assert f"[PORT:{PORT}]" in CONFIG["watchdog"]
    assert not CONFIG.keys() & {"ports", "privileged", "full_access", "host_network", "hassio_api", "docker_api"}
    assert yaml.safe_load((ROOT / "repository.yaml").read_text(encoding="utf-8"))["name"]


def types_in(schema: dict[str, Any]) -> Iterator[str]:
    for value in schema.values():
        if isinstance(value, list):
            yield from types_in(value[0])
        else:
            yield value


def test_addon_options_have_known_types_and_defaults() -> None:
    assert all(TYPE.fullmatch(kind) for kind in types_in(CONFIG["schema"]))
    required = {key for key, kind in CONFIG["schema"].items() if not str(kind).endswith("?")}
    assert set(CONFIG["options"]) == required


def test_addon_offers_the_keys_and_values_of_a_source() -> None:
    keys = CONFIG["schema"]["meters"][0]
    left_out = {"format", "in_one_message", "kind", "lateness_s", "null_is_zero", *FEATURE_KEYS}
    assert keys.keys() == SourceSettings.model_fields.keys() - left_out
    for key, type_ in (("unit", Unit), ("time_form", TimeForm)):
        (offered,) = re.findall(r"list\((.*)\)", keys[key])
        assert offered.split("|") == list(get_args(type_))


def test_addon_offers_every_preset_and_log_level() -> None:
    (offered,) = re.findall(r"list\((.*)\)", CONFIG["schema"]["meters"][0]["preset"])
    assert offered.split("|") == sorted({*presets(), "custom"})
    (levels,) = re.findall(r"list\((.*)\)", CONFIG["schema"]["log_level"])
    assert [LogSettings(level=level).level for level in levels.split("|")] == levels.split("|")


@pytest.mark.parametrize("file", LANGUAGES, ids=[file.stem for file in LANGUAGES])
def test_addon_options_are_translated(file: Path) -> None:
    translated = yaml.safe_load(file.read_text(encoding="utf-8"))["configuration"]
    assert set(translated) == set(CONFIG["schema"])
    assert all(one["name"] for one in translated.values())


def test_addon_icon_is_128_by_128() -> None:
    png = (ADDON / "icon.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", png[16:24]) == (128, 128)


# --- its options --------------------------------------------------------------------------------------


def test_addon_default_options_are_valid() -> None:
    settings = settings_of(CONFIG["options"], SERVICE, {"TZ": "Europe/Paris"})
    assert (settings.mqtt.host, settings.mqtt.username) == ("core-mosquitto", "addons")
    assert settings.mqtt.password is not None
    assert settings.mqtt.password.get_secret_value() == "w"
    assert [source.preset for source in settings.sources] == ["tasmota"]
    assert settings.homeassistant.enabled
    assert settings.site.timezone == "Europe/Paris"
    assert [str(network) for network in settings.http.allow_from] == [f"{SUPERVISOR}/32"]
    assert str(settings.state.path) == "/data/gapcast"


@pytest.mark.parametrize("preset", sorted(presets()))
def test_addon_every_preset_can_be_chosen(preset: str) -> None:
    assert settings_of({"meters": [{"preset": preset, "topic": "", "unit": None}]}, SERVICE, {}).sources


@pytest.mark.parametrize(
    ("meter", "has"),
    [
        ({"topic": "energy/{device}/power", "unit": "W"}, {"format": "number", "unit": "W"}),
        ({"topic": "energy/{device}", "value": "ac.p", "unit": "kW", "every_s": 10}, {"format": "json", "every_s": 10}),
        ({"topic": "p1/{part}", "value": "in - out", "unit": "W", "device": "home"}, {"format": "number"}),
        (
            {"topic": "tele/{part}/S", "value": "a - b", "part_value": "E.P", "device": "home"},
            {"format": "json", "part_value": ("E.P",)},
        ),
        (
            {"topic": "heat/{device}", "unit": "W", "sign": -1, "hold_s": 900, "on_change": True},
            {"format": "number", "sign": -1, "hold_s": 900, "on_change": True},
        ),
        (
            {"topic": "x/{device}", "value": "p", "time": "t", "time_form": "local", "timezone": "Asia/Tokyo"},
            {"time": "t", "time_form": "local", "timezone": "Asia/Tokyo"},
        ),
    ],
)
def test_addon_custom_meter(meter: dict[str, Any], has: dict[str, Any]) -> None:
    (source,) = settings_of({"meters": [{"preset": "custom", **meter}]}, SERVICE, {}).sources
    assert {key: getattr(source, key) for key in has} == has


def test_addon_own_broker_overrides_the_supervisors() -> None:
    options = {
        "mqtt_host": "broker",
        "mqtt_port": 8883,
        "mqtt_username": "house",
        "mqtt_password": "x",
        "mqtt_tls": True,
    }
    mqtt = settings_of(options, None, {}).mqtt
    assert (mqtt.host, mqtt.port, mqtt.username, mqtt.tls.enabled) == ("broker", 8883, "house", True)


@pytest.mark.parametrize(("tls", "port"), [({}, 1_883), ({"mqtt_tls": True}, 8_883)])
def test_addon_default_port_depends_on_tls(tls: dict[str, Any], port: int) -> None:
    assert settings_of({"mqtt_host": "broker", **tls}, None, {}).mqtt.port == port


@pytest.mark.parametrize(
    ("limit", "limit_kw", "is_peak"),
    [("2.5", 2.5, False), ("2,5", 2.5, False), (3, 3.0, False), ("month_peak", None, True), ("none", None, False)],
)
def test_addon_limit_of_the_billing_window(limit: object, limit_kw: float | None, is_peak: bool) -> None:
    options = {"limit_kw": limit, "window_min": "60", "floor_kw": 2, "peak_days": 3, "fuse_kw": 17.25}
    options |= {
        "limit_hours": "07:00-23:00",
        "limit_weekdays": "mon-fri",
        "limit_months": "11-12,1-3",
        "imports_only": True,
    }
    plan = settings_of(options, SERVICE, {}).demand.options
    assert (plan.limit_kw, plan.by_month_peak) == (limit_kw, is_peak)
    assert (plan.window_min, plan.floor_kw, plan.n_peak_days, plan.fuse_kw) == (60, 2, 3, 17.25)
    assert plan.imports_only
    assert plan.active.hours == ((420, 1_380),)
    assert sorted(plan.active.weekdays) == [0, 1, 2, 3, 4]
    assert sorted(plan.active.months) == [1, 2, 3, 11, 12]


def test_addon_without_a_limit_has_no_demand() -> None:
    empty = {"limit_kw": "", "window_min": None, "fuse_kw": None, "limit_hours": ""}
    assert not settings_of(CONFIG["options"] | empty, SERVICE, {}).demand.is_limited


def test_addon_offers_every_billing_window_and_limit() -> None:
    (offered,) = re.findall(r"list\((.*)\)", CONFIG["schema"]["window_min"])
    assert offered.split("|") == [str(minutes) for minutes in WINDOW_MINUTES]
    (pattern,) = re.findall(r"match\((.*)\)\?", CONFIG["schema"]["limit_kw"])
    assert all(re.fullmatch(pattern, limit) for limit in ("2.5", "2,5", "10", MONTH_PEAK, NO_LIMIT))
    assert not any(re.fullmatch(pattern, limit) for limit in ("-1", "2.5 kW", ""))


@pytest.mark.parametrize(
    ("options", "service", "words"),
    [
        ({"limit_kw": "0"}, SERVICE, r"option limit_kw: must be a number of kW, at least 0.01"),
        ({"limit_kw": "2500"}, SERVICE, r"option limit_kw: 2500 kW is above .*: give it in kW"),
        ({"limit_kw": 2, "window_min": "7"}, SERVICE, r"option window_min: windows must divide the hour"),
        ({"limit_kw": 2, "limit_hours": "7-23"}, SERVICE, r"option limit_hours: '7-23' is not a range of times"),
        ({}, None, "install and start the Mosquitto broker add-on"),
        ({"meters": [{"preset": "custom"}]}, SERVICE, r"option meters\.0\.topic: a custom meter needs its topic"),
        ({"meters": [{"preset": "nothing"}]}, SERVICE, r"option meters\.0: there is no preset 'nothing'"),
        ({"mqtt_host": "mqtt://a"}, None, r"option mqtt_host: .* port is mqtt_port \(it is 'mqtt://a'\)"),
        ({"mqtt_host": "mqtt://a:secret@b"}, None, r"option mqtt_host: must be .*mqtt_port$"),
        ({"mqtt_host": "b", "mqtt_password": 5}, None, r"option mqtt_password: must be a text in quotes$"),
        ({"log_level": "loud"}, SERVICE, r"option log_level: "),
        (
            {"meters": [{"preset": "custom", "topic": "gap/{device}/{channel}"}]},
            SERVICE,
            r"option meters\.0\.topic reads 'gap/\+/\+', which .*: narrow meters\.0\.topic",
        ),
        (
            {"meters": [{"preset": "tasmota"}, {"preset": "tasmota"}]},
            SERVICE,
            r"option meters\.1\.topic: 'tele/\{device\}/SENSOR' is already read by meters\.0",
        ),
    ],
)
def test_addon_error_names_the_option(options: Any, service: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        settings_of(options, service, {})


# --- its Supervisor -----------------------------------------------------------------------------------


class Answering(QuietHandler):
    """Answers like the documented API of the Supervisor."""

    status, document = 200, {"result": "ok", "data": SERVICE}

    def answer_get(self) -> None:
        if self.headers["Authorization"] == "Bearer the-token" and self.path == "/services/mqtt":
            self.respond(json.dumps(self.document).encode(), self.status)
        else:
            self.respond(b"403: Forbidden", 403, "text/plain")  # from its middleware, which does not answer in JSON


@pytest.fixture
def supervisor() -> Iterator[dict[str, str]]:
    with serving(Answering) as url:
        yield {"SUPERVISOR_URL": url, "SUPERVISOR_TOKEN": "the-token"}


def test_supervisor_provides_the_broker(supervisor: dict[str, str]) -> None:
    assert mqtt_service(supervisor) == SERVICE


@pytest.mark.parametrize(
    ("status", "document"),
    [(400, {"result": "error", "message": "Service not enabled"}), (200, {"result": "ok", "data": {}}), (200, [])],
)
def test_supervisor_without_a_broker(
    supervisor: dict[str, str], monkeypatch: pytest.MonkeyPatch, status: int, document: object
) -> None:
    monkeypatch.setattr(Answering, "status", status)
    monkeypatch.setattr(Answering, "document", document)
    assert mqtt_service(supervisor) is None


@pytest.mark.parametrize("status", [401, 403])
def test_supervisor_that_denies_the_request_is_an_error(
    supervisor: dict[str, str], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with pytest.raises(SettingsError, match=r"services: \[mqtt:want\]"):
        mqtt_service(supervisor | {"SUPERVISOR_TOKEN": "another"})
    monkeypatch.setattr(Answering, "status", status)
    monkeypatch.setattr(Answering, "document", {"result": "error", "message": "No access to mqtt service!"})
    with pytest.raises(SettingsError, match=r"services: \[mqtt:want\]"):
        mqtt_service(supervisor)


def test_supervisor_that_does_not_answer_is_an_error(supervisor: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="does not answer"):
        mqtt_service(supervisor | {"SUPERVISOR_URL": f"http://{LOOPBACK}:{free_port()}"})
    with pytest.raises(SettingsError, match="elsewhere use gapcast run"):
        mqtt_service({})


def test_addon_command_names_unreadable_options(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["addon", "--options", str(tmp_path / "none.json")])
    assert done.exit_code == 2
    assert "the add-on's options cannot be read" in done.stderr


# --- it serves ----------------------------------------------------------------------------------------


def test_addon_gateway_forecasts_and_answers_only_the_supervisor(mosquitto: MosquittoBroker, tmp_path: Path) -> None:
    service = SERVICE | {"host": mosquitto.host, "port": mosquitto.port, "username": "", "password": ""}
    options = CONFIG["options"] | {"meters": [{"preset": "gapcast"}]}
    settings = settings_of(options, service, {"STATE_DIRECTORY": str(tmp_path / "state")})
    settings = settings.model_copy(update={"http": settings.http.model_copy(update={"port": free_port()})})
    with running(settings) as gateway, peer_of(mosquitto.host, mosquitto.port) as peer:
        peer.subscribe("gap/+/forecast")
        peer.subscribe("homeassistant/#")
        for i in range(2):
            peer.publish("gap/home/reading", reading(FIRST + i, 1.0))
        assert peer.wait_for("gap/home/forecast")[0].document["device"] == "home"
        peer.wait_that(lambda came: [m for m in came if m.topic.startswith("homeassistant/device/")], "its discovery")
        assert httpx.get(f"{gateway.url}/readyz").status_code == 200  # its own health check
        elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
        with httpx.Client(transport=elsewhere) as other_addon:
            refused = other_addon.get(f"{gateway.url}/predict")
        assert (refused.status_code, "http.allow_from" in refused.text) == (403, True)


@pytest.mark.root
def test_addon_drops_root_and_keeps_its_state() -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom gapcast.commands.addon import leave_root\n"
        "state = Path(sys.argv[1])\nleave_root(state)\n"
        "print(os.getresuid(), os.getresgid(), os.getgroups(), (state / 'gateway-id').read_text().strip())\n"
        "(state / 'stream' / 'new').write_text('x')\n"
        "try:\n    os.setuid(0)\nexcept PermissionError:\n    print('for good')\n"
    )
    with open_folder() as folder:
        state = folder / "gapcast"
        (state / "stream").mkdir(parents=True)
        (state / "gateway-id").write_text("gw-1\n", encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-c", program, str(state)],
            env=os.environ | {"PYTHONPATH": PYTHON_PATH},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(10001, 10001, 10001) (10001, 10001, 10001) [] gw-1\nfor good\n"
