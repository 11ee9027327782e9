"""Runs a mosquitto on a free loopback port."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.ports import free_port
from bench.process import terminated

START_TIMEOUT_S = 10.0
#: Unbounded queues: the generator limits the messages in flight, so nothing may be dropped silently.
CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 0
max_queued_messages 0
set_tcp_nodelay {nodelay}
log_type error
log_type warning
"""


class NoBrokerError(Exception):
    """mosquitto is not installed, or does not start."""


def executable() -> str:
    """Return the path of mosquitto, which on many systems is not in a user's PATH."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
    if found is None:
        msg = "mosquitto is not installed"
        raise NoBrokerError(msg)
    return found


def version() -> str:
    """Return the broker's version, such as ``2.0.21``."""
    output = subprocess.run([executable(), "-h"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\S+)", output)
    return found[1] if found else "unknown"


@contextmanager
def running_broker(*, nodelay: bool = False, listeners: str = "") -> Iterator[tuple[int, int]]:
    """Run a mosquitto; yield its port and process id.

    ``nodelay`` is its ``set_tcp_nodelay``; ``listeners`` are additional listeners, in mosquitto's configuration syntax.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="gapcast-bench-") as folder:
        file = Path(folder, "mosquitto.conf")
        file.write_text(CONFIGURATION.format(port=port, nodelay=str(nodelay).lower()) + listeners, encoding="utf-8")
        file.chmod(0o644)
        Path(folder).chmod(0o755)  # started by root, mosquitto drops to its own user
        with terminated(subprocess.Popen([executable(), "-c", str(file)])) as process:
            _wait_until_listening(port, process)
            yield port, process.pid


def _wait_until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    msg = "mosquitto does not start"
    raise NoBrokerError(msg)
