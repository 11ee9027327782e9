"""The transport under MQTT: TCP, TLS and WebSocket, with error messages that name the cause and the fix."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gapcast.mqtt.connection.broker_problem import network_reason
from gapcast.mqtt.connection.tls import Tls
from gapcast.mqtt.connection.websocket import Websocket
from gapcast.mqtt.packets.splitter import ProtocolError

#: A pulled cable sends no FIN. TCP retransmits at growing intervals: after an outage of a minute, up to half a minute
#: passes before the next attempt, and MQTT's keep-alive takes as long. So a connection is closed when sent data stays
#: unacknowledged for this long or, if nothing was sent, when several probes do; a new one is then tried every few
#: seconds.
_DEAD_AFTER_S = 10
_IDLE_S, _PROBE_EVERY_S = 5, 2
_N_PROBES = 3
#: Names differ between Linux and other systems; options that a system lacks are skipped.
_OPTIONS = (
    ("SO_KEEPALIVE", socket.SOL_SOCKET, 1),
    ("TCP_NODELAY", socket.IPPROTO_TCP, 1),
    ("TCP_USER_TIMEOUT", socket.IPPROTO_TCP, _DEAD_AFTER_S * 1_000),
    ("TCP_KEEPIDLE", socket.IPPROTO_TCP, _IDLE_S),
    ("TCP_KEEPINTVL", socket.IPPROTO_TCP, _PROBE_EVERY_S),
    ("TCP_KEEPCNT", socket.IPPROTO_TCP, _N_PROBES),
)
#: OpenSSL's codes for a rejected certificate (openssl-verification-options, "Diagnostics").
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}
_OTHER_NAME = {62, 64}
#: TLS errors that occur when the peer does not use TLS.
_NOT_TLS = {
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "UNEXPECTED_MESSAGE",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
}
_PORT_FIX = "check mqtt.port (8883 is usual), or mqtt.tls.enabled"
#: Beginning of each problem with the broker's certificate.
INVALID = "the broker's certificate is not valid"
_ENDED = "the broker ended the connection after the TLS handshake"
#: Reported when TLS ends before the broker answers; its alert, if any, may be lost with the connection.
CLIENT_REJECTED = (
    f"{_ENDED}: if it requires a client certificate, "
    "set mqtt.tls.certificate_path and key_path to a valid certificate that the broker trusts"
)
#: Reported when TLS ends without an alert, for example because the server expects HTTPS without an ALPN protocol.
NO_RESPONSE = (
    "the broker ended the connection before it answered: if the port also serves HTTPS, set mqtt.tls.alpn to "
    "the protocol in the broker's documentation"
)
_NO_COMMON_ALPN = (
    "the broker supports none of the protocols in mqtt.tls.alpn: set the one in its documentation, or remove the key"
)
#: Alerts of a server that requires a client certificate (TLS 1.3; older versions fail the handshake).
_CLIENT_CERTIFICATE_ALERTS = (
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "UNKNOWN_CA",
    "CERTIFICATE_EXPIRED",
    "HANDSHAKE_FAILURE",
)


def set_tcp_options(connection: socket.socket) -> None:
    """Disable Nagle's algorithm, and detect a dead connection within about ten seconds."""
    for name, level, value in _OPTIONS:
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(level, option, value)


@dataclass(frozen=True, slots=True)
class Transport:
    """The transport's parameters. ``tls`` None: unencrypted; ``server_name`` None: the host name."""

    kind: Literal["tcp", "websockets"] = "tcp"
    websocket_path: str = "/mqtt"
    tls: Tls | None = None
    server_name: str | None = None


class TransportClient(paho.Client):
    """paho's client with full certificate checks by its TLS context, and without Nagle's delay."""

    def __init__(self, transport: Transport, api: CallbackAPIVersion, **options: Any) -> None:
        super().__init__(api, transport=transport.kind, **options)
        self._server_name = transport.server_name
        self._lowest: socket.socket | None = (
            None  # the last TCP or TLS socket: paho leaves it open if a later layer fails
        )
        if transport.kind == "websockets":
            self.ws_set_options(path=transport.websocket_path)
        self._tls = transport.tls
        if self._tls is not None:
            self.tls_set_context(self._tls.context)

    def _create_socket(self) -> Any:
        try:
            if self._transport == "websockets":
                return self._create_websocket()
            return super()._create_socket()
        except OSError:
            if self._lowest is not None:
                self._lowest.close()
            raise

    def _create_websocket(self) -> Websocket:
        sock = self._create_socket_connection()
        if self._tls is not None:
            sock = self._ssl_wrap_socket(sock)
        sock.settimeout(self.connect_timeout)
        return Websocket(sock, self._host, self._port, self._websocket_path, tls=self._tls is not None)

    def _create_socket_connection(self) -> Any:
        self._lowest = sock = self._connected_socket()
        set_tcp_options(sock)
        return sock

    def _connected_socket(self) -> Any:
        if not self._host.isascii() or self._get_proxy() is not None:
            return super()._create_socket_connection()
        host: Any = self._host.encode()  # a name in bytes needs no IDNA codec, which takes 0.4 MB with its tables
        return socket.create_connection((host, self._port), timeout=self.connect_timeout)

    def _ssl_wrap_socket(self, tcp_sock: Any) -> ssl.SSLSocket:
        assert self._tls is not None, "tls_set_context came before"  # noqa: S101 - paho calls this only with TLS
        context = self._tls.reload()
        name = self._server_name or self._host
        self._lowest = sock = context.wrap_socket(tcp_sock, server_hostname=name, do_handshake_on_connect=False)
        sock.settimeout(self.connect_timeout)
        sock.do_handshake()
        return sock


def connection_error(error: BaseException, host: str, transport: Transport) -> str:
    """Return a sentence with the cause of a failed or ended connection, and the fix."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{INVALID}: {_distrust(error, transport.server_name or host)}"
    if isinstance(error, (ssl.SSLEOFError, ConnectionResetError)) and transport.tls is not None:
        return f"the broker closed the connection during the TLS handshake: {_PORT_FIX}"
    if isinstance(error, ssl.SSLError):
        return _tls_failure(error, transport)
    if isinstance(error, paho.WebsocketConnectionError):
        location = f"on this port under {transport.websocket_path}"
        fix = "check mqtt.port, mqtt.websocket_path and mqtt.tls.enabled"
        return f"the broker does not support WebSocket {location}: {fix}"
    return network_reason(error, host)


def _distrust(error: ssl.SSLCertVerificationError, name: str) -> str:
    code = error.verify_code
    if code in {_NOT_YET_VALID, _EXPIRED}:
        validity = "it has expired: renew it" if code == _EXPIRED else "it is not valid yet: wait until it is"
        return f"{validity}, or set this machine's clock"
    if code in _UNKNOWN_AUTHORITY:
        return "its issuer is not trusted here: set mqtt.tls.ca_path to the file of that authority's certificate"
    if code in _OTHER_NAME:
        fix = "set mqtt.host to a name in the certificate; to keep mqtt.host, set mqtt.tls.server_name to such a name"
        return f"it is not for {name!r}: {fix}"
    return error.verify_message


def client_rejected(transport: Transport) -> str:
    """Return a sentence on a broker that ended TLS before it answered: it may not accept the client certificate."""
    path = None if transport.tls is None else transport.tls.certificate_path
    if path is None:
        return CLIENT_REJECTED
    return (
        f"{_ENDED}: it may have rejected the certificate in mqtt.tls.certificate_path: check that it has not expired "
        f"(openssl x509 -noout -enddate -in {path}), and that the broker trusts its issuer"
    )


def unanswered_problem(failure: OSError | None, transport: Transport) -> str:
    """Return a sentence on a broker that ended TLS before it answered; empty without TLS, or if its answer is invalid.

    TLS 1.3 has the alerts of a server that requires a client certificate after the handshake.
    """
    if transport.tls is None or isinstance(failure, ProtocolError):
        return ""
    return NO_RESPONSE if failure is None else client_rejected(transport)


def _tls_failure(error: ssl.SSLError, transport: Transport) -> str:
    reason = getattr(error, "reason", None) or ""
    if reason in _NOT_TLS:
        return f"the broker does not use TLS on this port: {_PORT_FIX}"
    if "no application protocol" in str(error):  # Python has no reason code for this alert
        return _NO_COMMON_ALPN
    if is_client_certificate_error(error):
        return client_rejected(transport)
    return f"TLS failed: {error.strerror or error}"


def is_client_certificate_error(error: BaseException | None) -> bool:
    """Return whether the broker rejected our certificate, or requires one, by a TLS alert."""
    return any((getattr(error, "reason", None) or "").endswith(alert) for alert in _CLIENT_CERTIFICATE_ALERTS)
