"""`--set`, and the errors for values that the configuration cannot have."""

from __future__ import annotations

import click
import pytest

from gapcast.commands.options import read_settings
from gapcast.core.errors import SettingsError


@pytest.mark.parametrize(
    ("assignment", "problem"),
    [
        ("mqtt.port=abc", "configuration key mqtt.port: must be a whole number (it is 'abc')"),
        ("mqtt.port=70000", "mqtt.port: must be at most 65535 (it is '70000')"),
        ("mqtt.keepalive_s=0", "mqtt.keepalive_s: must be at least "),
        ("mqtt.qos=3", "mqtt.qos: must be at most 1 (it is '3')"),
        ("mqtt.protocol=4", "mqtt.protocol: must be 'auto', '5' or '3.1.1' (it is '4')"),
        ("learning.forgetting=x", "learning.forgetting: must be a number (it is 'x')"),
        ("forecast.blend=perhaps", "forecast.blend: must be true or false (it is 'perhaps')"),
        ("http.token=abc", "configuration key http.token: must have at least 8 characters"),
        ("mqtt.rejections_per_s=0", "mqtt.rejections_per_s: must be "),
        ("http.allow_from=kitchen", "must be an address or a network, such as 192.168.1.7 or 192.168.1.0/24"),
        ("mqtt.host=mqtt://broker", "without mqtt://; the port is mqtt.port (it is 'mqtt://broker')"),
        ("mqtt.host=broker:1883", "mqtt.host: must be the host alone: set the port by mqtt.port"),
        ("mqtt.host=[::1]", "mqtt.host: must be an address without brackets"),
        ("mqtt.host=my broker", "mqtt.host: must be a host name or an address, without spaces"),
        ("mqtt.host=broker..lan", "mqtt.host: cannot be a host name: between two dots are 1 to 63 characters"),
        ("http.host=localhost:8080", "http.host: must be the host alone: set the port by http.port"),
        ("learning.refit=yes please", "learning.refit: must be true, false or \"auto\" (it is 'yes please')"),
        ("mqtt.websocket_path=mqtt", "mqtt.websocket_path: must begin with a slash and have no spaces (it is 'mqtt')"),
        ("http.cors_origins=panel.lan", "must be an origin such as https://panel.lan, without a path"),
        ("http.allowed_hosts=http://a", "must be a host name such as gateway.lan or *.lan, without scheme and port"),
        ("gateway.id=a b", "gateway.id: must be up to 64 of A-Z a-z 0-9 _ - . (it is 'a b')"),
        ("topics.scores=gap/{device}/forecast", "is already published by topics.forecast"),
        ("site.timezone=Berlin", "site.timezone: there is no such time zone: use an IANA name"),
    ],
)
def test_set_option_with_an_invalid_value_lists_valid_ones(assignment: str, problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(None, (assignment,))

    assert problem in str(raised.value)


@pytest.mark.parametrize("key", [".host", "mqtt.", "mqtt..host"])
def test_set_option_with_a_part_missing_is_named(key: str) -> None:
    with pytest.raises(click.BadParameter, match=r"must be KEY=VALUE with a key like mqtt\.host"):
        read_settings(None, (f"{key}=x",))


def test_set_option_accepts_a_list_of_sections() -> None:
    submeters = 'submeters=[{of = "home", name = "car", preset = "tasmota", topic = "tele/car/SENSOR"}]'
    settings = read_settings(None, ('sources=[{preset = "tasmota"}]', submeters))
    assert [source.preset for source in settings.sources] == ["tasmota"]
    assert [submeter.name for submeter in settings.submeters] == ["car"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('"a secret"', "a secret"),
        ("'a \\ secret'", "a \\ secret"),
        (r'"a \" secret"', 'a " secret'),
        ('""', ""),
        ('"', '"'),
        ('"a', '"a'),
        ('"a"b', '"a"b'),
        ('"a"#b', '"a"#b'),
        ('"a","b"', '"a","b"'),
        ("it's", "it's"),
    ],
)
def test_set_option_accepts_text_in_quotes_as_in_the_file(value: str, text: str) -> None:
    assert read_settings(None, (f"mqtt.username={value}",)).mqtt.username == text


def test_set_option_accepts_an_ipv6_address() -> None:
    assert read_settings(None, ("mqtt.host=fd00::5", "http.host=::")).mqtt.host == "fd00::5"


def test_set_option_keeps_all_keys_of_a_nested_section() -> None:
    settings = read_settings(None, ("mqtt.tls.enabled=true", "mqtt.tls.ca_path=/etc/ca.pem", "mqtt.host=broker"))

    assert settings.mqtt.tls.enabled
    assert str(settings.mqtt.tls.ca_path) == "/etc/ca.pem"
    assert settings.mqtt.host == "broker"


@pytest.mark.parametrize(
    ("value", "members"),
    [
        ("linear,lstm-5-3", ("linear", "lstm-5-3")),
        ('["linear", "lstm-5-3"]', ("linear", "lstm-5-3")),
        ("[]", ()),
        ("", ()),
        ("[linear", ("[linear",)),
    ],
)
def test_set_option_accepts_lists_with_commas_or_as_toml(value: str, members: tuple[str, ...]) -> None:
    assert read_settings(None, (f"forecast.experts={value}",)).forecast.experts == members
