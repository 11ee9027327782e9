"""A real systemd: its tools on a unit, and the machine's own, booted in namespaces with that unit and no others."""

from __future__ import annotations

import ctypes
import os
import pty
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from tests.support.waiting import GUARD_S, wait_until

ROOT = Path(__file__).resolve().parents[2]
SYSTEMD = Path("/lib/systemd/systemd")
UNITS = Path("/lib/systemd/system")
#: Where the booted machine has a Python, what is installed for it, and the checkout: as an installation for all would.
PYTHON, SITE, SOURCE = "/opt/python", "/opt/site", "/opt/source"
COMMAND = "/opt/gapcast/bin/gapcast"
_EMPTY_UNITS = ("sysinit.target", "basic.target", "shutdown.target", "network-online.target")
_CLONE_NEWNET = 0x40000000


def systemd_missing() -> str | None:
    """Return why systemd cannot be tried here; None if it can."""
    if shutil.which("systemd-analyze") is None or not SYSTEMD.exists():
        return "systemd is not installed"
    if os.geteuid() != 0:
        return "only root may boot a systemd in namespaces of its own"
    tried = subprocess.run(
        ["unshare", "--mount", "sh", "-c", "mount --make-rprivate / && mount -t cgroup2 none /mnt"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return f"cgroup 2 cannot be mounted here: {tried.stderr.strip()}" if tried.returncode else None


class Machine:
    """A booted systemd, process 1 of its namespaces; the network is this machine's, or its own."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], console: Path) -> None:
        self.folder = folder
        self._process = process
        self._console = console

    @property
    def log(self) -> str:
        """What systemd and the service said."""
        log = self.folder / "var" / "log" / "gapcast"
        return self._console.read_text("utf-8", "replace") + (log.read_text(encoding="utf-8") if log.exists() else "")

    @property
    def init(self) -> int:
        """The process id of its process 1."""
        assert self._process.poll() is None, f"it ended: {self.log}"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text(encoding="ascii")
        return int(children.split()[0]) if children else 0

    @property
    def is_up(self) -> bool:
        """Whether its systemd answers."""
        return self.init != 0 and Path(f"/proc/{self.init}/root/run/systemd/private").exists()

    def entering(self) -> list[str]:
        """Return the prefix that runs a command in the machine."""
        return ["nsenter", "--target", str(self.init), "--mount", "--pid", "--net", "--"]

    @contextmanager
    def network(self) -> Iterator[None]:
        """Use the machine's network in this thread, and in the threads that it starts meanwhile."""
        libc = ctypes.CDLL(None, use_errno=True)  # os.setns is there from Python 3.12 on

        def enter(network: int) -> None:
            if libc.setns(network, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

        with (
            Path(f"/proc/{self.init}/ns/net").open("rb") as theirs,
            Path("/proc/thread-self/ns/net").open("rb") as ours,
        ):
            enter(theirs.fileno())
            try:
                yield
            finally:
                enter(ours.fileno())

    def inside(self, *command: str, check: bool = True) -> str:
        """Run a command in the machine; return its output."""
        done = subprocess.run([*self.entering(), *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}; {self.log}"
        return done.stdout

    def shown(self, name: str) -> str:
        """Return a property of the service, as ``systemctl show`` tells it."""
        return self.inside("systemctl", "show", "gapcast.service", "--property", name, "--value").strip()

    def wait_shown(self, name: str, value: str, timeout_s: float = GUARD_S) -> None:
        wait_until(lambda: self.shown(name) == value, lambda: f"{name} {value}, not {self.shown(name)}; {self.log}",
                   timeout_s)  # fmt: skip


def python_runs_there() -> dict[str, str]:
    """Return what a Python that is shown under another place needs in its environment: its own library's."""
    return {"LD_LIBRARY_PATH": f"{PYTHON}/lib"}


@contextmanager
def booted(
    folder: Path, unit: str, drop_in: str = "", configuration: str = "", before: str = "", *, own_network: bool = False
) -> Iterator[Machine]:
    """Boot a systemd with ``unit`` as gapcast.service; files of its /etc/gapcast may be put there before.

    ``before`` is Python that the command runs first.
    """
    for name in ("etc/gapcast", "units"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "etc/gapcast/gapcast.toml").write_text(configuration, encoding="utf-8")
    (folder / "units/gapcast.service").write_text(unit, encoding="utf-8")
    drop_in = f"StandardError=append:/var/log/gapcast\n{drop_in}"
    with booted_empty(folder, drop_in, before, ["gapcast.service"], own_network=own_network) as machine:
        yield machine


@contextmanager
def booted_empty(
    folder: Path, drop_in: str = "", before: str = "", services: Sequence[str] = (), *, own_network: bool = False
) -> Iterator[Machine]:
    """Boot a systemd that starts ``services``; of gapcast it has only the command.

    These are units in the folder ``units``, or this machine's.
    """
    for name in ("cgroup", "etc", "var/lib", "var/log", "opt/gapcast/bin", "units/gapcast.service.d"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    command = folder / f".{COMMAND}"
    command.write_text(
        f"#!{PYTHON}/bin/python3.{sys.version_info.minor}\nimport sys\nsys.path[:0] = ['{SOURCE}/edge', '{SITE}']\n"
        f"sys.dont_write_bytecode = True\n{before}\nfrom gapcast.cli import main\nmain()\n",
        encoding="utf-8",
    )  # fmt: skip
    command.chmod(0o755)
    units = folder / "units"
    for name in _EMPTY_UNITS:
        (units / name).write_text("[Unit]\nDefaultDependencies=no\n", encoding="utf-8")
    boot_target = f"[Unit]\nDefaultDependencies=no\nWants={' '.join(services)}\n"
    (units / "boot.target").write_text(boot_target, encoding="utf-8")
    for name in services:
        if not (units / name).exists():
            shutil.copy(UNITS / name, units)
    # What the test needs beside the unit as it is: the library of a Python that is shown elsewhere, and the log.
    library = " ".join(f"{name}={value}" for name, value in python_runs_there().items())
    (units / "gapcast.service.d/test.conf").write_text(f"[Service]\nEnvironment={library}\n{drop_in}", encoding="utf-8")
    shown = (
        f"{sys.base_prefix}={PYTHON}", f"{sysconfig.get_path('purelib')}={SITE}", f"{ROOT}={SOURCE}",
    )  # fmt: skip
    cgroup, console = f"gapcast-test-{os.getpid()}", folder / "console"
    ours, theirs = pty.openpty()
    boot = ["setpriv", "--pdeathsig", "KILL"]  # as the finally clause does, which a terminated process does not reach
    boot += ["unshare", "--mount", str(ROOT / "tests/support/boot-systemd"), str(folder), cgroup, os.ttyname(theirs)]
    environment = os.environ | ({"OWN_NETWORK": "1"} if own_network else {})
    process = subprocess.Popen([*boot, *shown], env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    reader = Thread(target=_copy, args=(ours, console), name="console")
    reader.start()
    try:
        machine = Machine(folder, process, console)
        wait_until(console.exists, "the console")
        wait_until(lambda: machine.is_up, lambda: f"its systemd; it said: {machine.log}")
        yield machine
    finally:
        process.kill()  # with it all that is in its namespaces
        process.wait(GUARD_S)
        reader.join(GUARD_S)
        os.close(ours)
        _remove_cgroup(folder, cgroup)


def _copy(terminal: int, file: Path) -> None:
    with file.open("wb", buffering=0) as copy:
        while True:
            try:
                said = os.read(terminal, 4_096)
            except OSError:  # the last process that could notify has ended
                return
            copy.write(said)


def _remove_cgroup(folder: Path, cgroup: str) -> None:
    place = f"{folder}/cgroup/{cgroup}"
    remove = (
        f"mount --make-rprivate / && mount -t cgroup2 cgroup2 {folder}/cgroup && "
        f"{{ test ! -d {place} || find {place} -depth -type d -exec rmdir {{}} +; }}"
    )

    def removed() -> bool:
        command = ["unshare", "--mount", "sh", "-c", remove]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    wait_until(removed, "its control groups to be empty")
