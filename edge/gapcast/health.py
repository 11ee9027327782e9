"""Asks the service on this machine how it is: what a container's health check runs, ``python -m gapcast.health``.

It loads the standard library alone, and little of that: on a small gateway a check that takes a tenth of a second
instead of one, twice a minute for years, is worth a file of its own.
"""

from __future__ import annotations

import http.client
import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

_TIMEOUT_S = 5.0
#: Addresses to listen on that are none to ask at.
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened on
WELL, NOT_WELL, WRONG = 0, 1, 2


def address(environment: Mapping[str, str], file: Path) -> tuple[str, int]:
    """Return where the service listens: by the environment, else ``file``, else as it does by default.

    >>> address({"GAPCAST_HTTP__PORT": "9000"}, Path("no.toml"))
    ('127.0.0.1', 9000)
    """
    section = {}
    if file.exists():
        section = tomllib.loads(file.read_text(encoding="utf-8")).get("http", {})
    host = environment.get("GAPCAST_HTTP__HOST") or section.get("host", "0.0.0.0")  # noqa: S104 - the default of http.host
    port = environment.get("GAPCAST_HTTP__PORT") or section.get("port", 8080)
    return _ANY.get(host, host), int(port)


def ask(host: str, port: int, route: str) -> tuple[bool, str]:
    """Return whether the service at ``host`` is well, and what it said of itself."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", route)
        answer = connection.getresponse()
        return answer.status == HTTPStatus.OK, answer.read().decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return False, f"http://{host}:{port}{route} cannot be asked ({error})"
    finally:
        connection.close()


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Ask ``/readyz``, or with ``--live`` ``/livez``; print the answer and return the exit code."""
    if list(arguments) not in ([], ["--live"]):
        print("python -m gapcast.health takes --live or nothing", file=sys.stderr)
        return WRONG
    host, port = address(environment, Path("gapcast.toml"))
    well, said = ask(host, port, "/livez" if arguments else "/readyz")
    print(said)
    return WELL if well else NOT_WELL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
