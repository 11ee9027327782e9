"""TLS contexts from certificate files that may be renewed while the service runs."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gapcast.core.errors import SettingsError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The trusted authorities and our own certificate, as PEM files."""

    #: The authorities trusted to sign the broker's certificate; None: the authorities that this machine trusts.
    ca_path: Path | None = None
    #: Our own certificate, for a broker that requires one, and its key (None: in the same file).
    certificate_path: Path | None = None
    key_path: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    #: ALPN protocol names to offer, for a broker that shares one port between MQTT and HTTPS.
    alpn: tuple[str, ...] = ()


class TlsSocket(ssl.SSLSocket):
    """A TLS socket that closes itself if the peer resets the connection.

    ``wrap_socket`` reads from a connection that is already reset, and Python 3.11 and 3.12 lose the open socket then.
    """

    def recv(self, buflen: int = 1_024, flags: int = 0) -> bytes:
        """Receive at most ``buflen`` bytes."""
        try:
            return super().recv(buflen, flags)
        except ConnectionError:
            self.close()
            raise


class Tls:
    """The TLS context of a broker's connections; the files are read again for each connection."""

    def __init__(self, files: TlsFiles) -> None:
        """Read ``files``; raise :class:`SettingsError`, naming the key and the file, if one is unusable."""
        self._files = files
        self._problem = ""
        self.context = tls_context(files)

    @property
    def certificate_path(self) -> Path | None:
        """The file of the client certificate; None without one."""
        return self._files.certificate_path

    def reload(self) -> ssl.SSLContext:
        """Read the files again and return their context; the previous one if a file is currently unusable.

        A certificate and its key are renewed one after the other, and a reconnection may fall in between.
        """
        try:
            self.context = tls_context(self._files)
        except SettingsError as error:
            if str(error) != self._problem:  # warn once per problem, not once per attempt
                log.warning("mqtt.not_renewed", problem=str(error), meanwhile="the previous certificate stays in use")
            self._problem = str(error)
        else:
            self._problem = ""
        return self.context


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context of ``files``: TLS 1.2 or later, with the broker's certificate and name verified.

    Raises :class:`SettingsError`, naming the key and the file, if one of them is unusable.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # requires a certificate and checks its name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = TlsSocket
    if files.alpn:
        context.set_alpn_protocols(list(files.alpn))
    if files.ca_path is None:
        context.load_default_certs()
    else:
        _require_readable("ca_path", files.ca_path)
        try:
            context.load_verify_locations(files.ca_path)
        except ssl.SSLError as error:
            msg = f"mqtt.tls.ca_path: {files.ca_path} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"
            raise SettingsError(msg) from error
    if files.certificate_path is not None:
        _load_own(context, files, files.certificate_path)
    return context


def _load_own(context: ssl.SSLContext, files: TlsFiles, certificate_path: Path) -> None:
    _require_readable("certificate_path", certificate_path)
    if files.key_path is not None:
        _require_readable("key_path", files.key_path)
    is_encrypted = False

    def password() -> str:
        nonlocal is_encrypted
        is_encrypted = True  # without this callback, OpenSSL would prompt at the terminal
        return files.key_password or ""

    try:
        context.load_cert_chain(certificate_path, files.key_path, password)
    except (ssl.SSLError, ValueError) as error:
        key, keys = files.key_path or certificate_path, "mqtt.tls.certificate_path, key_path"
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            msg = f"{keys}: the key in {key} is not that of the certificate in {certificate_path}"
        elif is_encrypted and not files.key_password:
            msg = f"mqtt.tls.key_password: the key in {key} is encrypted: give its password"
        elif is_encrypted:
            msg = f"mqtt.tls.key_password: the key in {key} is encrypted, and this is not its password"
        elif files.key_path is None:
            msg = f"{keys}: {certificate_path} must hold a certificate and its key in PEM form, or set key_path"
        else:
            msg = f"{keys}: {certificate_path} and {key} must hold a certificate and its key in PEM form"
        raise SettingsError(msg) from error


def _require_readable(key: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        msg = f"mqtt.tls.{key}: {path} cannot be read ({error.strerror})"
        raise SettingsError(msg) from error
