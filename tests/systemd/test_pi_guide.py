"""docs/raspberry-pi.md from top to bottom: its commands as they stand and in their order, and what each promises."""

from __future__ import annotations

import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.raspberry_pi import GUARD_S, Pi, Plug, raspberry_pi, sections_of
from tests.support.systemd import ROOT
from tests.support.waiting import wait_until

PASSWORD = "a word of the house"
GUIDE = sections_of(ROOT / "docs" / "raspberry-pi.md")
ACCOUNTS = sections_of(ROOT / "docs" / "security.md")["Accounts"]
#: Beginnings of commands that need a package index, another machine or a clock: the machine has what they install.
NOT_HERE = ("sudo apt ", "timedatectl", "git ", "sudo PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx ")
#: Commands that run until Ctrl-C, and what they show.
LIVE = {"journalctl ": " gapcast[", "gapcast status ": "plug"}
#: What to answer; Enter is the answer to every other prompt.
ANSWERS = {"assword": PASSWORD, "Home Assistant": "y"}
#: A wait that this plug does not need: it sends more often.
SHORTER = ("--wait 70", "--wait 5")
#: Of readings; the first and the last of them may be incomplete.
MINUTES = 20


@pytest.fixture
def pi(tmp_path: Path) -> Iterator[Pi]:
    with raspberry_pi(tmp_path / "pi") as booted:
        yield booted


def follow(pi: Pi, commands: list[str]) -> str:
    """Run commands as a user of the page does; return what they show."""
    shown = ""
    for command in commands:
        if command.startswith(NOT_HERE):
            continue
        with pi.command(command.replace(*SHORTER)) as terminal:
            words = next((LIVE[start] for start in LIVE if command.startswith(start)), None)
            if words is not None:
                terminal.wait_for(words, GUARD_S)
                terminal.interrupt()
                terminal.wait_end(GUARD_S)
            else:
                code = terminal.answer_prompts(ANSWERS, GUARD_S)
                assert code == 0, f"{command}: exit code {code}: {terminal.shown}"
            shown += terminal.shown
    return shown


def connack(pi: Pi) -> int:
    """Connect to the broker without a password; return its answer."""
    with pi.machine.network(), socket.create_connection(("127.0.0.1", 1883), GUARD_S) as connection:
        connection.sendall(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
        return connection.recv(4)[3]


def n_observed(pi: Pi) -> dict[str, int]:
    """Return the devices with a forecast, and how many minutes of each the service knows."""
    with pi.machine.network():
        forecasts = httpx.get("http://127.0.0.1:8080/predict", timeout=GUARD_S).json()["forecasts"]
    return {forecast["device"]: forecast["n_observed"] for forecast in forecasts}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.systemd
@pytest.mark.mosquitto
@pytest.mark.e2e
def test_pi_guide_works_from_top_to_bottom(pi: Pi) -> None:
    root = Path(f"/proc/{pi.machine.init}/root")
    sections = iter(GUIDE)
    assert next(sections) == "The card"
    follow(pi, GUIDE["The card"])

    assert next(sections) == "The broker"
    follow(pi, GUIDE["The broker"])
    assert connack(pi) == 5, "a client without a password is refused"

    with pi.peer("meter", PASSWORD) as meter, pi.peer("homeassistant", PASSWORD) as home_assistant:
        plug, cellar = Plug(meter, "plug"), Plug(meter, "cellar")
        assert next(sections) == "gapcast"
        with plug.sending():
            shown = follow(pi, GUIDE["gapcast"])
        assert "tasmota on tele/{device}/SENSOR: plug 0.230 kW" in shown
        assert (mode(root / "etc/gapcast/gapcast.toml"), mode(root / "etc/gapcast/mqtt-password")) == (0o644, 0o600)

        assert next(sections) == "The service"
        install, start, *look = GUIDE["The service"]
        follow(pi, [install, start])
        home_assistant.subscribe("homeassistant/#")
        plug.send_last(MINUTES)
        wait_until(lambda: n_observed(pi).get("plug", 0) >= MINUTES - 3, "the readings of the plug", GUARD_S)
        with plug.sending():
            shown = follow(pi, look)
        assert "active (running)" in shown
        assert re.search(r"^ok +readings: \d+ messages? within 5 s, of plug$", shown, re.MULTILINE), shown
        assert "ok   state: /var/lib/gapcast/stream is writable" in shown, "the state of the service, not of root"
        assert not (root / "root/.local").exists()
        assert not [line for line in shown.splitlines() if line.startswith(("FAIL", "warn"))], shown
        home_assistant.wait_that(bool, "the entities of the plug", GUARD_S)

        assert next(sections) == "Back up and move to another Pi"
        follow(pi, GUIDE["Back up and move to another Pi"])
        assert mode(root / "home/pi/gapcast-backup.tgz") == 0o600
        assert n_observed(pi)["plug"] >= MINUTES - 3

        assert next(sections) == "Upgrade and roll back"
        cellar.send_last(MINUTES)
        wait_until(lambda: n_observed(pi).get("cellar", 0) >= MINUTES - 3, "the readings of the cellar", GUARD_S)
        follow(pi, GUIDE["Upgrade and roll back"])
        assert n_observed(pi).keys() == {"plug"}, "the readings are those of the backup"

        assert next(sections) == "Uninstall"
        follow(pi, GUIDE["Uninstall"])
        home_assistant.wait_that(lambda found: found[-1].payload == b"", "the end of the plug's entities", GUARD_S)
        left = ("etc/gapcast", "etc/systemd/system/gapcast.service", "var/lib/private/gapcast", "var/lib/gapcast")
        assert not [path for path in left if (root / path).exists() or (root / path).is_symlink()]
    assert list(sections) == []


@pytest.mark.systemd
@pytest.mark.mosquitto
@pytest.mark.e2e
def test_security_page_turns_the_broker_of_the_guide_into_one_with_rights(pi: Pi) -> None:
    """The commands of docs/security.md after those of the guide, whose accounts stay."""
    inside, folder = pi.machine.inside, "/etc/mosquitto"
    follow(pi, GUIDE["The broker"])
    inside("ln", "-s", "/opt/source", "/home/pi/gapcast")
    inside("sh", "-c", "mkdir /var/lib/gapcast && echo gw-attic >/var/lib/gapcast/gateway-id")
    key, certificate = f"{folder}/broker.key", f"{folder}/broker.pem"
    inside("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", key,
           "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")  # fmt: skip
    inside("chown", "mosquitto:", key)
    inside("cp", certificate, f"{folder}/ca.pem")
    follow(pi, ACCOUNTS)
    for account, topic in (("gapcast", "gapcast/gw-attic/status"), ("meter", "gap/meter/reading")):
        inside("mosquitto_pub", "-h", "localhost", "-p", "8883", "--cafile", f"{folder}/ca.pem", "-u", account,
               "-P", PASSWORD, "-q", "1", "-t", topic, "-m", "1")  # fmt: skip
    with pi.machine.network(), pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 1883), GUARD_S)


@pytest.mark.systemd
@pytest.mark.e2e
def test_pi_guide_failed_upgrade_leaves_the_unit(pi: Pi) -> None:
    """Without the command ``gapcast``, as after a failed pipx; systemd takes an empty file for a masked unit."""
    unit = Path(f"/proc/{pi.machine.init}/root/etc/systemd/system/gapcast.service")
    unit.write_text("of the version before\n", encoding="utf-8")
    commands = [command for section in GUIDE.values() for command in section if "gapcast systemd-unit" in command]
    assert len(commands) == 3
    for command in commands:
        with pi.command(f"gapcast() {{ return 127; }}; {command}") as terminal:
            assert terminal.wait_end(GUARD_S) == 127
        assert unit.read_text(encoding="utf-8") == "of the version before\n"


def test_pi_guide_has_every_command_that_the_test_treats_specially() -> None:
    commands = [command for section in GUIDE.values() for command in section]
    for start in (*NOT_HERE, *LIVE):
        assert any(command.startswith(start) for command in commands), f"no command of the page begins with {start!r}"
    assert any(SHORTER[0] in command for command in commands)
