"""What is said about an address that the REST API cannot listen on."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import closing

import pytest

from gapcast.app.http_server import bound_socket, listen_fix, listen_problem
from gapcast.config.sections.http import HttpSettings
from gapcast.core.errors import SettingsError


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.EADDRINUSE, "stop what listens there (ss -ltnp 'sport = :80'"),
        (errno.EACCES, "set http.port to 1024 or above"),
        (errno.EADDRNOTAVAIL, "set http.host to an address of this machine"),
        (socket.EAI_NONAME, "set http.host to an address of this machine"),
    ],
)
def test_listen_fix_matches_the_error(number: int, fix: str) -> None:
    error = OSError(number, "problem (while attempting to bind on address ('x', 80))")
    assert listen_problem(error) == "problem"
    assert listen_fix(error, 80).startswith(fix)


def test_bound_socket_in_use_names_the_fix() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        http = HttpSettings(host="127.0.0.1", port=taken.getsockname()[1])
        problem = rf"cannot listen on 127\.0\.0\.1 port {http.port} \({os.strerror(errno.EADDRINUSE)}\): stop what"
        with pytest.raises(SettingsError, match=problem):
            bound_socket(http)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.EADDRNOTAVAIL, "not yet"), 1),
        (socket.gaierror(socket.EAI_AGAIN, "no name server yet"), 1),
        (OSError(errno.EADDRINUSE, "taken"), 2),
        (OSError(errno.EACCES, "a low port"), 2),
    ],
)
def test_bound_socket_address_not_there_yet_has_another_exit_code(
    monkeypatch: pytest.MonkeyPatch, error: OSError, code: int
) -> None:
    """systemd does not start the service again after 2, and an address may come later than the service."""

    def create_server(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "create_server", create_server)
    with pytest.raises(SettingsError) as raised:
        bound_socket(HttpSettings(host="gateway.lan"))
    assert raised.value.exit_code == code


def test_bound_socket_of_an_unknown_host_is_named() -> None:
    with pytest.raises(SettingsError, match=r"http\.host, http\.port: cannot listen on "):
        bound_socket(HttpSettings(host="no-such-host.invalid", port=1))
