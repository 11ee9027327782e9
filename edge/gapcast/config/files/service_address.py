"""The address file: a running service writes its HTTP address, so that ``gapcast status`` finds it.

It is in the state folder, and under systemd also in the runtime folder, which every account may read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import structlog

from gapcast.private_files import create_private, replacement_of

log = structlog.get_logger(__name__)

ADDRESS_FILE = "http-address"
#: Folders of the address file under systemd: RuntimeDirectory and StateDirectory.
SYSTEMD_FOLDERS = (Path("/run/gapcast"), Path("/var/lib/gapcast"))
#: Wildcard addresses to listen on, and the addresses to connect to instead.
_CONNECT_TO = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened on
#: Readable by every account in the runtime folder: the file holds no secret.
_PUBLIC_MODE = 0o644
_MAX_BYTES = 300


def local_address(host: str) -> str:
    """Return the address on this machine of a service that listens on ``host``.

    >>> local_address("0.0.0.0"), local_address("::"), local_address("192.168.1.5")
    ('127.0.0.1', '::1', '192.168.1.5')
    """
    return _CONNECT_TO.get(host, host)


def local_url(host: str, port: int) -> str:
    """Return the URL on this machine of a service that listens on ``host``.

    >>> local_url("0.0.0.0", 8080), local_url("::", 8080), local_url("192.168.1.5", 80)
    ('http://127.0.0.1:8080', 'http://[::1]:8080', 'http://192.168.1.5:80')
    """
    address = local_address(host)
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def runtime_folder(environment: Mapping[str, str]) -> Path | None:
    """Return systemd's runtime folder of this service; None without one."""
    directory = environment.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return Path(directory) if directory else None


class AddressFiles:
    """The address files of a running service. A folder that cannot be written to is left out."""

    def __init__(self, state: Path, runtime: Path | None) -> None:
        """Write to the folder ``state``, and readable by all accounts to the folder ``runtime``."""
        self._state, self._runtime = state, runtime
        self._paths = [folder / ADDRESS_FILE for folder in (state, runtime) if folder is not None]
        self._content = b""

    def write(self, url: str, *, owns_state: bool = True) -> None:
        """Write ``url``; unless this service ``owns_state``, leave the state folder's file to the other service."""
        self._content = f"{url}\n".encode()
        for path in self._paths:
            if path.parent == self._state and not owns_state:
                continue
            try:
                with replacement_of(path) as part:
                    with create_private(part) as file:
                        file.write(self._content)
                    if path.parent == self._runtime:
                        part.chmod(_PUBLIC_MODE)
            except OSError as error:
                problem = os.strerror(error.errno or 0)
                log.debug("http.address_not_written", path=str(path), problem=problem)

    def remove(self) -> None:
        """Remove the files, unless another service has written them since."""
        for path in self._paths:
            with suppress(OSError):
                if path.read_bytes() == self._content:
                    path.unlink()


def read_address(path: Path) -> str:
    """Return the URL in an address file; raise OSError or ValueError if there is none."""
    with path.open("rb") as file:
        url = file.read(_MAX_BYTES).decode("ascii").strip()
    if not url.startswith("http://"):
        msg = f"holds {url[:80]!r}, which is not an address"
        raise ValueError(msg)
    return url
