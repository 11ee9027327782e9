"""The configuration: file, environment, command line, and their error messages."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from gapcast.config.loader import load, nested
from gapcast.config.settings import Settings
from gapcast.config.shards import settings_for_shard
from gapcast.core.errors import SettingsError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(text: str) -> Path:
    path = Path("some.toml")
    path.write_text(text, encoding="utf-8")
    return path


def test_load_without_settings_uses_a_broker_on_localhost() -> None:
    settings = load(None, {}, {})
    assert (settings.mqtt.host, settings.mqtt.port, settings.http.port) == ("localhost", 1883, 8080)
    assert (settings.limits.min_kw, settings.limits.max_kw, settings.devices.max) == (-100, 100, 100_000)


def test_load_command_line_overrides_environment_and_file() -> None:
    file = written('[mqtt]\nhost = "file"\nport = 1\nusername = "file"\n')
    settings = load(
        file, {"GAPCAST_MQTT__HOST": "environment", "GAPCAST_MQTT__PORT": "2"}, nested("mqtt.host", "command-line")
    )
    assert (settings.mqtt.host, settings.mqtt.port, settings.mqtt.username) == ("command-line", 2, "file")


@pytest.mark.parametrize("given", list(itertools.product([False, True], repeat=3)))
def test_load_last_source_of_a_key_wins(given: tuple[bool, bool, bool]) -> None:
    in_file, in_environment, on_command_line = given
    file = written('[mqtt]\nhost = "file"\n' if in_file else "")
    environment = {"GAPCAST_MQTT__HOST": "environment"} if in_environment else {}
    overrides = nested("mqtt.host", "command-line") if on_command_line else {}
    sources = zip(("localhost", "file", "environment", "command-line"), (True, *given), strict=True)
    assert load(file, environment, overrides).mqtt.host == [source for source, is_given in sources if is_given][-1]


def test_load_reads_gapcast_toml_by_default() -> None:
    Path("gapcast.toml").write_text("[http]\nport = 9999\n", encoding="utf-8")
    assert load(None, {}, {}).http.port == 9999
    assert load(written(""), {}, {}).http.port == 8080


@pytest.mark.parametrize(("begin", "end"), [("", ""), ("", "\n"), ("\ufeff", "\r\n")])
def test_load_secret_from_a_file_is_never_shown(begin: str, end: str) -> None:
    Path("password").write_bytes(f"{begin} hunter2 {end}".encode())
    settings = load(None, {"GAPCAST_MQTT__PASSWORD_FILE": "password"}, {})
    assert settings.mqtt.password is not None
    assert settings.mqtt.password.get_secret_value() == " hunter2 "
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_load_empty_secret_file_overrides_nothing() -> None:
    """The systemd unit names a file with an empty line if there is no password beside the configuration."""
    Path("empty").write_text("\n", encoding="utf-8")
    environment = {"GAPCAST_MQTT__PASSWORD_FILE": "empty"}
    for file in (written('[mqtt]\npassword = "inline"\n'), None):
        password = load(file, environment, {}).mqtt.password
        assert password is not None
        assert password.get_secret_value() == ("inline" if file else "")
    with pytest.raises(SettingsError, match=r"http\.token: "):  # no token is not the same as an empty one
        load(None, {"GAPCAST_HTTP__TOKEN_FILE": "empty"}, {})


def test_load_any_key_from_a_file() -> None:
    Path("host").write_text("broker\n", encoding="utf-8")
    assert load(None, {"GAPCAST_MQTT__HOST_FILE": "host"}, {}).mqtt.host == "broker"


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"GAPCAST_MQTT__PORT": "x"}, "environment GAPCAST_MQTT__PORT: .*whole number"),
        ({"GAPCAST_MQTT__PORT": "70000"}, "environment GAPCAST_MQTT__PORT: .*65535"),
        ({"GAPCAST_MQTT__HOTS": "x"}, "environment GAPCAST_MQTT__HOTS: there is no such key"),
        ({"GAPCAST_MQQT__HOST": "x"}, "mqqt: there is no such key"),
        ({"GAPCAST_MQTT_HOST": "x"}, "two underscores: GAPCAST_MQTT__HOST"),
        ({"GAPCAST_MQTT__QOS": "2"}, "environment GAPCAST_MQTT__QOS"),
        ({"GAPCAST_MQTT": "{}"}, "GAPCAST_MQTT: is a section, not a value: name a key of it, as in GAPCAST_MQTT__KEY"),
        ({"GAPCAST_SOURCES": "[{}]"}, r"list of sections: write \[\[sources\]\] in gapcast.toml, or --set 'sources="),
        ({"GAPCAST_SOURCES__UNIT": "W"}, r"write \[\[sources\]\] in two pairs of brackets, in gapcast.toml"),
        ({"GAPCAST_LIMITS__MIN_KW": "200"}, "must be below max_kw"),
        ({"GAPCAST_LIMITS__MAX_KW": "inf"}, "environment GAPCAST_LIMITS__MAX_KW: .*finite"),
        ({"GAPCAST_GATEWAY__ID": "my gateway"}, "environment GAPCAST_GATEWAY__ID"),
        ({"GAPCAST_DEVICES_MAX": "5"}, "GAPCAST_DEVICES_MAX: write two underscores: GAPCAST_DEVICES__MAX"),
        ({"GAPCAST_MQTT__PASSWORD_FILE": "."}, r"GAPCAST_MQTT__PASSWORD_FILE: \. cannot be read"),
        ({"GAPCAST_MQTT__PASSWORD_FILE": "nowhere"}, "GAPCAST_MQTT__PASSWORD_FILE: nowhere cannot be read"),
        ({"GAPCAST_MQTT__PASSWORD_FILE": ""}, "GAPCAST_MQTT__PASSWORD_FILE: is empty: name a file"),
        ({"GAPCAST_MQTT____HOST": "x"}, "GAPCAST_MQTT____HOST: is not the name of a key: write GAPCAST_SECTION__KEY"),
        ({"GAPCAST_MQTT__HOST": ""}, r"environment GAPCAST_MQTT__HOST: must have at least 1 character \("),
        ({"GAPCAST_STATE__PATH": ""}, r"environment GAPCAST_STATE__PATH: is empty: write a path, or remove the key"),
        (
            {"GAPCAST_STATE__PATH": "~/state"},
            r"environment GAPCAST_STATE__PATH: begins with ~, .*: write the whole path \(it is '~/state'\)",
        ),
        (
            {"GAPCAST_MQTT__PASSWORD_FILE": "~/pw"},
            r"environment GAPCAST_MQTT__PASSWORD_FILE: begins with ~, .*: write the whole path \(it is '~/pw'\)",
        ),
        (
            {"GAPCAST_LOG__LEVEL": "INFO"},
            r"environment GAPCAST_LOG__LEVEL: must be 'debug', .* \(it is 'INFO'\); did you mean info\?$",
        ),
        ({"GAPCAST_LOG__LEVEL": "warn"}, r"environment GAPCAST_LOG__LEVEL: .*; did you mean warning\?$"),
        ({"GAPCAST_LOG__FORMAT": "yaml"}, r"environment GAPCAST_LOG__FORMAT: .* or 'json' \(it is 'yaml'\)$"),
        ({"GAPCAST_SHARD": "0"}, "GAPCAST_SHARD: is not the name of a key: write GAPCAST_SHARDS"),
        ({"GAPCAST_SHARDS_FILE": "shards"}, "GAPCAST_SHARDS_FILE: is not the name of a key: write GAPCAST_SHARDS"),
        ({"GAPCAST_MQTT__HOST__NAME": "x"}, "mqtt.host"),
        ({"GAPCAST_MQTT__TRANSPORT": "udp"}, "environment GAPCAST_MQTT__TRANSPORT"),
        ({"GAPCAST_MQTT__WEBSOCKET_PATH": "mqtt"}, "environment GAPCAST_MQTT__WEBSOCKET_PATH"),
        ({"GAPCAST_MQTT__TLS__CA_PATH": "/ca.pem"}, "mqtt.tls: ca_path is set but TLS is off"),
        ({"GAPCAST_MQTT__TLS__ENABLED": "yes", "GAPCAST_MQTT__TLS__KEY_PATH": "k"}, "mqtt.tls: .*certificate_path"),
        (
            {"GAPCAST_MQTT__TLS__ENABLED": "yes", "GAPCAST_MQTT__TLS__INSECURE": "1"},
            "environment GAPCAST_MQTT__TLS__INSECURE: there is no",
        ),
    ],
)
def test_load_error_names_the_environment_variable(environment: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load(None, environment, {})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[mqtt\n", "some.toml: is not TOML"),
        ("[mqtt]\nhost = broker\n", r'line 2, column 8\); write texts as "text", switches as true or false, and'),
        ("[demand]\nlimit_kw = 2,5\n", r'line 2, column 13\); write texts as "text", .* numbers with a decimal point'),
        ("[site]\n[mqtt]\n[site]\n", r"line 3, column 6\); merge its keys into the \[site\] section that the file"),
        ("[mqtt]\nhost = 5\n", r"mqtt\.host: must be a text in quotes \(it is 5\)"),
        ("mqtt = 5\n", "mqtt: is a section"),
        ("[[mqtt]]\nport = 1\n", r"mqtt: is a section, not a value: write \[mqtt\] in one pair of brackets"),
        ("[mqtt]\nport = 1\nport = 2\n", r"line 3, column 9\); a key is set twice in this section: remove one"),
        ("[mqtt]\npassword_file = '~/pw'\n", "key mqtt.password_file: begins with ~, .*: write the whole path"),
        ("[[sources]]\ntopic = 'x'\nunit = 'KW'\n", r"sources.0.unit: .*; did you mean kW\?$"),
        ("[forecast]\ndevices = 5\n", "forecast.devices: is a section"),
        ("[sources]\ntopic = 'x'\n", r"sources: is a list of sections: write \[\[sources\]\] in two pairs of"),
        ("[mqtt]\nport = true\n", r"mqtt.port: must be a number \(it is true\)"),
        ("[demand]\nfuse_kw = true\n", r"demand.fuse_kw: must be a number \(it is true\)"),
        ("[[sources]]\ntopic = 'x'\nvalue = 'x'\nevery_s = true\n", r"sources.0.every_s: must be a number"),
        ("[MQTT]\n", "MQTT: there is no such key; did you mean mqtt?"),
        ("[mqtt]\nport = '1'\ncolour = 1\n", "mqtt.colour"),
        ("[colour]\n", "colour: there is no such key"),
    ],
)
def test_load_error_names_the_key_of_the_file(text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load(written(text), {}, {})


def test_environment_with_a_key_and_its_file_is_rejected(tmp_path: Path) -> None:
    """Unless the file is empty: the systemd unit always names one."""
    token = tmp_path / "token"
    environment = {"GAPCAST_HTTP__TOKEN": "one-token-of-length", "GAPCAST_HTTP__TOKEN_FILE": str(token)}
    token.write_text("", encoding="utf-8")
    configured = load(None, environment, {}).http.token
    assert configured is not None
    assert configured.get_secret_value() == "one-token-of-length"
    token.write_text("another-token-of-length", encoding="utf-8")
    with pytest.raises(SettingsError, match="TOKEN_FILE and GAPCAST_HTTP__TOKEN are both set: remove one"):
        load(None, environment, {})
    assert load(None, environment | {"GAPCAST_HTTP__TOKEN": ""}, {}).http.token is not None


def test_load_file_with_a_byte_order_mark() -> None:
    assert load(written("\ufeff[mqtt]\nport = 5\n"), {}, {}).mqtt.port == 5


def test_load_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "some.toml").write_text("[mqtt]\n", encoding="utf-16")
    with pytest.raises(SettingsError, match=r"some\.toml: is not text in UTF-8: save it in that encoding"):
        load(tmp_path / "some.toml", {}, {})


@pytest.mark.parametrize("key", ["MQTT__USERNAME", "MQTT__PASSWORD", "HTTP__TOKEN"])
def test_load_value_of_another_encoding_is_named(key: str) -> None:
    """A terminal in Latin-1: the environment has bytes that are not text."""
    with pytest.raises(SettingsError, match=f"environment GAPCAST_{key}: is not text in UTF-8") as caught:
        load(None, {f"GAPCAST_{key}": "gr\udce9g-long-enough-for-a-token"}, {})
    assert str(caught.value).encode()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[mqtt]\nhost = " + "[" * 5_000, "is nested too deeply"),
        ('[mqtt]\npassword_file = "a\\u0000b"\n', "cannot be read"),
    ],
)
def test_load_unusual_toml_is_an_error(text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load(written(text), {}, {})


@pytest.mark.parametrize("text", ["[[mqtt]]\nhost = 'broker'\n", "mqtt = 5\n"])
def test_load_section_never_replaces_what_is_none(text: str) -> None:
    with pytest.raises(SettingsError, match=r"key mqtt: .* conflicts with mqtt\.port: remove one of them"):
        load(written(text), {"GAPCAST_MQTT__PORT": "1884"}, {})


def test_load_missing_file_is_an_error_if_requested() -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: cannot be read"):
        load(Path("nowhere.toml"), {}, {})
    with pytest.raises(SettingsError, match=r"file: begins with ~, .*: write the whole path \(it is '~/nowhere\.toml'"):
        load(Path("~/nowhere.toml"), {}, {})


@pytest.mark.parametrize(
    ("environment", "overrides"),
    [
        ({}, {"mqtt": {"password": 12345678}}),
        ({}, {"mqtt": {"host": "mqtt://user:12345678@broker"}}),
        ({}, {"mqtt": {"password": ["12345678"]}}),
        ({}, {"mqtt": {"passwd": "12345678"}}),
        ({}, {"mqtt": {"tls": {"key_password": "12345678"}}}),
        ({}, {"mqtt": {"tls": {"enabled": True, "key_password": "12345678"}}}),
        ({}, {"mqtt": {"tls": {"enabled": True, "certificate_path": "c", "key_password": ["12345678"]}}}),
        ({}, {"mqtt": {"tls": {"key_pasword": "12345678"}}}),
        ({}, {"mqtt": {"tls": "12345678"}}),
        ({}, {"http": {"token": 12345678}}),
        ({}, {"http": {"token": ["12345678"]}}),
        ({}, {"password": "12345678"}),
        ({"GAPCAST_MQTT__PASWORD": "12345678"}, {}),
        ({"GAPCAST_MQTT_PASSWORD": "12345678"}, {}),
        ({"GAPCAST_MQTT__PASSWORD__VALUE": "12345678"}, {}),
        ({"GAPCAST_MQTT__PASSWORD": "12345678", "GAPCAST_MQTT__PORT": "x"}, {}),
    ],
)
def test_load_error_hides_secrets(environment: dict[str, str], overrides: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as refused:
        load(None, environment, overrides)
    assert "12345678" not in str(refused.value)
    assert "12345678" not in repr(refused.value)


def test_load_error_shows_the_value_of_other_keys() -> None:
    with pytest.raises(SettingsError, match=r"mqtt\.port: .* \(it is 70000\)"):
        load(None, {}, nested("mqtt.port", 70_000))


def test_load_error_names_the_source_of_the_value() -> None:
    """The variable, unless the command line overrides it; the key, if the value is of the file."""
    variable = {"GAPCAST_MQTT__PORT": "70000"}
    file = written("[mqtt]\nport = 80000\n")
    with pytest.raises(SettingsError, match=r"^environment GAPCAST_MQTT__PORT: .* \(it is '70000'\)$"):
        load(file, variable, nested("mqtt.host", "pi"))
    with pytest.raises(SettingsError, match=r"^configuration key mqtt\.port: .* \(it is 90000\)$"):
        load(file, variable, nested("mqtt.port", 90_000))
    with pytest.raises(SettingsError, match=r"^configuration key mqtt\.port: .* \(it is 80000\)$"):
        load(file, {}, {})


@pytest.mark.parametrize("key", ["username", "password"])
def test_load_credentials_longer_than_mqtt_allows_are_named(key: str) -> None:
    longest = getattr(load(None, {}, nested(f"mqtt.{key}", "x" * 65_535)).mqtt, key)
    assert (longest.get_secret_value() if isinstance(longest, SecretStr) else longest) == "x" * 65_535
    with pytest.raises(SettingsError, match=rf"mqtt\.{key}: must have at most 65,535 bytes") as caught:
        load(None, {}, nested(f"mqtt.{key}", "é" * 32_768))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("key", ["hours", "weekdays", "months"])
def test_load_long_times_of_a_limit_are_shown_shortened(key: str) -> None:
    with pytest.raises(SettingsError, match=rf"demand\.{key}: 'xxx.*… is not a") as caught:
        load(None, {}, {"demand": {"limit_kw": 3, key: "x" * 100_000}})
    assert len(str(caught.value)) < 300


def test_load_alpn_is_a_list_or_separated_by_commas() -> None:
    in_file = written('[mqtt.tls]\nenabled = true\nalpn = ["mqtt", "x-amzn-mqtt-ca"]\n')
    elsewhere = {"GAPCAST_MQTT__TLS__ENABLED": "true", "GAPCAST_MQTT__TLS__ALPN": "mqtt, x-amzn-mqtt-ca"}
    for settings in (load(in_file, {}, {}), load(None, elsewhere, {})):
        assert settings.mqtt.tls.alpn == ("mqtt", "x-amzn-mqtt-ca")


@pytest.mark.parametrize("protocol", ["mqtté", "", "m" * 256, "my mqtt"])
def test_load_alpn_that_cannot_be_offered_is_named(protocol: str) -> None:
    with pytest.raises(SettingsError, match=r"mqtt\.tls\.alpn"):
        load(None, {}, {"mqtt": {"tls": {"enabled": True, "alpn": [protocol]}}})


def test_load_number_of_thousands_of_digits_names_the_file() -> None:
    file = written(f"[demand]\nlimit_kw = {'9' * 5_000}\n")
    with pytest.raises(SettingsError, match="has a number of thousands of digits"):
        load(file, {}, {})


def test_load_key_from_a_file_relative_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    file = tmp_path / "house" / "gapcast.toml"
    file.write_text('[mqtt]\npassword_file = "word"\n[http]\ntoken_file = "token"\n', encoding="utf-8")
    (tmp_path / "house" / "word").write_text("the word\n", encoding="utf-8")
    (tmp_path / "house" / "token").write_text("the long token", encoding="utf-8")
    settings = load(file, {}, {})
    assert settings.mqtt.password is not None
    assert settings.http.token is not None
    assert (settings.mqtt.password.get_secret_value(), settings.http.token.get_secret_value()) == (
        "the word",
        "the long token",
    )


def test_load_key_file_is_not_read_if_overridden() -> None:
    file = written('[mqtt]\npassword_file = "/nowhere"\n')
    password = load(file, {"GAPCAST_MQTT__PASSWORD": "given"}, {}).mqtt.password
    assert password is not None
    assert password.get_secret_value() == "given"
    with pytest.raises(SettingsError, match=r"configuration key mqtt\.password_file: /nowhere cannot be read"):
        load(file, {}, {})


def test_load_key_and_its_file_together_are_rejected() -> None:
    with pytest.raises(SettingsError, match=r"mqtt\.password_file and mqtt\.password are both set: remove one of them"):
        load(written('[mqtt]\npassword_file = "x"\npassword = "y"\n'), {}, {})


def test_load_file_of_an_unknown_key_is_rejected_by_name(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"configuration key mqtt\.pasword: there is no such key"):
        load(written('[mqtt]\npasword_file = "x"\n'), {}, {})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[forecast.devices.pump]\nhorizon = 15\n", "forecast.devices.pump.horizon: .*; did you mean horizon_min?"),
        ("[[demand.devices]]\ndevise = 'a'\n", "demand.devices.0.devise: .*; did you mean device?"),
        ("[[demand.devices]]\nname = 'a'\n", "demand.devices.0.name: .*; possible are .*, device.*"),
        ("[forecast]\nhorizn_min = 15\n", "forecast.horizn_min: .*; did you mean horizon_min?"),
        ("[forecast.device.x]\nhorizon_min = 15\n", "forecast.device: .*; did you mean devices?"),
        ("[forecast.devices.model]\nmodle = 15\n", "forecast.devices.model.modle: .*; possible are horizon_min"),
        ("[demnd]\n", "demnd: .*; did you mean demand?"),
        ("[mqtt.tls]\ncolour = 1\n", "mqtt.tls.colour: .*; possible are enabled, .*"),
        ("[[sources]]\nvalues = 'a'\n", "sources.0.values: .*; did you mean value?"),
        ("[topics]\nx = 1\n", "topics.x: there is no such key"),
        ("[forecast.devices.horizon_min]\nx = 1\n", "forecast.devices.horizon_min.x: there is no such key"),
    ],
)
def test_load_unknown_key_names_a_similar_or_the_possible_ones(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(written(text), {}, {})
    assert re.fullmatch(f"configuration key {problem.replace('?', '[?]')}", str(raised.value))


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"limits": {"min_kw": 5, "max_kw": 5}}, r"limits: min_kw \(5\) must be below max_kw"),
        (
            {"homeassistant": {"enabled": True}, "devices": {"stale_after_min": 0}},
            "needs devices.stale_after_min above 0",
        ),
        ({"site": {"timezone": "Europe/Pariss"}}, r"site\.timezone"),
        ({"metrics": {"per_device": 1_001}}, r"metrics\.per_device"),
    ],
)
def test_load_sections_without_sense_are_rejected(sections: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load(None, {}, sections)


@pytest.mark.parametrize(
    ("key", "value"),
    [("token", "1234567"), ("max_connections", 3), ("cors_origins", "https://panel.lan/page"), ("host", "[::1]")],
)
def test_load_http_value_without_sense_is_rejected(key: str, value: object) -> None:
    with pytest.raises(SettingsError, match=rf"configuration key http\.{key}"):
        load(None, {}, {"http": {key: value}})


def test_load_origins_are_written_as_browsers_send_them() -> None:
    http = load(None, {"GAPCAST_HTTP__CORS_ORIGINS": "HTTPS://Panel.lan:443, http://panel.lan:443, *"}, {}).http
    assert http.cors_origins == ("https://panel.lan", "http://panel.lan:443", "*")


def test_load_networks_may_be_separated_by_commas() -> None:
    http = load(None, {"GAPCAST_HTTP__ALLOW_CHANGES_FROM": "10.0.0.0/8, 192.168.1.7"}, {}).http
    assert list(map(str, http.allow_changes_from)) == ["10.0.0.0/8", "192.168.1.7/32"]


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load(None, {}, {}).mqtt.port = 1  # type: ignore[misc]  # which pydantic must refuse at run time


def test_load_ignores_variables_of_other_programs() -> None:
    assert load(None, {"GAPCAST_REQUIRE": "mosquitto", "PATH": "/bin"}, {}) == Settings()


def keys_of(document: dict[str, Any], before: str = "") -> set[str]:
    """The keys of a file, with those of the sections in sections."""
    found: set[str] = set()
    for key, value in document.items():
        found |= keys_of(value, f"{before}{key}.") if isinstance(value, dict) else {before + key}
    return found


def fields_of(section: type[BaseModel], before: str = "") -> set[str]:
    found: set[str] = set()
    for key, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= fields_of(kind, f"{before}{key}.")
        else:
            found.add(before + key)
    return found


def test_documented_file_has_every_key_with_its_default() -> None:
    page = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    documented = tomllib.loads(re.sub(r"(?m)^# (\w+ =)", r"\1", example))
    # Lists: docs/meters.md and docs/demand.md, tests/test_{source,submeter,demand,horizon}_settings.py.
    lists = {"sources", "submeters", "demand.devices", "forecast.devices"}
    assert keys_of(documented) == fields_of(Settings) - lists
    assert Settings.model_validate(tomllib.loads(example)) == Settings()


def test_load_former_key_of_the_distribution_check_is_accepted() -> None:
    settings = load(written('[topics]\ndealing = "check/{gateway}"\n'), {}, {})
    assert settings.topics.distribution_check == "check/{gateway}"
    ((key, fix),) = settings_for_shard(settings, 0).topics.former_keys
    assert (key, fix[:32]) == ("topics.dealing", "write topics.distribution_check:")
    assert not load(None, {"GAPCAST_TOPICS__DISTRIBUTION_CHECK": "b/{gateway}"}, {}).topics.former_keys


def test_load_both_keys_of_the_distribution_check_raises() -> None:
    file = written('[topics]\ndealing = "a/{gateway}"\n')
    with pytest.raises(SettingsError, match=r"^configuration key topics: dealing .* both are set: remove dealing"):
        load(file, {"GAPCAST_TOPICS__DISTRIBUTION_CHECK": "b/{gateway}"}, {})
