"""``[http]``: the REST API, its limits, and who may use it."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator

from gapcast.config.sections.section import Port, SettingsSection, host_rule, matching, split_list

#: Default port of each scheme, which browsers leave out of an origin.
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def _as_sent(origin: str) -> str:
    """Return ``origin`` as browsers send it: in lower case, without the scheme's default port (RFC 6454, section 6.2).

    >>> _as_sent("HTTPS://Panel.lan:443"), _as_sent("http://panel.lan:8123"), _as_sent("*")
    ('https://panel.lan', 'http://panel.lan:8123', '*')
    """
    origin = origin.lower()
    return origin.removesuffix(_DEFAULT_PORTS.get(origin.partition("://")[0], ""))


Origin = Annotated[
    str,
    matching(r"\*|(?i:https?)://[^/\s]+", "must be an origin such as https://panel.lan, without a path"),
    AfterValidator(_as_sent),
]
HostName = Annotated[
    str,
    matching(
        r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*",
        "must be a host name such as gateway.lan or *.lan, without scheme and port",
    ),
]


def _parse_network(value: Any) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value)
    except ValueError as error:
        msg = "must be an address or a network, such as 192.168.1.7 or 192.168.1.0/24"
        raise ValueError(msg) from error


#: pydantic's ``IPvAnyNetwork`` would import its types of URLs and mail addresses.
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_parse_network)]


class HttpSettings(SettingsSection):
    """``[http]``: the address of the REST API, its limits and its clients."""

    host: Annotated[str, AfterValidator(host_rule("http.port"))] = "0.0.0.0"  # noqa: S104 - clients are on the gateway's network; docs/configuration.md describes restrictions
    port: Port = 8080
    max_body_bytes: int = Field(default=262_144, ge=1_024)
    max_readings: int = Field(default=10_000, ge=2)
    #: Body limit of the Open Inference Protocol: some thousands of windows.
    max_tensor_bytes: int = Field(default=16_777_216, ge=1_024)
    #: Limit of all bodies being received or handled.
    max_total_body_bytes: int = Field(default=33_554_432, ge=1_024)
    #: Concurrent connections; None: half of the files that the process may open, at most 512.
    max_connections: int | None = Field(default=None, ge=4, le=65_536)
    #: Time limits for receiving a request's head and its body.
    head_timeout_s: float = Field(default=10.0, ge=0.05, le=3_600)
    body_timeout_s: float = Field(default=30.0, ge=0.05, le=3_600)
    #: Concurrent readers of ``GET /events``, in total and per address.
    max_event_readers: int = Field(default=100, ge=0, le=10_000)
    max_event_readers_per_client: int = Field(default=10, ge=1, le=10_000)
    #: Bearer token, required for everything but health checks; None: no authentication.
    token: SecretStr | None = Field(default=None, min_length=8)
    #: Other origins whose pages may send requests (CORS).
    cors_origins: tuple[Origin, ...] = ()

    #: Client addresses and networks that are allowed, besides this machine; empty: any.
    allow_from: tuple[Network, ...] = ()
    #: Client addresses and networks that may make changes, besides this machine, if no token is set.
    allow_changes_from: tuple[Network, ...] = ()
    #: Accepted ``Host`` names, besides addresses, ``localhost`` and the machine's own names; ``*``: any.
    allowed_hosts: tuple[HostName, ...] = ()

    _split_list = field_validator("cors_origins", "allow_from", "allow_changes_from", "allowed_hosts", mode="before")(
        split_list
    )
