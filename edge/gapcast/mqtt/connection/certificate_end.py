"""When a certificate expires, read from its file: Python's :mod:`ssl` returns that for the peer's certificate only."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
#: Tags of ASN.1 (X.690): the optional version of a certificate, and a time with two digits of the year.
_VERSION, _UTC_TIME = 0xA0, 0x17
_LONG_FORM = 0x80


def certificate_end(path: Path) -> datetime | None:
    """Return when the first certificate in the PEM file at ``path`` expires; None if that cannot be read."""
    try:
        return _end_of(_der_of(path.read_text(encoding="ascii", errors="replace")))
    except (OSError, ValueError, IndexError):
        return None


def _der_of(text: str) -> bytes:
    begin = text.index(_BEGIN)
    return ssl.PEM_cert_to_DER_cert(text[begin : text.index(_END, begin) + len(_END)])


def _end_of(der: bytes) -> datetime:
    """Return ``Certificate.tbsCertificate.validity.notAfter`` (RFC 5280, 4.1)."""
    certificate, _ = _content(der, 0)
    at, _ = _content(der, certificate)
    if der[at] == _VERSION:
        _, at = _content(der, at)
    for _field in ("serialNumber", "signature", "issuer"):
        _, at = _content(der, at)
    not_before, _ = _content(der, at)
    _, not_after = _content(der, not_before)
    begin, end = _content(der, not_after)
    form = "%y%m%d%H%M%SZ" if der[not_after] == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(der[begin:end].decode("ascii"), form).replace(tzinfo=UTC)


def _content(der: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the element at ``at`` begins and ends."""
    n_bytes, begin = der[at + 1], at + 2
    if n_bytes & _LONG_FORM:
        end_of_length = begin + (n_bytes & ~_LONG_FORM)
        n_bytes, begin = int.from_bytes(der[begin:end_of_length]), end_of_length
    return begin, begin + n_bytes
