"""`--set` and what is said about values that the configuration cannot have."""

from __future__ import annotations

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
        ("site.timezone=Berlin", "site.timezone: there is no such time zone: use an IANA name"),
    ],
)
def test_set_option_with_impossible_value_says_what_is_possible(assignment: str, problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(None, (assignment,))

    assert problem in str(raised.value)


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
def test_set_option_takes_lists_with_commas_or_as_toml(value: str, members: tuple[str, ...]) -> None:
    assert read_settings(None, (f"forecast.experts={value}",)).forecast.experts == members
