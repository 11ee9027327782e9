"""The commands that ``gapcast setup`` shows at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from gapcast.setup.broker.broker_access import BrokerAccess
from gapcast.setup.next_steps import next_steps
from gapcast.systemd.unit import DEFAULT_CONFIG


@pytest.mark.parametrize(
    ("access", "command"),
    [
        (BrokerAccess("pi", 1883), "mosquitto_sub -h pi -p 1883 -v -t gap/+/forecast"),
        (
            BrokerAccess("pi", 8883, "me", "word", tls=True),
            "mosquitto_sub -h pi -p 8883 -u USER -P PASSWORD --tls-use-os-certs -v -t gap/+/forecast",
        ),
        (
            BrokerAccess("pi", 8883, tls=True, ca_path=Path("/etc/gapcast/our ca.pem")),
            "mosquitto_sub -h pi -p 8883 --cafile '/etc/gapcast/our ca.pem' -v -t gap/+/forecast",
        ),
    ],
)
def test_next_steps_subscribe_as_the_gateway_connects(access: BrokerAccess, command: str) -> None:
    lines = [line.strip() for line in next_steps(Path("gapcast.toml"), access)]
    assert command in lines


def test_next_steps_after_sudo_can_read_the_password() -> None:
    access = BrokerAccess("pi", 1883, "me", "word")
    plain, by_sudo = ("\n".join(next_steps(DEFAULT_CONFIG, access, by_sudo=one)) for one in (False, True))
    assert "Test it    gapcast check --config /etc/gapcast/gapcast.toml" in plain
    assert "Test it    sudo gapcast check --config /etc/gapcast/gapcast.toml" in by_sudo
    assert "sudo env STATE_DIRECTORY=/var/lib/gapcast gapcast import FILE" in by_sudo
    assert ("gapcast run" in plain, "gapcast run" in by_sudo) == (True, False), "no service runs as root"


@pytest.mark.parametrize(("ca_path", "is_hidden"), [("/home/pi/ca.pem", True), ("/etc/gapcast/ca.pem", False)])
def test_next_steps_name_a_certificate_that_the_service_cannot_read(*, ca_path: str, is_hidden: bool) -> None:
    access = BrokerAccess("pi", 8883, tls=True, ca_path=Path(ca_path))
    named = f"The service cannot read {ca_path}: copy it to /etc/gapcast, and set mqtt.tls.ca_path"
    assert (named in "\n".join(next_steps(Path("/etc/gapcast/gapcast.toml"), access))) is is_hidden


def test_next_steps_name_a_client_key_that_the_service_cannot_read() -> None:
    certificate, key = Path("/etc/gapcast/gw.pem"), Path("/home/pi/gw.key")
    access = BrokerAccess("pi", 8883, tls=True, certificate_path=certificate, key_path=key)
    lines = "\n".join(next_steps(DEFAULT_CONFIG, access))
    assert "The service cannot read /home/pi/gw.key: copy it to /etc/gapcast, and set mqtt.tls.key_path" in lines
    assert "cannot read /etc/gapcast/gw.pem" not in lines
    assert "The service needs the key as a credential" in lines


def test_next_steps_wait_for_the_slowest_meter() -> None:
    lines = [line.strip() for line in next_steps(Path("gapcast.toml"), BrokerAccess("pi", 1883), wait_s=310.0)]
    assert "Test it    gapcast check --wait 310" in lines
