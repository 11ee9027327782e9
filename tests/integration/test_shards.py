"""Workers behind one broker: shards by topic or by shared subscription, and topic affinity."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from gapcast.app.application import Application
from gapcast.app.broker.broker import session_options
from gapcast.app.broker.sharing import wait_for_topic_affinity
from gapcast.check.broker import check_broker
from gapcast.check.finding import CheckInput, Severity
from gapcast.config.shards import settings_by_shard
from gapcast.core.errors import SettingsError, StateError
from gapcast.mqtt import topic_affinity
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.topic_affinity import N_MESSAGES, GroupDistribution, measure_group
from tests.integration.conftest import Connect
from tests.integration.test_model_reload import reloads
from tests.integration.test_stream import FIRST, power, reading
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import Gateway, gateway_settings, running
from tests.support.models import ModelCopy
from tests.support.ports import free_port
from tests.support.waiting import GUARD_S, wait_until
from tests.support.wire import CONNECT, DISCONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, WireBroker

pytestmark = pytest.mark.mosquitto
IN_GROUP = {"share_group": "workers", "shared_by": "topic-hash"}


def shards_of(port: int, state: Path, *shards: int, **sections: object) -> list[Gateway]:
    settings = gateway_settings(port, state, shards=shards, **sections)
    return [Gateway(one) for one in settings_by_shard(settings)]


def test_workers_forecast_the_devices_of_their_shards(
    mosquitto: MosquittoBroker, tmp_path: Path, connect: Connect, stack: ExitStack
) -> None:
    peer = connect(mosquitto)
    peer.subscribe("#")
    workers = shards_of(mosquitto.port, tmp_path, 0, 1, homeassistant={"enabled": True})
    for worker in workers:
        stack.callback(worker.stop)
        worker.wait_connected()
    for i in range(3):
        for shard, device in ((0, "attic"), (1, "barn"), (2, "cellar")):
            peer.publish(f"gap/{shard}/{device}/reading", reading(FIRST + i, power(i)))
    for device in ("attic", "barn"):
        peer.wait_for(f"gap/{device}/forecast", 2)
        assert peer.wait_for(f"gap/{device}/availability")[0].payload == b"online"
    for worker, device, shard in zip(workers, ("attic", "barn"), (0, 1), strict=True):
        assert [d["device"] for d in httpx.get(f"{worker.url}/predict").json()["forecasts"]] == [device]
        gateway = f"gw-test-{shard}"
        assert f'gapcast_gateway_info{{gateway="{gateway}",shard="{shard}"}} 1.0' in (
            httpx.get(f"{worker.url}/metrics").text
        )
        assert peer.wait_for(f"gapcast/{gateway}/status")[0].payload == b"online"
        announced = peer.wait_for(f"homeassistant/device/gapcast_{device}/config")[0].document
        assert f"gapcast/{gateway}/status" in json.dumps(announced), "the device is unavailable without this worker"
        assert (tmp_path / f"shard-{shard}" / "stream").is_dir()
    assert peer.on("gap/cellar/forecast") == [], "another worker's"


def test_shard_continues_on_another_worker(mosquitto: MosquittoBroker, tmp_path: Path, connect: Connect) -> None:
    peer = connect(mosquitto)
    peer.subscribe("gap/+/forecast")
    documents: list[Any] = []
    for n in range(3):
        (worker,) = shards_of(mosquitto.port, tmp_path, 4)
        worker.wait_connected()
        for i in range(5):
            peer.publish("gap/4/home/reading", reading(FIRST + 5 * n + i, power(5 * n + i)))
        documents = [message.document for message in peer.wait_for("gap/home/forecast", 5 * (n + 1) - 1)]
        worker.stop()
    assert [one["n_observed"] for one in documents] == list(range(2, 16))


def test_shard_records_new_models_before_use(mosquitto: MosquittoBroker, tmp_path: Path, stack: ExitStack) -> None:
    copy = ModelCopy(tmp_path / "models", "linear")
    (worker,) = shards_of(mosquitto.port, tmp_path / "state", 0, models={"path": copy.models})
    stack.callback(worker.stop)
    worker.wait_connected()
    noted = tmp_path / "state" / "shard-0" / "models.json"
    before = json.loads(noted.read_text(encoding="utf-8"))["models"]
    copy.alter_card(lambda card: card.update(version="77"))
    wait_until(lambda: reloads(worker)["swapped"] == 1, "the new model")
    after = json.loads(noted.read_text(encoding="utf-8"))["models"]
    assert before.keys() == after.keys() == {"linear"}
    assert before["linear"] != after["linear"]
    assert after["linear"].startswith("77 ")


def test_shard_records_the_models_in_use_if_new_ones_are_refused(
    mosquitto: MosquittoBroker, tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = ModelCopy(tmp_path / "models", "linear")
    (worker,) = shards_of(mosquitto.port, tmp_path / "state", 0, models={"path": copy.models})
    stack.callback(worker.stop)
    worker.wait_connected()
    record = tmp_path / "state" / "shard-0" / "models.json"
    before = record.read_bytes()

    def fail(*_: object, **__: object) -> None:
        msg = "the models take other features"
        raise StateError(msg)

    monkeypatch.setattr("gapcast.app.engines.model_watcher.engine_of", fail)
    copy.alter_card(lambda card: card.update(version="77"))
    wait_until(lambda: reloads(worker)["refused"] == 1, "the refusal")
    assert record.read_bytes() == before


# --- the broker deals ---------------------------------------------------------------------------------


def test_mosquitto_distributes_message_by_message(mosquitto: MosquittoBroker, connect: Connect) -> None:
    """The measurement of docs/scale.md: none of 100 meters stays with one of three members."""
    members = [connect(mosquitto, mqtt5=True) for _ in range(3)]
    for member in members:
        member.subscribe("$share/workers/gap/+/reading")
    meter = connect(mosquitto)
    for i in range(7):
        for device in range(100):
            meter.send(f"gap/meter-{device}/reading", reading(FIRST + i, 1.0))
    wait_until(lambda: sum(len(member.messages) for member in members) == 700, "all readings")
    received: dict[str, set[int]] = defaultdict(set)
    for n, member in enumerate(members):
        for message in member.messages:
            received[message.topic].add(n)
    assert len(received) == 100
    assert min(len(of) for of in received.values()) == 3
    assert max(len(member.messages) for member in members) - min(len(member.messages) for member in members) <= 1


def test_group_on_mosquitto_is_rejected_with_the_reason(
    mosquitto: MosquittoBroker, tmp_path: Path, connect: Connect
) -> None:
    settings = gateway_settings(mosquitto.port, tmp_path, mqtt=IN_GROUP)
    found = measure_group(session_options(settings, {}), "workers", "gapcast/gw-test/distribution_check")
    assert found == GroupDistribution((N_MESSAGES // 2, N_MESSAGES // 2))
    application = Application(settings, {})
    peer = connect(mosquitto)
    peer.subscribe("gapcast/+/status")
    with pytest.raises(SettingsError, match=r"mqtt\.share_group: .* 6 went to one member and 6 to the other"):
        application.run(Event())
    assert peer.messages == [], "it never took part"
    (sharing,) = [f for f in check_broker(CheckInput(settings, {}, 0.0)) if f.what == "sharing"]
    assert (sharing.severity, sharing.code) == (Severity.FAIL, 2)
    assert "hash_topic" in sharing.fix


def test_check_receives_no_readings_of_a_shared_group(
    mosquitto: MosquittoBroker, tmp_path: Path, connect: Connect
) -> None:
    worker, meter = connect(mosquitto, mqtt5=True), connect(mosquitto)
    worker.subscribe("$share/workers/gap/+/reading")
    situation = CheckInput(gateway_settings(mosquitto.port, tmp_path, mqtt=IN_GROUP), {}, 0.0)
    list(check_broker(situation))
    session = situation.session
    assert session is not None
    for i in range(8):
        meter.publish("gap/home/reading", reading(FIRST + i, 1.0))
    wait_until(lambda: len(worker.messages) == 8, "all readings at the worker")
    received: list[ReceivedMessage] = []

    def has_received_all() -> bool:
        received.extend(session.receive_messages(8, 0.1))
        return len(received) == 8

    wait_until(has_received_all, "all readings at the check")
    session.close(1.0)


class HashingBroker:
    """A bare port that accepts two members, and forwards all messages of the first to the second."""

    def __init__(self, n_distributed: int = N_MESSAGES, port: int = 0) -> None:
        self.broker = WireBroker(port)
        self.port = self.broker.port
        self.filters: list[bytes] = []
        self.has_distributed = Event()
        self._n_distributed = n_distributed
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        wires = [self.broker.accept() for _ in range(2)]
        for wire in wires:
            wire.read()
            wire.connack()
            packet = wire.read()
            assert packet.kind == SUBSCRIBE
            self.filters.append(packet.body)
            wire.suback(packet.packet_id)
        for n in range(N_MESSAGES):
            packet = wires[0].read()
            assert packet.kind == PUBLISH
            wires[0].puback(packet.packet_id)
            if n < self._n_distributed:
                wires[1].publish(packet.topic, packet.payload.decode(), n + 1)
        self.has_distributed.set()
        for wire in wires:  # whoever says goodbye waits for the end of the connection
            while wire.read().kind != DISCONNECT:
                pass
            wire.close()

    def wait(self) -> None:
        self._thread.join(GUARD_S)

    def close(self) -> None:
        self.wait()
        self.broker.close()


def test_topic_affinity_is_measured(tmp_path: Path) -> None:
    broker = HashingBroker()
    settings = gateway_settings(broker.port, tmp_path, mqtt=IN_GROUP)
    found = measure_group(session_options(settings, {}), "workers", "gapcast/gw-test/distribution_check")
    broker.close()
    assert found == GroupDistribution((0, N_MESSAGES))
    assert not found.splits_topic
    assert all(b"$share/workers/gapcast/gw-test/distribution_check" in body for body in broker.filters)


def test_topic_affinity_with_lost_messages_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes only once everything has been sent, a second with each read of the clock."""
    broker = HashingBroker(n_distributed=3)
    seconds = count()
    clock = SimpleNamespace(monotonic=lambda: next(seconds) if broker.has_distributed.is_set() else 0)
    monkeypatch.setattr(topic_affinity, "time", clock)
    settings = gateway_settings(broker.port, tmp_path, mqtt=IN_GROUP)
    found = measure_group(session_options(settings, {}), "workers", "gapcast/gw-test/distribution_check")
    broker.close()
    assert found.problem == f"received only 3 of {N_MESSAGES} test messages on gapcast/gw-test/distribution_check"
    assert not found.splits_topic


def test_topic_affinity_is_retried_until_the_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_affinity, "_ANSWER_S", 0.1)
    settings = gateway_settings(free_port(), tmp_path, mqtt=IN_GROUP)
    stopping = Event()
    with capture_logs() as logs:
        waiting = Thread(target=wait_for_topic_affinity, args=(settings, session_options(settings, {}), stopping))
        waiting.start()
        wait_until(lambda: any(one["event"] == "mqtt.topic_affinity_unknown" for one in logs), "a word about it")
        stopping.set()
        waiting.join()
    announced = next(one for one in logs if one["event"] == "mqtt.topic_affinity_unknown")
    assert "unreachable" in announced["problem"]


def test_worker_stopped_while_it_measures_persists_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_affinity, "_ANSWER_S", 0.1)
    settings = gateway_settings(free_port(), tmp_path, mqtt=IN_GROUP)
    kw = [{"kw": 7.4, "from": "2098-01-01T14:00:00Z", "minutes": 60}]
    with running(settings, connected=False) as worker:
        answer = httpx.put(f"{worker.url}/devices/home/plan", json=kw)
        assert answer.status_code == 200, answer.text
    with running(settings, connected=False) as worker:
        assert httpx.get(f"{worker.url}/devices/home/plan").status_code == 200, "the plan is there after the restart"


def test_worker_joins_a_group_after_the_measurement(tmp_path: Path, stack: ExitStack) -> None:
    broker = HashingBroker()
    sections = {"devices": {"stale_after_min": 0}, "learning": {"report_every_min": 0}}
    settings = gateway_settings(broker.port, tmp_path, mqtt=IN_GROUP, **sections)
    worker = stack.enter_context(running(settings, connected=False))
    broker.wait()
    wire = broker.broker.accept()
    wire.open()
    worker.wait_connected()
    wire.close()
    wire = broker.broker.accept()
    assert wire.read().kind == CONNECT
    wire.connack(session_present=True)
    packets = {packet.kind: packet for packet in (wire.read(), wire.read(), wire.read())}
    assert packets[UNSUBSCRIBE].body.endswith(b"\0\x0dgap/+/reading"), "what the session had before it was shared"
    assert b"$share/workers/gap/+/reading" in packets[SUBSCRIBE].body
    wire.close()
    broker.close()
