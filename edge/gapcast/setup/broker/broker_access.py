"""The address of the broker and the account at it, and whether the address can be resolved and reached."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gapcast.core.errors import SettingsError
from gapcast.mqtt.connection.broker_problem import broker_address, network_reason
from gapcast.mqtt.connection.transport import CLIENT_REJECTED

_TLS_PORT, _PLAIN_PORT, _MAX_PORT = 8_883, 1_883, 65_535
_SCHEMES = {"mqtt://": None, "mqtts://": True}
_REACH_S = 5.0
_PORTS = f"usually {_PLAIN_PORT}, or {_TLS_PORT} with TLS"


@dataclass(slots=True)
class BrokerAccess:
    """Address and credentials of the broker: the content of ``[mqtt]``, and the password, stored separately."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_path: Path | None = None
    certificate_path: Path | None = None
    key_path: Path | None = None

    @classmethod
    def parse(cls, text: str, *, tls: bool | None = None) -> BrokerAccess:
        """Parse ``host``, ``host:port`` or ``[v6]:port``; port 8883 implies TLS unless ``tls`` is given.

        >>> access = BrokerAccess.parse("192.168.1.5:8883")
        >>> access.host, access.port, access.tls
        ('192.168.1.5', 8883, True)
        """
        address = text.strip()
        for scheme, implied in _SCHEMES.items():
            if address.lower().startswith(scheme):
                address, tls = address[len(scheme) :].rstrip("/"), implied if tls is None else tls
        host, colon, port = address.rpartition(":") if address.count(":") == 1 or "]:" in address else (address, "", "")
        is_port = port.isdecimal() and port.isascii() and 0 < int(port[:6]) <= _MAX_PORT
        if (colon and not is_port) or not host.strip("[]") or any(one in host for one in " /?#@"):
            msg = f"{text!r} is not a broker address: use HOST or HOST:PORT, e.g. 192.168.1.5:1883"
            raise SettingsError(msg)
        number = int(port) if port else _TLS_PORT if tls else _PLAIN_PORT
        return cls(host.strip("[]"), number, tls=number == _TLS_PORT if tls is None else tls)

    @property
    def address(self) -> str:
        """The address as :meth:`parse` reads it."""
        return broker_address(self.host, self.port)

    def section(self) -> dict[str, Any]:
        """Return ``[mqtt]``, without the password."""
        section: dict[str, Any] = {"host": self.host, "port": self.port}
        if self.username:
            section["username"] = self.username
        if self.tls:
            section["tls"] = {"enabled": True} | {key: str(path) for key, path in self.tls_files.items()}
        return section

    @property
    def tls_files(self) -> dict[str, Path]:
        """The files of ``[mqtt.tls]``, by key: the authority's certificate, the client's, and its key."""
        files = {"ca_path": self.ca_path, "certificate_path": self.certificate_path, "key_path": self.key_path}
        return {key: path for key, path in files.items() if path is not None}

    def network_problem(self) -> tuple[str, str] | None:
        """Return why the address cannot be resolved or reached, and the fix; None if something listens there."""
        try:
            socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
                fix = "check the spelling, the network and the DNS server, or use the IP address"
            else:
                fix = "check the spelling, or use the IP address"
            return network_reason(error, self.host), fix
        try:
            with socket.create_connection((self.host, self.port), _REACH_S):
                return None
        except ConnectionRefusedError as error:
            fix = f"nothing listens at this address: start the broker, or correct address or port ({_PORTS})"
            return network_reason(error, self.host), fix
        except TimeoutError as error:
            return network_reason(error, self.host), "check the address, that the machine is on, and firewalls"
        except OSError as error:
            return network_reason(error, self.host), "check the address and the network of this machine"


def protocol_fix(problem: str) -> str:
    """Return the fix if something listens at the address, but a connection fails before the login."""
    if "mqtt.tls.ca_path" in problem:
        return "pass the certificate of the broker's authority with --ca"
    if CLIENT_REJECTED in problem:
        return "pass it with --certificate and --key"
    if "mqtt." in problem:  # TLS problems include their fix
        return ""
    return f"another kind of server may listen there, or it needs TLS: check the port ({_PORTS}), or see its log"
