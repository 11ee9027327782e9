"""TLS and WebSocket to a real mosquitto: trusted and rejected certificates, and error messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import structlog

from gapcast.check.run import run_checks
from gapcast.mqtt.connection.tls import Tls, TlsFiles
from gapcast.mqtt.connection.transport import Transport
from gapcast.recordings.recording import Minute
from gapcast.replay.publisher import MeterPublisher
from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, power, reading
from tests.support.brokers import MosquittoBroker
from tests.support.certificates import Authority, CertificateFiles
from tests.support.gateways import STATUS, Gateway, gateway_settings
from tests.support.ports import LOOPBACK, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.mosquitto
HERE = f"DNS:localhost,IP:{LOOPBACK}"


class Plain:
    """The plain listener of a secured broker, for the test's own clients."""

    host = LOOPBACK

    def __init__(self, port: int) -> None:
        self.port = port


@contextmanager
def secured(
    tmp_path: Path, authority: Authority, identity: CertificateFiles, *extra: str
) -> Iterator[tuple[int, Plain]]:
    """Run a mosquitto with TLS and ``identity``; yield its port, and a plain listener for the test's clients."""
    plain = Plain(free_port())
    door = (f"cafile {authority.certificate}", f"certfile {identity.certificate}", f"keyfile {identity.key}", *extra)
    broker = MosquittoBroker(tmp_path / "mosquitto", (*door, f"listener {plain.port} {LOOPBACK}"))
    broker.start()
    try:
        yield broker.port, plain
    finally:
        broker.stop()


def tls(authority: Authority, **keys: Any) -> dict[str, Any]:
    return {"tls": {"enabled": True, "ca_path": authority.certificate, **keys}}


def refusal(gateway: Gateway) -> str:
    """Return the readiness check's error about the broker, which must not be connected."""

    def logs() -> bool:
        return gateway.session.problem.startswith("unreachable")

    wait_until(logs, lambda: f"a refusal, not {gateway.session.problem!r}")
    answer = httpx.get(f"{gateway.url}/readyz")
    assert answer.status_code == 503
    return str(answer.json()["checks"]["mqtt:connection"][0]["output"])


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("transport", ["tcp", "websockets"])
def test_tls_many_readings_give_forecasts(
    tmp_path: Path, authority: Authority, start_gateway: StartGateway, connect: Connect, transport: str, protocol: str
) -> None:
    extra = ("protocol websockets",) if transport == "websockets" else ()
    with secured(tmp_path, authority, authority.issue("broker", alternative=HERE), *extra) as (port, plain):
        gateway = start_gateway(port, mqtt={"transport": transport, "protocol": protocol, **tls(authority)})
        assert gateway.session.protocol == protocol
        peer = connect(plain)
        peer.subscribe("gap/+/forecast")
        peer.subscribe("gapcast/+/status")
        n_devices, n_minutes = 20, 60
        for i in range(n_minutes):
            for device in range(n_devices):
                peer.send(f"gap/meter-{device}/reading", reading(FIRST + i, power(i)))
        for device in range(n_devices):
            forecasts = peer.wait_for(f"gap/meter-{device}/forecast", n_minutes - 1)
            observed = [message.document["observed_at"] for message in forecasts]
            assert observed == sorted(set(observed))
            assert len(observed) == n_minutes - 1
        gateway.stop()
        assert [message.payload for message in peer.wait_for(STATUS, 2)] == [b"online", b"offline"]


def test_websocket_without_tls(tmp_path: Path, start_gateway: StartGateway, connect: Connect) -> None:
    plain = Plain(free_port())
    broker = MosquittoBroker(tmp_path / "mosquitto", ("protocol websockets", f"listener {plain.port} {LOOPBACK}"))
    broker.start()
    try:
        start_gateway(broker, mqtt={"transport": "websockets"})
        peer = connect(plain)
        peer.subscribe("gap/home/forecast")
        for i in range(400):
            peer.send("gap/home/reading", reading(FIRST + i, power(i)))
        assert len(peer.wait_for("gap/home/forecast", 399)) == 399
    finally:
        broker.stop()


@pytest.mark.parametrize("kind", ["tcp", "websockets"])
def test_tls_replay_at_full_speed(
    tmp_path: Path, authority: Authority, connect: Connect, kind: Literal["tcp", "websockets"]
) -> None:
    extra = ("protocol websockets",) if kind == "websockets" else ()
    with secured(tmp_path, authority, authority.issue("broker", alternative=HERE), *extra) as (port, plain):
        peer = connect(plain)
        peer.subscribe("gap/home/reading")
        transport = Transport(kind, tls=Tls(TlsFiles(ca_path=authority.certificate)))
        with MeterPublisher(LOOPBACK, port, "gap/home/reading", transport=transport) as meter:
            for i in range(3_000):
                meter.publish(Minute(FIRST + i, power(i)))
        sent = [message.document["gap_kw"] for message in peer.wait_for("gap/home/reading", 3_000)]
        assert sent == [power(i) for i in range(3_000)]


def test_tls_payload_of_many_records_and_frames(
    tmp_path: Path, authority: Authority, start_gateway: StartGateway, connect: Connect
) -> None:
    identity = authority.issue("broker", alternative=HERE)
    with secured(tmp_path, authority, identity, "protocol websockets") as (port, plain):
        start_gateway(port, mqtt={"transport": "websockets", **tls(authority)})
        peer = connect(plain)
        peer.subscribe("gap/home/forecast")
        for i in range(3):
            padded = {"ts": FIRST * 60 + i * 60, "gap_kw": 1.0, "note": "x" * 60_000}
            peer.send("gap/home/reading", json.dumps(padded))
        assert [m.document["n_observed"] for m in peer.wait_for("gap/home/forecast", 2)] == [2, 3]


def test_tls_server_name_is_configurable(tmp_path: Path, authority: Authority, start_gateway: StartGateway) -> None:
    identity = authority.issue("broker", alternative="DNS:broker.example")
    with secured(tmp_path, authority, identity) as (port, _):
        refused = refusal(start_gateway(port, connected=False, mqtt=tls(authority)))
        assert "certificate is not valid: it is not for '127.0.0.1': set mqtt.host" in refused
        start_gateway(port, gateway={"id": "another"}, mqtt=tls(authority, server_name="broker.example", alpn=["mqtt"]))


@pytest.mark.parametrize(
    ("ends_in_days", "problem"),
    [(-1, "it has expired: renew it, or set this machine's clock"), (90, "it is not valid yet")],
)
def test_tls_expired_certificate_mentions_the_clock(
    tmp_path: Path, authority: Authority, start_gateway: StartGateway, ends_in_days: float, problem: str
) -> None:
    identity = authority.issue("broker", alternative=HERE, ends_in_days=ends_in_days)
    with secured(tmp_path, authority, identity) as (port, _):
        assert problem in refusal(start_gateway(port, connected=False, mqtt=tls(authority)))


def test_tls_unknown_authority_is_not_trusted(
    tmp_path: Path, authority: Authority, start_gateway: StartGateway
) -> None:
    unknown = Authority(tmp_path / "unknown", "Unknown")
    with secured(tmp_path, authority, authority.issue("broker", alternative=HERE)) as (port, _):
        for gateway_id, mqtt in (("one", tls(unknown)), ("two", {"tls": {"enabled": True}})):
            gateway = start_gateway(port, connected=False, gateway={"id": gateway_id}, mqtt=mqtt)
            assert "its issuer is not trusted here: set mqtt.tls.ca_path" in refusal(gateway)


def test_tls_client_certificate_is_sent(tmp_path: Path, authority: Authority, start_gateway: StartGateway) -> None:
    ours = authority.issue("gateway", alternative="DNS:gateway")
    unknown = Authority(tmp_path / "unknown", "Unknown").issue("gateway", alternative="DNS:gateway")
    identity = authority.issue("broker", alternative=HERE)
    with secured(tmp_path, authority, identity, "require_certificate true") as (port, _):
        wrong = {"certificate_path": unknown.certificate, "key_path": unknown.key}
        late = authority.issue("late", alternative="DNS:gateway", ends_in_days=-1)
        expired = {"certificate_path": late.certificate, "key_path": late.key}
        unset, unlike = "set mqtt.tls.certificate_path and key_path", "check that it has not expired"
        for gateway_id, keys, words in (("without", {}, unset), ("unknown", wrong, unlike), ("late", expired, unlike)):
            mqtt = tls(authority, **keys)
            gateway = start_gateway(port, connected=False, gateway={"id": gateway_id}, mqtt=mqtt)
            assert words in refusal(gateway)
        encrypted = authority.encrypted(ours, "secret word")
        start_gateway(
            port, mqtt=tls(authority, certificate_path=ours.certificate, key_path=encrypted, key_password="secret word")
        )


def test_tls_wrong_protocol_is_named_with_a_fix(
    mosquitto: MosquittoBroker, authority: Authority, start_gateway: StartGateway
) -> None:
    over_tls = start_gateway(mosquitto, connected=False, gateway={"id": "tls"}, mqtt=tls(authority))
    assert "check mqtt.port (8883 is usual), or mqtt.tls.enabled" in refusal(over_tls)
    websocket = start_gateway(mosquitto, connected=False, gateway={"id": "ws"}, mqtt={"transport": "websockets"})
    assert "does not support WebSocket on this port under /mqtt" in refusal(websocket)


def test_tls_lasting_problem_is_logged_once(tmp_path: Path, authority: Authority, start_gateway: StartGateway) -> None:
    identity = authority.issue("broker", alternative=HERE)
    with secured(tmp_path, authority, identity, "require_certificate true") as (port, _):
        with structlog.testing.capture_logs() as logged:
            gateway = start_gateway(port, connected=False, mqtt=tls(authority))

            def tried() -> int:
                return sum(entry["event"] == "mqtt.unreachable" for entry in logged)

            wait_until(lambda: tried() >= 3, "three tries")
            gateway.stop()
        warned = [e for e in logged if e["event"] == "mqtt.unreachable" and e["log_level"] == "warning"]
        assert len(warned) == 1


def test_tls_check_explains_an_untrusted_broker(tmp_path: Path, authority: Authority) -> None:
    unknown = Authority(tmp_path / "unknown", "Unknown")
    with secured(tmp_path, authority, authority.issue("broker", alternative=HERE)) as (port, _):
        for mqtt, code, words in (
            (tls(authority), 0, "ok   broker"),
            (tls(unknown), 1, "FAIL broker: 127.0.0.1 port .*: unreachable: the broker's certificate is not valid"),
        ):
            shown: list[str] = []
            assert run_checks(gateway_settings(port, tmp_path / "state", mqtt=mqtt), {}, shown.append) == code
            (broker,) = (line for line in shown if " broker: " in line)
            assert words.split(".*")[0] in broker
            assert words.split(".*")[-1] in broker
