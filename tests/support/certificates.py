"""Certificates for a test, made by the ``openssl`` command in the test's own folder."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_CONFIGURATION = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[ca]
default_ca = ours
[ours]
database = {folder}/index.txt
rand_serial = yes
new_certs_dir = {folder}
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate and its key, as files in PEM form."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority for one test."""

    def __init__(self, folder: Path, name: str = "Test Authority") -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        (folder / "index.txt").touch()
        self._configure(name)
        self.certificate = folder / "ca.pem"
        self._key = folder / "ca.key"
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
            "-keyout", self._key, "-out", self.certificate, "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip

    def issue(self, name: str, *, alternative: str, ends_in_days: float = 30) -> CertificateFiles:
        """Sign a certificate for ``name``, valid for ``alternative`` (as ``DNS:localhost``) over 60 days."""
        identity = CertificateFiles(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request = self._folder / f"{name}.csr"
        self._configure(name)
        self._openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", identity.key, "-out", request, "-addext", f"subjectAltName={alternative}",
        )  # fmt: skip
        end = datetime.now(UTC) + timedelta(days=ends_in_days)
        self._openssl(
            "ca", "-batch", "-notext", "-in", request, "-cert", self.certificate, "-keyfile", self._key,
            "-startdate", f"{end - timedelta(days=60):%y%m%d%H%M%SZ}", "-enddate", f"{end:%y%m%d%H%M%SZ}",
            "-out", identity.certificate,
        )  # fmt: skip
        return identity

    def encrypted(self, identity: CertificateFiles, password: str) -> Path:
        """Return a copy of an identity's key under a password."""
        path = identity.key.with_suffix(".encrypted")
        _run("pkey", "-in", identity.key, "-aes256", "-passout", f"pass:{password}", "-out", path)
        return path

    def _configure(self, name: str) -> None:
        text = _CONFIGURATION.format(name=name, folder=self._folder)
        (self._folder / "openssl.cnf").write_text(text, encoding="utf-8")

    def _openssl(self, command: str, *arguments: object) -> None:
        _run(command, "-config", self._folder / "openssl.cnf", *arguments)


def openssl_command() -> str | None:
    """The path of the command; None if it is not installed."""
    return shutil.which("openssl")


def _run(*arguments: object) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
