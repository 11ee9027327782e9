"""The unit under a real systemd as process 1: it serves, is confined, and is restarted if it hangs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gapcast.systemd.unit import unit
from tests.integration.test_stream import FIRST, reading
from tests.support.brokers import MosquittoBroker, guarded_mosquitto
from tests.support.models import ModelCopy
from tests.support.peers import peer_of
from tests.support.ports import LOOPBACK, free_port
from tests.support.systemd import COMMAND, booted
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.systemd, pytest.mark.mosquitto, pytest.mark.e2e]
CONFIG, PASSWORD = Path("/etc/gapcast/gapcast.toml"), "a word of the house"
#: Makes the stream hang, and nothing else of the process, once a file is there. Only then is the watchdog short: a busy
#: machine cannot trigger it before.
HANG = """
import os
import socket
from pathlib import Path
from threading import Event
from gapcast.service.service import Service
run_once = Service.run_once
def run_once_or_hang(self, timeout_s):
    if Path("/var/lib/gapcast/hang").exists():
        Path("/var/lib/gapcast/hang").unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.sendto(b"WATCHDOG_USEC=1000000", os.environ["NOTIFY_SOCKET"])
        Event().wait()
    return run_once(self, timeout_s)
Service.run_once = run_once_or_hang
"""


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """A mosquitto that asks for a password."""
    with guarded_mosquitto(tmp_path, ("gapcast", "meter"), PASSWORD) as broker:
        yield broker


def configuration(mqtt_port: int, http_port: int, more: str = "") -> str:
    return (
        f'[mqtt]\nhost = "{LOOPBACK}"\nport = {mqtt_port}\n{more}\n'
        f'[http]\nhost = "{LOOPBACK}"\nport = {http_port}\n[forecast]\nmodel = "linear"\nexperts = []\n'
    )


def test_unit_serves_and_is_confined(guarded: MosquittoBroker, tmp_path: Path) -> None:
    folder, port = tmp_path / "machine", free_port()
    secret = folder / "etc/gapcast/mqtt-password"
    secret.parent.mkdir(parents=True)
    secret.write_text(PASSWORD + "\n", encoding="utf-8")
    secret.chmod(0o600)
    text = configuration(guarded.port, port, 'username = "gapcast"')
    # As from a backup of another machine, whose account had another number.
    moved = folder / "var/lib/private/gapcast"
    moved.mkdir(parents=True)
    (moved / "gateway-id").write_text("unit\n", encoding="utf-8")
    (folder / "var/lib/private").chmod(0o700)
    with (
        peer_of(guarded.host, guarded.port, username="meter", password=PASSWORD) as meter,
        booted(folder, unit(Path(COMMAND), CONFIG), configuration=text) as machine,
    ):
        meter.subscribe("gap/+/forecast")
        meter.subscribe("gapcast/unit/status")
        machine.wait_shown("ActiveState", "active")
        # gapcast/unit: its state was given to its account.
        meter.wait_that(lambda came: [m for m in came if m.payload == b"online"], "the gateway to be online")
        for i in range(3):
            meter.publish("gap/home/reading", reading(FIRST + i, 1.0 + i))
        assert meter.wait_for("gap/home/forecast", 2)[0].document["device"] == "home"
        assert httpx.get(f"http://{LOOPBACK}:{port}/readyz").status_code == 200

        pid = machine.shown("MainPID")
        status = machine.inside("cat", f"/proc/{pid}/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert int(fields["Uid"].split()[0]) >= 61_184  # made for it: those that DynamicUser= takes begin here
        assert {int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
        assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
        mounts = machine.inside("cat", f"/proc/{pid}/mountinfo")
        root = next(line.split() for line in mounts.splitlines() if line.split()[4] == "/")
        assert "ro" in root[5].split(",")
        assert machine.inside("ls", f"/proc/{pid}/root/root", f"/proc/{pid}/root/home").split() == [
            f"/proc/{pid}/root/home:", f"/proc/{pid}/root/root:",
        ]  # fmt: skip
        assert (folder / "var/lib/private/gapcast/stream").is_dir()
        assert PASSWORD not in machine.inside("cat", f"/proc/{pid}/environ") + machine.log

        # A model of one's own has its trial in a child process, which the unit's restrictions bind too.
        copy = ModelCopy(folder / "var/lib/private/gapcast/models", "linear")
        copy.alter_card(lambda card: card.update(version="tried"))
        machine.inside("systemctl", "reload", "gapcast.service")
        wait_until(lambda: '"linear": "tried"' in machine.log, "the models to be loaded again")
        assert (folder / "var/lib/private/gapcast/proven.json").stat().st_mode & 0o777 == 0o600
        machine.inside("systemctl", "stop", "gapcast.service")
        assert machine.shown("Result") == "success"
        assert json.loads(machine.log.splitlines()[-1])["event"] == "service.stopped"


def test_unit_hanging_stream_is_restarted_with_a_traceback(tmp_path: Path) -> None:
    folder, port = tmp_path / "machine", free_port()
    drop_in = "WatchdogSec=600s\nRestartSec=100ms\n"
    text = configuration(free_port(), port)
    with booted(folder, unit(Path(COMMAND), CONFIG), drop_in, text, before=HANG) as machine:
        machine.wait_shown("ActiveState", "active")
        first = machine.shown("MainPID")
        assert "no broker (" in machine.shown("StatusText")  # none is no reason to end
        (folder / "var/lib/private/gapcast/hang").touch()
        machine.wait_shown("NRestarts", "1")
        machine.wait_shown("ActiveState", "active")
        assert machine.shown("MainPID") != first
        assert "in run_once_or_hang" in machine.log.split("Fatal Python error: Aborted")[1]


def test_unit_bad_configuration_is_not_restarted(tmp_path: Path) -> None:
    with booted(tmp_path / "machine", unit(Path(COMMAND), CONFIG), configuration="[mqtt]\nprot = 1\n") as machine:
        machine.wait_shown("ActiveState", "failed")
        assert (machine.shown("ExecMainStatus"), machine.shown("NRestarts")) == ("2", "0")
        assert "configuration key mqtt.prot: there is no such key" in machine.log


def test_unit_without_a_password_file_takes_that_of_the_configuration(guarded: MosquittoBroker, tmp_path: Path) -> None:
    text = configuration(guarded.port, free_port(), f'username = "gapcast"\npassword = "{PASSWORD}"')
    with (
        peer_of(guarded.host, guarded.port, username="meter", password=PASSWORD) as meter,
        booted(tmp_path / "machine", unit(Path(COMMAND), CONFIG), "", f'{text}[gateway]\nid = "unit"\n'),
    ):
        meter.subscribe("gapcast/unit/status")
        meter.wait_that(lambda came: [m for m in came if m.payload == b"online"], "the gateway to be online")


def test_unit_address_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    """After a power cut a router may take longer than this machine to start."""
    text = '[http]\nhost = "192.0.2.7"\n[forecast]\nmodel = "linear"\nexperts = []\n'
    gapcast = unit(Path(COMMAND), CONFIG)
    with booted(tmp_path / "machine", gapcast, "RestartSec=100ms\n", text, own_network=True) as machine:
        wait_until(lambda: int(machine.shown("NRestarts")) > 0, lambda: f"a restart; {machine.log}")
        machine.inside("ip", "address", "add", "192.0.2.7/32", "dev", "lo")
        machine.wait_shown("ActiveState", "active")
    assert "cannot listen on 192.0.2.7 port 8080" in machine.log


def test_unit_backup_restores_on_another_machine(guarded: MosquittoBroker, tmp_path: Path) -> None:
    """The commands of docs/raspberry-pi.md for a backup, for another machine, and for a rollback."""
    one, other, port = tmp_path / "one", tmp_path / "other", free_port()
    text = configuration(guarded.port, port, 'username = "gapcast"')
    secret = one / "etc/gapcast/mqtt-password"
    secret.parent.mkdir(parents=True)
    secret.write_text(PASSWORD + "\n", encoding="utf-8")
    gapcast, archive = unit(Path(COMMAND), CONFIG), "/var/gapcast-backup.tgz"

    def n_observed() -> int:
        return int(httpx.get(f"http://{LOOPBACK}:{port}/predict", params={"device": "home"}).json()["n_observed"])

    with peer_of(guarded.host, guarded.port, username="meter", password=PASSWORD) as meter:
        meter.subscribe("gap/home/forecast")
        meter.subscribe("gapcast/+/status")
        with booted(one, gapcast, configuration=text) as machine:
            machine.wait_shown("ActiveState", "active")
            meter.wait_that(lambda came: [m for m in came if m.payload == b"online"], "the gateway to be online")
            for i in range(5):
                meter.publish("gap/home/reading", reading(FIRST + i, 1.0 + i))
            meter.wait_for("gap/home/forecast", 4)
            machine.inside("systemctl", "stop", "gapcast.service")
            machine.inside("tar", "-C", "/", "-czf", archive, "etc/gapcast", "var/lib/private/gapcast")

        private = other / "var/lib/private"  # which a Debian has from its first boot on (systemd's tmpfiles.d)
        private.mkdir(parents=True)
        private.chmod(0o700)
        backup = (one / archive.removeprefix("/")).rename(other / archive.removeprefix("/"))
        subprocess.run(["tar", "-C", other, "-xzf", backup], check=True)
        with booted(other, gapcast, configuration=text) as machine:
            machine.wait_shown("ActiveState", "active")
            assert n_observed() == 5
            meter.publish("gap/home/reading", reading(FIRST + 5, 1.0))
            meter.wait_for("gap/home/forecast", 5)
            assert n_observed() == 6

            machine.inside("systemctl", "stop", "gapcast.service")
            machine.inside("rm", "-rf", "/var/lib/private/gapcast")
            machine.inside("tar", "-C", "/", "-xzf", archive)
            machine.inside("systemctl", "start", "gapcast.service")
            assert n_observed() == 5
