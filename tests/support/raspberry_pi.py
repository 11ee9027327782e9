"""A machine like the Raspberry Pi of docs/raspberry-pi.md, an account on it, and the plug of the house."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from zoneinfo import ZoneInfo

from tests.support.peers import Peer
from tests.support.systemd import Machine, booted_empty, python_runs_there
from tests.support.terminal import Terminal, in_terminal
from tests.support.waiting import wait_until

#: Without clock changes, at which a plug's local time is ambiguous for an hour.
ZONE = ZoneInfo("Asia/Kolkata")
GUARD_S = 120.0
_ACCOUNT = 1000
#: As Debian's: it sets home and path. It needs the two capabilities below, because it is no file with the setuid bit.
_SUDO = """#!/bin/sh
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec setpriv --reuid=0 --regid=0 --clear-groups -- env "$@"
"""
#: Without D-Bus only root can ask systemd; with it every account can ask, and only root change something.
_SYSTEMCTL = """#!/bin/sh
case "$1" in status) exec sudo /usr/bin/systemctl "$@" ;; esac
exec /usr/bin/systemctl "$@"
"""


def sections_of(page: Path) -> dict[str, list[str]]:
    """Return the commands in the bash blocks of a page by heading, in their order; one may have several lines."""
    sections: dict[str, list[str]] = {}
    for section in page.read_text(encoding="utf-8").split("\n## ")[1:]:
        blocks = re.findall(r"^```bash\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
        if blocks:
            commands = "".join(blocks).replace("\\\n", "\\\0").splitlines()
            sections[section.splitlines()[0]] = [command.replace("\0", "\n") for command in commands]
    return sections


class Pi:
    """The machine, with an unprivileged account that may use sudo."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    @contextmanager
    def command(self, line: str) -> Iterator[Terminal]:
        """Run a line in a shell of the account, in its home and in a terminal."""
        environment = {
            **python_runs_there(), "HOME": "/home/pi", "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8", "TERM": "xterm", "COLUMNS": "120", "LINES": "40", "SYSTEMD_PAGER": "",
        }  # fmt: skip
        account = ["setpriv", f"--reuid={_ACCOUNT}", f"--regid={_ACCOUNT}", "--groups=adm"]
        may_sudo = ["--inh-caps=+setuid,+setgid", "--ambient-caps=+setuid,+setgid"]
        shell = ["env", "--chdir=/home/pi", "bash", "-c", line]
        entered = ["setsid", "--ctty", "--wait", *self.machine.entering(), *account, *may_sudo, *shell]
        with in_terminal(entered, self.machine.folder, environment) as terminal:
            yield terminal

    @contextmanager
    def peer(self, account: str, password: str) -> Iterator[Peer]:
        """Connect to the broker."""
        with self.machine.network():
            made = Peer("127.0.0.1", 1883, username=account, password=password)
        try:
            yield made
        finally:
            made.close()


class Plug:
    """A Tasmota plug that reports its power, with the time of its own clock in local time."""

    def __init__(self, peer: Peer, name: str) -> None:
        self._peer = peer
        self._topic = f"tele/{name}/SENSOR"

    def send(self, at: datetime, power_w: int = 230) -> None:
        energy = f'{{"Total":5.631,"Power":{power_w},"Voltage":229,"Current":1.004}}'
        self._peer.send(self._topic, f'{{"Time":"{at.astimezone(ZONE):%Y-%m-%dT%H:%M:%S}","ENERGY":{energy}}}')

    def send_last(self, minutes: int) -> None:
        """Send one message for each second of the last minutes: setup has measured that interval."""
        now = datetime.now(ZONE)
        for second in range(60 * minutes, -1, -1):
            self.send(now - timedelta(seconds=second), 230 + second % 7)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send now and then, more often than a plug, so that nobody has to wait."""
        ended = Event()

        def send() -> None:
            while not ended.wait(0.2):
                self.send(datetime.now(ZONE))

        thread = Thread(target=send, name="plug")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(10)


@contextmanager
def raspberry_pi(folder: Path) -> Iterator[Pi]:
    """Boot the machine: Debian's mosquitto and journal, gapcast as pipx installs it, a network of its own."""
    (folder / "opt/gapcast/bin").mkdir(parents=True)
    for name, script in (("sudo", _SUDO), ("systemctl", _SYSTEMCTL)):
        command = folder / "opt/gapcast/bin" / name
        command.write_text(script, encoding="utf-8")
        command.chmod(0o755)
    (folder / "etc").mkdir()
    (folder / "etc/localtime").symlink_to(f"/usr/share/zoneinfo/{ZONE.key}")
    (folder / "etc/systemd/journald.conf.d").mkdir(parents=True)
    quiet = "[Journal]\nStorage=volatile\nReadKMsg=no\n"  # the kernel's messages are those of this machine
    (folder / "etc/systemd/journald.conf.d/test.conf").write_text(quiet, encoding="utf-8")
    (folder / "var/lib/private").mkdir(parents=True)  # which a Debian has from its first boot on
    (folder / "var/lib/private").chmod(0o700)
    (folder / "var/lib/mosquitto").mkdir()
    shutil.chown(folder / "var/lib/mosquitto", "mosquitto", "mosquitto")
    services = ["systemd-journald.socket", "systemd-journald.service", "mosquitto.service"]
    with booted_empty(folder, services=services, own_network=True) as machine:
        for home in ("/home", "/root"):
            machine.inside("mount", "-t", "tmpfs", "tmpfs", home)
        machine.inside("install", "--directory", f"--owner={_ACCOUNT}", f"--group={_ACCOUNT}", "/home/pi")
        journal = Path(f"/proc/{machine.init}/root/run/log/journal")
        wait_until(lambda: [*journal.glob("*/system.journal")], lambda: f"the journal; {machine.log}", GUARD_S)
        machine.inside("systemd-tmpfiles", "--create", "--prefix=/run/log/journal")  # the group adm may read it
        machine.inside("mount", "--bind", "/opt/gapcast/bin", "/usr/local/bin")
        yield Pi(machine)
