"""Whom to trust and as whom to speak in TLS, by files that may be renewed while the service runs."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gapcast.core.errors import SettingsError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Whom to trust and as whom to speak, by files in PEM form."""

    #: The authorities that may vouch for the broker; None: those that this machine trusts.
    ca_path: Path | None = None
    #: Our own certificate, for a broker that asks for one, and its key (None: in the same file).
    certificate_path: Path | None = None
    key_path: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    #: Names of the protocol to offer, for a broker that tells MQTT from HTTPS on one port.
    alpn: tuple[str, ...] = ()


class Tls:
    """The TLS of a broker's connections; each begins with the files as they are then."""

    def __init__(self, files: TlsFiles) -> None:
        """Read ``files``; raise :class:`SettingsError`, naming the key and the file, where one cannot serve."""
        self._files = files
        self._problem = ""
        self.context = tls_context(files)

    def renewed(self) -> ssl.SSLContext:
        """Read the files anew and return what they say; what they last said where one of them cannot serve now.

        Whoever renews a certificate and its key writes one after the other, and a connection may be lost in between.
        """
        try:
            self.context = tls_context(self._files)
        except SettingsError as error:
            if str(error) != self._problem:  # one warning a trouble, not one a try
                log.warning("mqtt.not_renewed", problem=str(error), meanwhile="the previous certificate stays in use")
            self._problem = str(error)
        else:
            self._problem = ""
        return self.context


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context that trusts and speaks as ``files`` say: TLS 1.2 or later, the broker's name checked.

    Raises :class:`SettingsError`, naming the key and the file, where one of them cannot serve.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # asks for a certificate, and checks its name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.alpn:
        context.set_alpn_protocols(list(files.alpn))
    if files.ca_path is None:
        context.load_default_certs()
    else:
        _readable("ca_path", files.ca_path)
        try:
            context.load_verify_locations(files.ca_path)
        except ssl.SSLError as error:
            msg = f"mqtt.tls.ca_path: {files.ca_path} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"
            raise SettingsError(msg) from error
    if files.certificate_path is not None:
        _load_own(context, files, files.certificate_path)
    return context


def _load_own(context: ssl.SSLContext, files: TlsFiles, certificate_path: Path) -> None:
    _readable("certificate_path", certificate_path)
    if files.key_path is not None:
        _readable("key_path", files.key_path)
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True  # without an answer of ours, OpenSSL would ask at the terminal
        return files.key_password or ""

    try:
        context.load_cert_chain(certificate_path, files.key_path, password)
    except (ssl.SSLError, ValueError) as error:
        key, keys = files.key_path or certificate_path, "mqtt.tls.certificate_path, key_path"
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            msg = f"{keys}: the key in {key} is not that of the certificate in {certificate_path}"
        elif asked and not files.key_password:
            msg = f"mqtt.tls.key_password: the key in {key} is encrypted: give its password"
        elif asked:
            msg = f"mqtt.tls.key_password: the key in {key} is encrypted, and this is not its password"
        else:
            msg = f"{keys}: {certificate_path} and {key} must hold a certificate and its key in PEM form"
        raise SettingsError(msg) from error


def _readable(key: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        msg = f"mqtt.tls.{key}: {path} cannot be read ({error.strerror})"
        raise SettingsError(msg) from error
