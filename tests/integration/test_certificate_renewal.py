"""Certificates renewed while the gateway runs, with a real broker that accepts only the new ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, reading
from tests.integration.test_tls import HERE, Plain
from tests.support.brokers import MosquittoBroker
from tests.support.certificates import Authority
from tests.support.gateways import Gateway
from tests.support.ports import LOOPBACK, free_port
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.mosquitto, pytest.mark.openssl]


class Secured(MosquittoBroker):
    """A mosquitto of one authority: it presents that authority's certificate, and requires client certificates."""

    def __init__(self, folder: Path, authority: Authority, plain: Plain) -> None:
        ours = authority.issue("broker", alternative=HERE)
        door = (f"cafile {authority.certificate}", f"certfile {ours.certificate}", f"keyfile {ours.key}")
        extra = (*door, "require_certificate true", f"listener {plain.port} {LOOPBACK}")
        super().__init__(folder, extra)


class GatewaysFiles:
    """The gateway's configured files, which an administrator replaces."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.ca, self.certificate, self.key = (folder / name for name in ("ca.pem", "client.pem", "client.key"))

    def trust(self, authority: Authority) -> None:
        shutil.copy(authority.certificate, self.ca)

    def be_known_to(self, authority: Authority) -> None:
        identity = authority.issue("gateway", alternative="DNS:gateway")
        shutil.copy(identity.certificate, self.certificate)
        shutil.copy(identity.key, self.key)


def wait_for_problem(gateway: Gateway, words: str) -> None:
    wait_until(lambda: words in gateway.session.problem, lambda: f"{words!r}, not {gateway.session.problem!r}")


def test_renewed_certificates_are_used_without_a_restart(
    tmp_path: Path, start_gateway: StartGateway, connect: Connect
) -> None:
    former, next_one = Authority(tmp_path / "former"), Authority(tmp_path / "next", "Next Authority")
    plain = Plain(free_port())
    files = GatewaysFiles(tmp_path / "files")
    files.trust(former)
    files.be_known_to(former)
    broker = Secured(tmp_path / "mosquitto", former, plain)
    broker.start()
    gateway = start_gateway(
        broker.port,
        mqtt={
            "tls": {"enabled": True, "ca_path": files.ca, "certificate_path": files.certificate, "key_path": files.key}
        },
    )
    broker.stop()

    renewed = Secured(tmp_path / "renewed", next_one, plain)
    renewed.port = broker.port
    renewed.start()
    try:
        wait_for_problem(gateway, "its issuer is not trusted here")
        files.trust(next_one)
        wait_for_problem(gateway, "and that the broker trusts its issuer")
        files.be_known_to(next_one)
        gateway.wait_connected()
        assert gateway.session.n_connects == 2
        peer = connect(plain)
        peer.subscribe("gap/home/forecast")
        for i in range(2):
            peer.send("gap/home/reading", reading(FIRST + i, 1.0))
        peer.wait_for("gap/home/forecast", 1)
    finally:
        renewed.stop()
