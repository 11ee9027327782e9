"""Client addresses and networks."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Networks = Sequence[IPv4Network | IPv6Network]
#: One household or host usually owns an IPv6 network of this prefix length, with any number of addresses in it.
_IPV6_PREFIX = 64


def is_in(host: str, networks: Networks) -> bool:
    """Return whether the address ``host`` is in one of ``networks``; an IPv4 address may be written as IPv6.

    >>> from ipaddress import ip_network
    >>> is_in("::ffff:10.0.0.7", [ip_network("10.0.0.0/24")]), is_in("not an address", [ip_network("0.0.0.0/0")])
    (True, False)
    """
    address = _parse(host)
    return address is not None and any(address in network for network in networks)


def is_same_address(one: str, other: str) -> bool:
    """Return whether two texts are the same address.

    >>> is_same_address("::ffff:10.0.0.7", "10.0.0.7"), is_same_address("10.0.0.7", "10.0.0.8")
    (True, False)
    """
    address = _parse(one)
    return address is not None and address == _parse(other)


def is_loopback(host: str) -> bool:
    """Return whether the address ``host`` is one of this machine itself, such as 127.0.0.1 or ::1."""
    address = _parse(host)
    return address is not None and address.is_loopback


def client_of(host: str) -> str:
    """Return the key that counts as one client: an IPv4 address, or the network of an IPv6 address.

    >>> client_of("::ffff:10.0.0.7"), client_of("2001:db8::1:2:3")
    ('10.0.0.7', '2001:db8::/64')
    """
    address = _parse(host)
    if isinstance(address, IPv6Address) and not address.is_loopback:
        return str(IPv6Network((address.packed, _IPV6_PREFIX), strict=False))
    return host if address is None else str(address)


def _parse(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
