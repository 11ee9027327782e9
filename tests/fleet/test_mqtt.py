"""Readings and forecasts over a real broker: stopping the stream loses or changes none."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from socket import SHUT_RDWR, create_connection, socket
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from pyspark.sql import Row, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from gapcast.core.errors import BrokerError
from gapcast.mqtt.packets.frames import MAX_PAYLOAD
from gapcast_fleet.connectors import mqtt_client, mqtt_source
from gapcast_fleet.connectors.mqtt_client import SparkMqttClient
from gapcast_fleet.connectors.mqtt_sink import TaskPublisher, publish_rows, to_mqtt
from gapcast_fleet.connectors.mqtt_source import MqttReader, SegmentIntake, from_mqtt
from gapcast_fleet.scoring.score import Plan, start
from tests.fleet.houses import ForecastKw, Forecasts, fleet, furthest, of_the_edge, settings, shuffled
from tests.fleet.queries import running_query
from tests.support.brokers import MosquittoBroker
from tests.support.models import shipped_models
from tests.support.ports import free_port
from tests.support.waiting import GUARD_S, wait_until


class Client:
    """Both the meters and a reader of forecasts."""

    def __init__(self, broker: MosquittoBroker) -> None:
        self.found: Forecasts = {}
        self.rejected: list[dict[str, Any]] = []
        self.connection = SparkMqttClient(settings(mqtt={"host": broker.host, "port": broker.port}).mqtt, "meters")
        self.connection.client.on_message = self._on_message
        self.connection.open()
        self.connection.client.subscribe([("gap/+/forecast", 1), ("gapcast/+/rejected", 1)])

    def _on_message(self, _client: object, _data: object, message: Any) -> None:
        document = json.loads(message.payload)
        if message.topic.endswith("rejected"):
            self.rejected.append(document)
            return
        forecast = ForecastKw(*(document[name] for name in ForecastKw._fields))
        key = document["device"], document["observed_at"]
        assert self.found.setdefault(key, forecast) == forecast, "a forecast was published again with another value"

    def send(self, readings: list[tuple[str, int, float]], qos: int = 1) -> None:
        for device, minute, kw in readings:
            payload = json.dumps({"ts": minute * 60, "gap_kw": kw})
            self.connection.client.publish(f"gap/{device}/reading", payload, qos).wait_for_publish(GUARD_S)


@pytest.fixture
def client(mosquitto: MosquittoBroker) -> Iterator[Client]:
    made = Client(mosquitto)
    yield made
    made.connection.close()


def stream(spark: SparkSession, broker: MosquittoBroker, folder: Path) -> StreamingQuery:
    assignments = [f"mqtt.host={broker.host}", f"mqtt.port={broker.port}", f"models.path={shipped_models()}"]
    readings = from_mqtt(spark, None, assignments, folder / "checkpoint", "the-fleet")
    its = settings(mqtt={"host": broker.host, "port": broker.port})
    plan = Plan(folder / "checkpoint", every_s=0, n_buckets=2)
    return start(its, readings, to_mqtt(its), plan)


def test_fleet_mqtt_forecasts_equal_the_edges_across_a_restart(
    spark: SparkSession, mosquitto: MosquittoBroker, client: Client, tmp_path: Path
) -> None:
    houses = fleet(3, 24)
    expected = of_the_edge(tmp_path / "edge", houses)
    mixed = shuffled(houses)
    half = len(mixed) // 2

    spool = tmp_path / "checkpoint" / "spool"
    with running_query(lambda: stream(spark, mosquitto, tmp_path)) as wait_for:
        wait_for(spool.is_dir, "the source")
        client.send([("no meter", 0, 0.0), *mixed[: half // 2]])
        wait_for(lambda: client.found, "the first forecast")
        client.send(mixed[half // 2 : half])
        first = spool / "segment-000000000.arrow"
        wait_for(lambda: not first.exists(), "the first segment acknowledged, and gone")

    client.send(mixed[half:])  # while no one listens
    with running_query(lambda: stream(spark, mosquitto, tmp_path)) as wait_for:
        wait_for(lambda: len(client.found) == len(expected), f"{len(expected)} forecasts")
    assert furthest(client.found, expected) <= 1e-5
    assert {one["reason"] for one in client.rejected} == {"bad_device"}


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """A broker that loses all sessions at a restart."""
    made = MosquittoBroker(tmp_path / "mosquitto", ("persistence false",))
    made.start()
    yield made
    made.stop()


def options_of(broker: MosquittoBroker, folder: Path, *assignments: str) -> dict[str, str]:
    return {
        "config": "",
        "assignments": json.dumps([f"mqtt.host={broker.host}", f"mqtt.port={broker.port}", *assignments]),
        "spool": str(folder / "spool"),
        "client_id": "the-fleet",
    }


def rolled(reader: MqttReader, start: dict[str, int], n: int) -> dict[str, int]:
    """Return the offset at which ``n`` messages have arrived."""
    end = dict(start)

    def there() -> bool:
        end.update(reader.latestOffset(start, None))
        return len(read(reader, start, end)) >= n

    wait_until(there, f"{n} messages")
    return end


def read(reader: MqttReader, start: dict[str, int], end: dict[str, int]) -> list[dict[str, Any]]:
    return [row for part in reader.partitions(start, end) for batch in reader.read(part) for row in batch.to_pylist()]


def test_mqtt_source_redelivers_and_rereads_segments(
    mosquitto: MosquittoBroker, client: Client, tmp_path: Path
) -> None:
    options = options_of(mosquitto, tmp_path)
    reader = MqttReader(options)
    begin = reader.initialOffset()
    client.send([("a", 26_000_000, 1.0), ("b", 26_000_000, 2.0)])

    first_end = rolled(reader, begin, 2)
    came = read(reader, begin, first_end)
    assert [(row["device"], row["redelivered"]) for row in came] == [("a", False), ("b", False)]
    reader.stop()  # as if the process had died before the checkpoint

    again = MqttReader(options)
    assert read(again, begin, first_end) == came
    second_end = rolled(again, first_end, 2)
    assert [row["redelivered"] for row in read(again, first_end, second_end)] == [True, True]
    again.commit(second_end)
    assert not list((tmp_path / "spool").glob("segment-*"))
    again.stop()

    last = MqttReader(options)
    last.initialOffset()
    client.send([("c", 26_000_000, 3.0)])
    end = rolled(last, second_end, 1)
    assert [row["device"] for row in read(last, second_end, end)] == ["c"]  # the others were acknowledged
    last.stop()


def test_mqtt_source_acknowledges_no_reading_at_qos_0(
    mosquitto: MosquittoBroker, client: Client, tmp_path: Path
) -> None:
    """Most meters publish at QoS 0: an acknowledgement without a packet identifier would end the connection."""
    reader = MqttReader(options_of(mosquitto, tmp_path))
    begin = reader.initialOffset()
    client.send([("a", 26_000_000, 1.0)], qos=0)
    client.send([("b", 26_000_000, 2.0)])
    first_end = rolled(reader, begin, 2)
    reader.commit(first_end)
    client.send([("a", 26_000_001, 1.0)], qos=0)
    second_end = rolled(reader, first_end, 1)
    assert [row["device"] for row in read(reader, first_end, second_end)] == ["a"]
    assert reader._intake._n_connections == 1
    reader.stop()


def test_mqtt_source_keeps_readings_at_qos_0_over_a_reconnection(
    mosquitto: MosquittoBroker, client: Client, tmp_path: Path
) -> None:
    """The broker redelivers only the QoS 1 readings that are in no segment yet."""
    reader = MqttReader(options_of(mosquitto, tmp_path))
    begin = reader.initialOffset()
    client.send([("a", 26_000_000, 1.0)], qos=0)
    client.send([("b", 26_000_000, 2.0)])
    intake = reader._intake
    wait_until(lambda: len(intake._received) == 2, "both readings")
    link = intake._connection.client.socket()
    assert isinstance(link, socket)
    link.shutdown(SHUT_RDWR)
    wait_until(lambda: intake._n_connections == 2 and len(intake._received) == 2, "the redelivered reading")
    rows = read(reader, begin, rolled(reader, begin, 2))
    assert [(row["device"], row["redelivered"]) for row in rows] == [("a", False), ("b", True)]
    reader.stop()


def test_mqtt_source_keeps_readings_if_the_broker_lost_the_session(
    forgetful: MosquittoBroker, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without persistence at the broker, nobody else has the readings that are in no segment yet."""
    client = Client(forgetful)
    reader = MqttReader(options_of(forgetful, tmp_path))
    begin = reader.initialOffset()
    client.send([("a", 26_000_000, 1.0)])
    intake = reader._intake
    wait_until(lambda: len(intake._received) == 1, "the reading")
    client.connection.close()
    forgetful.stop()
    forgetful.start()
    wait_until(lambda: intake._n_connections == 2, "the reconnection")
    client = Client(forgetful)
    first_end = rolled(reader, begin, 1)
    assert [(row["device"], row["redelivered"]) for row in read(reader, begin, first_end)] == [("a", False)]
    reader.commit(first_end)
    client.send([("b", 26_000_000, 2.0)])
    assert [row["device"] for row in read(reader, first_end, rolled(reader, first_end, 1))] == ["b"]
    reader.stop()
    client.connection.close()
    where = f"the broker at 127.0.0.1 port {forgetful.port}"
    lost, returned = (line for line in capfd.readouterr().err.splitlines() if line.startswith(where))
    assert (lost.startswith(f"{where} closed the connection ("), returned) == (True, f"{where} is connected again")


@pytest.mark.parametrize(("protocol", "n_times"), [("5", 1), ("3.1.1", 3)])
def test_mqtt_source_taken_over_ends_and_names_the_option(
    mosquitto: MosquittoBroker, tmp_path: Path, protocol: str, n_times: int
) -> None:
    """MQTT 5 brokers name the reason; with 3.1.1 three short connections in a row indicate it."""
    options = options_of(mosquitto, tmp_path, f"mqtt.protocol={protocol}")
    reader = MqttReader(options)
    begin = reader.initialOffset()
    intake = reader._intake
    with contextlib.ExitStack() as others:
        for n in range(1, n_times + 1):
            wait_until(partial(lambda n: intake._n_connections == n and intake._connection._is_open, n), "a connection")
            other = SparkMqttClient(settings(mqtt={"host": mosquitto.host, "port": mosquitto.port}).mqtt, "the-fleet")
            others.callback(other.close)
            other.open()
        wait_until(lambda: bool(intake._connection._failure), "the end")
    with pytest.raises(BrokerError, match=r"with the client id the-fleet: give each gapcast-fleet a --client-id"):
        reader.latestOffset(begin, None)
    reader.stop()


def test_mqtt_source_refused_again_and_again_ends(
    mosquitto: MosquittoBroker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """This happens after the password was changed."""
    monkeypatch.setattr(mqtt_client, "_MAX_REFUSALS", 2)
    reader = MqttReader(options_of(mosquitto, tmp_path))
    begin = reader.initialOffset()
    mosquitto.stop()
    other = MosquittoBroker(tmp_path / "other", ("allow_anonymous false",))
    other.port = mosquitto.port
    other.start()
    wait_until(lambda: bool(reader._intake._connection._failure), "the end")
    refused = f"the broker at 127.0.0.1 port {mosquitto.port} refuses the connection: Not authorized: check mqtt.user"
    with pytest.raises(BrokerError, match=refused):
        reader.latestOffset(begin, None)
    assert capfd.readouterr().err.count(refused) == 1
    reader.stop()
    other.stop()


def test_mqtt_source_refused_resubscription_ends(mosquitto: MosquittoBroker, tmp_path: Path) -> None:
    reader = MqttReader(options_of(mosquitto, tmp_path))
    begin = reader.initialOffset()
    refusal = ReasonCode(PacketTypes.SUBACK, "Not authorized")
    reader._intake._on_subscribe(None, None, 1, [refusal], None)
    with pytest.raises(BrokerError, match=r"rejects the subscription to gap/\+/reading: Not authorized"):
        reader.latestOffset(begin, None)
    reader.stop()


def test_mqtt_source_large_messages_are_cut_and_fill_segments(
    mosquitto: MosquittoBroker, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_source, "_SEGMENT_BYTES", 2 * MAX_PAYLOAD)
    reader = MqttReader(options_of(mosquitto, tmp_path))
    begin = reader.initialOffset()
    reader.latestOffset(begin, None)
    for n_bytes in (200_000, 100_000, 1_100_000, 70_000):
        payload = b"x" * n_bytes
        client.connection.client.publish("gap/a/reading", payload, 1).wait_for_publish(GUARD_S)
    intake = reader._intake
    wait_until(lambda: intake.spool.next == 1 and len(intake._received) == 1, "a segment, and another message")
    end = reader.latestOffset(begin, None)
    assert end == {"segment": 2}
    rows = read(reader, begin, end)
    assert [len(row["payload"]) for row in rows] == [MAX_PAYLOAD + 1] * 3  # the broker sends no longer packet
    reader.commit(end)
    assert intake._unacknowledged == {}
    reader.stop()


def test_mqtt_source_unreachable_broker_is_named() -> None:
    port = free_port()
    with pytest.raises(BrokerError, match=f"127.0.0.1 port {port} cannot be reached"):
        SparkMqttClient(settings(mqtt={"host": "127.0.0.1", "port": port}).mqtt, "x").open()


class OldBroker(ThreadingTCPServer):
    """A relay to a broker that supports MQTT 3.1.1 only: it refuses MQTT 5, or does not answer it."""

    daemon_threads = True

    def __init__(self, port: int, *, answers: bool) -> None:
        super().__init__(("127.0.0.1", 0), OldBrokerConnection)
        self.behind, self.answers = ("127.0.0.1", port), answers
        self.versions: list[int] = []


class OldBrokerConnection(BaseRequestHandler):
    """A client of :class:`OldBroker`."""

    server: OldBroker

    def handle(self) -> None:
        packet = self.request.recv(65_536)
        version = packet[packet.index(b"MQTT") + 4]
        self.server.versions.append(version)
        if version == 5:
            if self.server.answers:
                self.request.sendall(b"\x20\x02\x00\x01")
            else:
                self.request.recv(65_536)  # until the client closes
            return
        with create_connection(self.server.behind) as behind:
            while packet:
                behind.sendall(packet)
                answers = behind.recv(65_536)
                if not answers:
                    return
                self.request.sendall(answers)
                packet = self.request.recv(65_536)


@pytest.fixture(params=[True, False], ids=["refuses", "silent"])
def old_broker(request: pytest.FixtureRequest, mosquitto: MosquittoBroker) -> Iterator[OldBroker]:
    with OldBroker(mosquitto.port, answers=request.param) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_mqtt_auto_falls_back_to_3_1_1(
    old_broker: OldBroker, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A worker finds out once; its next tasks do not try MQTT 5."""
    monkeypatch.setattr(mqtt_client, "_brokers_without_mqtt5", set())
    if not old_broker.answers:
        monkeypatch.setattr(mqtt_client, "_MQTT5_S", 0.1)
    port = old_broker.server_address[1]
    row = Row(kind="forecast", device="a", document='{"horizon_min": 5}')
    for _ in range(2):
        publish_rows(settings(mqtt={"host": "127.0.0.1", "port": port}), [row])
    assert sorted(old_broker.versions, reverse=True) == [5, 4, 4]
    found = "supports MQTT 3.1.1 only" if old_broker.answers else "does not answer MQTT 5 in 0.1 s"
    change = f"{found}, so this process uses 3.1.1 from now on"
    fix = 'with mqtt.protocol = "3.1.1" no worker tries MQTT 5 first'
    assert capfd.readouterr().err.count(f"the broker at 127.0.0.1 port {port} {change}: {fix}") == 1
    its = settings(mqtt={"host": "127.0.0.1", "port": port, "protocol": "5"})
    if not old_broker.answers:
        monkeypatch.setattr(mqtt_client, "_CONNECT_S", 0.1)
    why = "Unsupported protocol version" if old_broker.answers else "no answer"
    with pytest.raises(BrokerError, match=f"rejects the connection: {why}$"):
        publish_rows(its, [row])


def test_mqtt_source_auto_reads_from_a_broker_of_3_1_1(
    old_broker: OldBroker,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(mqtt_client, "_brokers_without_mqtt5", set())
    if not old_broker.answers:
        monkeypatch.setattr(mqtt_client, "_MQTT5_S", 0.1)
    port = old_broker.server_address[1]
    its = settings(mqtt={"host": "127.0.0.1", "port": port, "keepalive_s": 5})
    intake = SegmentIntake(its, tmp_path / "spool", "the-fleet")
    assert not intake._connection.mqtt5
    assert "set max_inflight_messages 65535 in its configuration; with mqtt" in capfd.readouterr().err
    intake.close()


def test_mqtt_task_that_fails_disconnects(mosquitto: MosquittoBroker) -> None:
    def rows() -> Iterator[Row]:
        yield Row(kind="rejected", device=None, document="{}")
        msg = "the task fails"
        raise ArithmeticError(msg)

    with pytest.raises(ArithmeticError):
        publish_rows(settings(mqtt={"host": mosquitto.host, "port": mosquitto.port}), rows())
    names = [thread.name for thread in threading.enumerate()]
    assert [name for name in names if "gapcast-fleet-" in name] == []


def test_mqtt_publisher_waits_for_all_confirmations(mosquitto: MosquittoBroker, client: Client) -> None:
    publisher = TaskPublisher(settings(mqtt={"host": mosquitto.host, "port": mosquitto.port}))
    document = {"device": "a", "observed_at": "x"} | dict.fromkeys(ForecastKw._fields, 1.0)
    for _ in range(1_500):
        publisher.publish("gap/a/forecast", json.dumps(document), 300)
    publisher.publish("gapcast/fleet/rejected", "{}", 300)
    publisher.wait_for_confirmations()
    publisher.close()
    wait_until(lambda: bool(client.rejected), "the last one")
    assert client.found == {("a", "x"): ForecastKw(1.0, 1.0, 1.0, 1.0)}


def test_mqtt_task_of_a_refused_message_fails(restricted_broker: MosquittoBroker) -> None:
    """Without the right to write, no micro-batch is committed."""
    mqtt = {"host": restricted_broker.host, "port": restricted_broker.port, "username": "gapcast"}
    row = Row(kind="rejected", device=None, document="{}")
    its = settings(mqtt=mqtt | {"password": "the word"})
    with pytest.raises(BrokerError, match="refuses the message on gapcast/fleet/rejected: Not authorized"):
        publish_rows(its, [row])
