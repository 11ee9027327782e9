"""The transport under MQTT: unusable TLS files, and connection errors in words."""

from __future__ import annotations

import gc
import shutil
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
import pytest
import structlog

from gapcast.core.errors import SettingsError
from gapcast.mqtt.connection.client import SessionOptions
from gapcast.mqtt.connection.tls import Tls, TlsFiles, tls_context
from gapcast.mqtt.connection.transport import (
    CLIENT_REJECTED,
    NO_RESPONSE,
    Transport,
    connection_error,
    unanswered_problem,
)
from gapcast.mqtt.packets.splitter import ProtocolError
from tests.support.certificates import Authority, CertificateFiles
from tests.support.optional_tools import ROOT

Made = Callable[[Authority, CertificateFiles], TlsFiles]


@pytest.fixture
def identity(authority: Authority) -> CertificateFiles:
    return authority.issue("gateway", alternative="DNS:gateway")


def test_tls_context_requires_certificate_and_host_name(authority: Authority) -> None:
    for files in (TlsFiles(), TlsFiles(ca_path=authority.certificate, alpn=("mqtt",))):
        context = tls_context(files)
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_tls_context_with_a_ca_file_trusts_no_other(authority: Authority) -> None:
    assert tls_context(TlsFiles(ca_path=authority.certificate)).cert_store_stats()["x509_ca"] == 1


def test_tls_key_in_any_supported_file_is_loaded(
    authority: Authority, identity: CertificateFiles, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(identity.certificate.read_bytes() + identity.key.read_bytes())
    tls_context(TlsFiles(certificate_path=both))
    tls_context(TlsFiles(certificate_path=identity.certificate, key_path=identity.key))
    encrypted = authority.encrypted(identity, "secret word")
    tls_context(TlsFiles(certificate_path=identity.certificate, key_path=encrypted, key_password="secret word"))


NOWHERE = Path("/nowhere.pem")


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (lambda a, i: TlsFiles(ca_path=NOWHERE), r"mqtt.tls.ca_path: /nowhere.pem cannot be read \(No such file"),
        (lambda a, i: TlsFiles(ca_path=i.key), r"mqtt.tls.ca_path: .*gateway.key holds no certificate in PEM"),
        (lambda a, i: TlsFiles(certificate_path=NOWHERE), "mqtt.tls.certificate_path: /nowhere.pem cannot be read"),
        (lambda a, i: TlsFiles(certificate_path=i.certificate, key_path=NOWHERE), "mqtt.tls.key_path: /nowhere.pem"),
        (lambda a, i: TlsFiles(certificate_path=i.certificate), "pem must hold a certificate and .* or set key_path"),
        (lambda a, i: TlsFiles(certificate_path=i.key, key_path=i.key), "and .*key must hold a certificate and"),
        (
            lambda a, i: TlsFiles(
                certificate_path=i.certificate, key_path=a.issue("other", alternative="DNS:other").key
            ),
            r"the key in .*other.key is not that of the certificate in .*gateway.pem",
        ),
        (
            lambda a, i: TlsFiles(certificate_path=i.certificate, key_path=a.encrypted(i, "secret word")),
            "mqtt.tls.key_password: .* is encrypted: give its password",
        ),
        (
            lambda a, i: TlsFiles(None, i.certificate, a.encrypted(i, "secret word"), "another word"),
            "mqtt.tls.key_password: .* is not its password",
        ),
    ],
)
def test_tls_unusable_file_is_named_with_a_fix(
    authority: Authority, identity: CertificateFiles, made: Made, problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem) as refused:
        tls_context(made(authority, identity))
    assert " word" not in str(refused.value)


def test_tls_files_are_reread_for_each_connection(
    authority: Authority, identity: CertificateFiles, tmp_path: Path
) -> None:
    ca, certificate, key = tmp_path / "ca.pem", tmp_path / "client.pem", tmp_path / "client.key"
    for source, target in ((authority.certificate, ca), (identity.certificate, certificate), (identity.key, key)):
        shutil.copy(source, target)
    tls = Tls(TlsFiles(ca, certificate, key))
    other = Authority(tmp_path / "other", "Other Authority")
    renewed = other.issue("renewed", alternative="DNS:gateway")

    shutil.copy(other.certificate, ca)
    trusting = tls.reload()
    assert trusting.get_ca_certs()[0]["subject"] == ((("commonName", "Other Authority"),),)

    shutil.copy(renewed.certificate, certificate)
    with structlog.testing.capture_logs() as logged:
        assert [tls.reload(), tls.reload()] == [trusting, trusting]
    assert [(entry["event"], "is not that of the certificate" in entry["problem"]) for entry in logged] == [
        ("mqtt.not_renewed", True)
    ]
    shutil.copy(renewed.key, key)
    assert tls.reload() is not trusting
    key.unlink()
    with structlog.testing.capture_logs() as logged:
        tls.reload()
    assert "cannot be read" in logged[0]["problem"]


def test_rejected_client_certificate_is_named_if_there_is_one(authority: Authority) -> None:
    rejected = tls_error("SSLV3_ALERT_CERTIFICATE_EXPIRED")
    ours = authority.issue("gateway", alternative="DNS:gateway")
    tls = Tls(TlsFiles(certificate_path=ours.certificate, key_path=ours.key))
    problem = connection_error(rejected, "broker", Transport(tls=tls))
    assert "has not expired" in problem
    assert str(ours.certificate) in problem


def test_transport_repr_has_no_secret() -> None:
    files = TlsFiles(key_password="secret word")
    options = SessionOptions("gw", "status", (), username="house", password="secret word")
    assert "secret word" not in f"{files!r} {files} {options!r} {options}"


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "it failed")
    error.reason = reason
    return error


def test_connection_error_describes_each_reason() -> None:
    assert (
        connection_error(ConnectionRefusedError(111, "Connection refused"), "broker", Transport())
        == "connection refused"
    )
    assert (
        connection_error(ssl.SSLError(1, "no shared cipher"), "broker", Transport()) == "TLS failed: no shared cipher"
    )
    assert "does not use TLS on this port" in connection_error(tls_error("WRONG_VERSION_NUMBER"), "broker", Transport())
    assert connection_error(tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "broker", Transport()) == CLIENT_REJECTED
    other = ssl.SSLCertVerificationError(1, "verify failed")
    other.verify_code, other.verify_message = 79, "invalid CA certificate"
    assert connection_error(other, "broker", Transport()).endswith("is not valid: invalid CA certificate")
    assert "/socket" in connection_error(
        paho.WebsocketConnectionError("no"), "broker", Transport("websockets", "/socket")
    )


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        *((code, "its issuer is not trusted here: set mqtt.tls.ca_path") for code in (2, 18, 19, 20, 21)),
        *((code, "it is not for 'mqtt.example': set mqtt.host to a name in the") for code in (62, 64)),  # name, address
    ],
)
def test_connection_error_of_each_distrust_names_the_key(code: int, problem: str) -> None:
    """OpenSSL has several codes for an unknown authority, and one each for names and addresses."""
    distrust = ssl.SSLCertVerificationError(1, "certificate verify failed")
    distrust.verify_code = code
    assert problem in connection_error(distrust, "10.0.0.7", Transport(server_name="mqtt.example"))


@pytest.mark.parametrize(
    ("code", "problem"),
    [(9, "it is not valid yet: wait until it is"), (10, "it has expired: renew it")],
)
def test_connection_error_of_a_certificate_is_constant(code: int, problem: str) -> None:
    """A reason that changed with the clock would be logged again each minute, as a new one."""
    distrust = ssl.SSLCertVerificationError(1, "certificate verify failed")
    distrust.verify_code = code
    expected = f"the broker's certificate is not valid: {problem}, or set this machine's clock"
    assert connection_error(distrust, "broker", Transport()) == expected


def test_page_quotes_the_messages_of_connection_errors() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    table = page.partition("| message | fix |\n| --- | --- |\n")[2].partition("\n\n")[0]
    quoted = {text for row in table.splitlines() for text in row.split("|")[1].replace("`", "").strip().split("; ")}
    tls = Transport(tls=Tls(TlsFiles()))
    errors: list[Exception] = [ConnectionResetError(), tls_error("WRONG_VERSION_NUMBER")]
    errors.append(ssl.SSLError(1, "tlsv1 alert no application protocol"))
    for code in (9, 10, 20, 62):  # not yet valid, expired, an unknown issuer, another name
        errors.append(distrust := ssl.SSLCertVerificationError(1, "verify failed"))
        distrust.verify_code = code
    messages = [connection_error(error, "NAME", tls) for error in errors]
    messages += [CLIENT_REJECTED, NO_RESPONSE]
    messages.append(connection_error(paho.WebsocketConnectionError("no"), "broker", Transport("websockets")))
    of_login = {text for text in quoted if text.startswith("refused: ") or text == "Not authorized"}
    assert len(of_login) == 2
    assert [text for text in quoted - of_login if not any(text in message for message in messages)] == []
    assert [message for message in messages if not any(text in message for text in quoted)] == []


def test_tls_on_a_reset_connection_leaves_no_socket_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with a reset
        theirs.close()
    with pytest.raises(ConnectionResetError):
        tls_context(TlsFiles()).wrap_socket(ours, server_hostname="broker", do_handshake_on_connect=False)
    gc.collect()  # a socket that is lost open is reported here


def test_tls_is_no_problem_of_a_broker_whose_answer_cannot_be_read() -> None:
    tls = Transport(tls=Tls(TlsFiles()))
    assert unanswered_problem(None, tls) == NO_RESPONSE
    assert unanswered_problem(ConnectionResetError(), tls) == CLIENT_REJECTED
    assert not unanswered_problem(ProtocolError("malformed packet"), tls)
    assert not unanswered_problem(ConnectionResetError(), Transport())
