"""The REST API's socket and options, as configured."""

from __future__ import annotations

import errno
import socket
from threading import Lock

from gapcast.config.files.service_address import local_url
from gapcast.config.sections.http import HttpSettings
from gapcast.core.errors import AddressError, SettingsError
from gapcast.http.options import HttpOptions
from gapcast.http.server.connection_limits import ConnectionLimits, default_max_connections


def http_options(http: HttpSettings) -> HttpOptions:
    """Return the options of the REST API."""
    return HttpOptions(
        max_body_bytes=http.max_body_bytes,
        max_tensor_bytes=http.max_tensor_bytes,
        max_event_readers=http.max_event_readers,
        token=http.token.get_secret_value() if http.token else None,
        cors_origins=http.cors_origins,
        allow_from=http.allow_from,
        allow_changes_from=http.allow_changes_from,
        allowed_hosts=http.allowed_hosts,
        own_names=(socket.gethostname(), http.host),
        max_event_readers_per_client=http.max_event_readers_per_client,
        max_total_body_bytes=http.max_total_body_bytes,
    )


def connection_limits_of(http: HttpSettings) -> ConnectionLimits:
    """Return the limits of HTTP connections."""
    return ConnectionLimits(
        max_connections=http.max_connections or default_max_connections(),
        head_timeout_s=http.head_timeout_s,
        body_timeout_s=http.body_timeout_s,
    )


def listen_problem(error: Exception) -> str:
    """Return a description of why a socket cannot listen."""
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).partition(" (while ")[0]


def listen_fix(error: Exception, port: int) -> str:
    """Return the fix for ``error``, raised by listening on ``port``."""
    if _is_address_missing(error):
        return "set http.host to an address of this machine, or to 0.0.0.0 for all of them"
    if isinstance(error, PermissionError):
        return "set http.port to 1024 or above, or permit this account to listen on lower ones"
    return f"stop what listens there (ss -ltnp 'sport = :{port}' shows it), or set http.port and http.host"


def _is_address_missing(error: Exception) -> bool:
    number = (error.errno if isinstance(error, OSError) else None) or 0
    return number < 0 or number == errno.EADDRNOTAVAIL  # below 0: an error of the resolver


def listen_error_type(error: Exception) -> type[SettingsError]:
    """Return the type of the error to raise for ``error``, raised by listening."""
    return AddressError if _is_address_missing(error) else SettingsError


def bound_socket(http: HttpSettings) -> socket.socket:
    """Return a listening socket; raise :class:`SettingsError` if the address cannot be listened on.

    Raises :class:`AddressError` if this machine does not have the address, for example before the network is up.
    """
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    try:
        bound = socket.create_server((http.host, http.port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        problem = f"cannot listen on {http.host} port {http.port} ({listen_problem(error)})"
        msg = f"http.host, http.port: {problem}: {listen_fix(error, http.port)}"
        raise listen_error_type(error)(msg) from error
    # asyncio does this only for sockets with an explicit protocol; without it, a response may be delayed by 40 ms.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


class ListeningSocket:
    """The listening socket of the REST API, bound by its first use."""

    def __init__(self, http: HttpSettings) -> None:
        """Listen as ``http`` configures."""
        self._http = http
        self._socket: socket.socket | None = None
        self._lock = Lock()

    def bind(self) -> socket.socket:
        """Return the socket, which the first call, in any thread, binds; raises the errors of :func:`bound_socket`."""
        with self._lock:
            if self._socket is None:
                self._socket = bound_socket(self._http)
            return self._socket

    @property
    def url(self) -> str:
        """The URL on this machine."""
        return local_url(self._http.host, self.bind().getsockname()[1])

    def close(self) -> None:
        """Close the socket, if it is bound. Idempotent."""
        if self._socket is not None:
            self._socket.close()
