"""Meters over real brokers: samples in their own topics and payloads, forecasts out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import fmean

import httpx
import pytest

from gapcast.core.time_grid import MINUTE_MS
from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_at_least_once import close
from tests.integration.test_stream import FIRST, assert_same, offline, power, reading, without_issue
from tests.support.brokers import Broker, MosquittoBroker
from tests.support.gateways import ALONE, GATEWAY, REJECTED, Gateway
from tests.support.journals import journal_entries
from tests.support.waiting import wait_until
from tests.support.wire import PUBACK, PUBLISH, SUBSCRIBE, WireBroker

SECOND_MS = 1_000


def sensor(at_ms: float, watts: float) -> str:
    """Return the message of a Tasmota plug on UTC."""
    shown = datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return json.dumps({"Time": shown, "ENERGY": {"Power": watts, "Voltage": 230}})


def test_plug_every_10_s_is_forecast_by_its_minute_means(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    gateway = start_gateway(broker, sources=[{"preset": "tasmota", "every_s": 10}], forecast=ALONE)
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    minutes = [(FIRST + i, power(i)) for i in range(12)]
    for minute, gap_kw in minutes:
        for second in range(0, 60, 10):
            watts = gap_kw * 1_000 + (100 if second < 30 else -100)
            peer.send("tele/plug/SENSOR", sensor(minute * MINUTE_MS + second * SECOND_MS, watts))
    peer.send("tele/plug/SENSOR", sensor((FIRST + 12) * MINUTE_MS, 0))
    documents = [message.document for message in peer.wait_for("gap/plug/forecast", len(minutes) - 1)]
    assert_same([without_issue(document) for document in documents], offline("plug", minutes))
    gateway.wait_taken(len(minutes))
    assert gateway.service.statistics.samples == {"taken": 73, "duplicate": 0, "late": 0}
    assert gateway.service.statistics.readings["accepted"] == 12


def test_minute_without_a_later_sample_is_closed_by_the_clock(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    start_gateway(broker, sources=[{"preset": "shelly-gen2", "every_s": 10}])
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    first_s = FIRST * 60
    for second in (*range(0, 120, 10), 119.5):  # by the meter's clock, the second minute ends in half a second
        params = {"ts": first_s + second, "em:0": {"id": 0, "total_act_power": 1_000}}
        peer.publish("shelly/events/rpc", json.dumps({"src": "x", "method": "NotifyStatus", "params": params}))
    (forecast,) = peer.wait_for("gap/shelly/forecast")
    assert forecast.document["observed_at"] == "2010-11-01T00:01:00Z"
    assert forecast.document["n_observed"] == 2


@pytest.mark.mosquitto
def test_samples_over_the_receive_maximum_do_not_block(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    start_gateway(mosquitto, mqtt={"protocol": "3.1.1"}, sources=[{"preset": "tasmota", "every_s": 1}])
    peer = connect(mosquitto)
    peer.subscribe("gap/+/forecast")
    for second in range(181):  # at QoS 1, of which mosquitto sends 20 before the first is acknowledged
        peer.send("tele/plug/SENSOR", sensor(FIRST * MINUTE_MS + second * SECOND_MS, 1_000))
    peer.wait_for("gap/plug/forecast", 2)


def test_meters_with_parts_beside_others(broker: Broker, start_gateway: StartGateway, connect: Connect) -> None:
    gateway = start_gateway(
        broker,
        sources=[{"preset": "gapcast"}, {"preset": "p1-esp"}, {"preset": "esphome", "unit": "auto", "kind": "minute"}],
    )
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    peer.subscribe("gapcast/+/rejected")
    for i in range(3):
        peer.publish("gap/native/reading", reading(FIRST + i, 1.0))
    assert len(peer.wait_for("gap/native/forecast", 2)) == 2
    peer.publish("sensors/power/p1meter/actual_consumption", "313")
    peer.publish("sensors/power/p1meter/actual_returndelivery", "0")
    peer.publish("garage/sensor/power/state", "412.0")
    (rejected,) = peer.wait_for(REJECTED)
    assert rejected.document["topic"] == "garage/sensor/power/state"
    assert rejected.document["reason"] == "out_of_range"
    assert 'set unit = "W" (0.412 kW)' in rejected.document["detail"]
    metrics = httpx.get(f"{gateway.url}/metrics").text
    assert 'gapcast_samples_total{result="taken"} 1.0' in metrics
    assert "gapcast_messages_without_reading_total 1.0" in metrics
    assert "gapcast_slow_meters 0.0" in metrics


def test_held_reading_is_rejected_with_its_meters_topic(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    start_gateway(broker, sources=[{"topic": "m/{device}", "value": "kw", "time": "t", "unit": "kW", "kind": "minute"}])
    peer = connect(broker)
    peer.subscribe("gapcast/+/rejected")
    for minute in (FIRST, FIRST + 5_000, FIRST + 1):
        peer.publish("m/home", json.dumps({"t": minute * 60, "kw": 1.5}))
    (rejected,) = peer.wait_for(REJECTED)
    assert (rejected.document["topic"], rejected.document["reason"]) == ("m/home", "time_jump")


@pytest.mark.mosquitto
def test_minutes_closed_offline_are_published_on_reconnect(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    gateway = start_gateway(mosquitto, sources=[{"preset": "tasmota", "every_s": 10}])
    peer = connect(mosquitto, client_id="reader", persistent=True)
    peer.subscribe("gap/+/forecast")
    for second in (*range(0, 120, 10), 114):  # by the meter's clock, the second minute ends in six seconds
        peer.publish("tele/plug/SENSOR", sensor(FIRST * MINUTE_MS + second * SECOND_MS, 1_000))
    assert gateway.service.statistics.forecasts == {}
    mosquitto.stop()
    wait_until(lambda: gateway.service.statistics.forecasts, "the forecast of the minute that the clock closed")
    mosquitto.start()
    (forecast,) = peer.wait_for("gap/plug/forecast")
    assert forecast.document["observed_at"] == "2010-11-01T00:01:00Z"


def test_sample_that_closes_a_minute_is_acknowledged_last(
    start_gateway: StartGateway,
) -> None:
    broker = WireBroker()
    sources, outlook = [{"preset": "tasmota", "every_s": 30}], {"enabled": False}
    gateway = start_gateway(broker.port, connected=False, sources=sources, outlook=outlook)
    wire = broker.accept()
    wire.open()
    gateway.wait_connected()

    def send(second: int, packet_id: int) -> None:
        wire.publish("tele/plug/SENSOR", sensor(FIRST * MINUTE_MS + second * SECOND_MS, 1_000), packet_id)

    for second, packet_id in ((0, 1), (30, 2), (60, 3), (90, 4)):  # a first minute has no forecast to wait for
        send(second, packet_id)
        assert (wire.read().kind, packet_id) == (PUBACK, packet_id)
    send(120, 5)
    forecast = wire.read()
    assert (forecast.kind, forecast.topic) == (PUBLISH, "gap/plug/forecast")
    send(121, 6)  # acknowledgements leave in order: it waits behind the one that closed the minute
    wait_until(lambda: gateway.service.statistics.samples["taken"] == 6, "the sixth sample")
    assert wire.read_all_there() == []
    wire.puback(forecast.packet_id)
    assert [(p.kind, p.packet_id) for p in (wire.read(), wire.read())] == [(PUBACK, 5), (PUBACK, 6)]
    close(gateway, wire)
    broker.close()


def test_minute_is_stored_before_its_sample_is_acknowledged(start_gateway: StartGateway, tmp_path: Path) -> None:
    broker = WireBroker()
    sources, outlook = [{"preset": "tasmota", "every_s": 30}], {"enabled": False}
    gateway = start_gateway(broker.port, connected=False, sources=sources, outlook=outlook)
    wire = broker.accept()
    wire.open()
    gateway.wait_connected()

    def kept() -> list[int]:
        """Return the minutes, from the first on, that would survive a kill of the process now."""
        entries = journal_entries(tmp_path / "state" / "stream")
        return [one.minute - FIRST for entry in entries for one in entry.readings]

    def send(second: int, packet_id: int) -> None:
        wire.publish("tele/plug/SENSOR", sensor(FIRST * MINUTE_MS + second * SECOND_MS, 1_000), packet_id)

    for packet_id, second in enumerate((0, 30, 60), 1):
        send(second, packet_id)
        assert (wire.read().kind, kept()) == (PUBACK, [0] * (second == 60))
    send(120, 4)
    forecast = wire.read()
    assert (forecast.kind, forecast.topic) == (PUBLISH, "gap/plug/forecast")
    assert (wire.read_all_there(), kept()) == ([], [0]), "not confirmed: neither kept nor acknowledged"
    wire.puback(forecast.packet_id)
    acknowledgement = wire.read()
    assert (acknowledgement.kind, acknowledgement.packet_id, kept()) == (PUBACK, 4, [0, 1])
    close(gateway, wire)
    broker.close()


def test_plug_continues_after_a_restart(broker: Broker, start_gateway: StartGateway, connect: Connect) -> None:
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    sources = [{"preset": "tasmota", "every_s": 30}]
    for first in (0, 3):
        gateway = start_gateway(broker, sources=sources)
        for second in range(first * 60, (first + 3) * 60 + 1, 30):  # the last one closes the third minute
            peer.send("tele/plug/SENSOR", sensor(FIRST * MINUTE_MS + second * SECOND_MS, 1_000))
        peer.wait_for("gap/plug/forecast", first + 2)
        gateway.stop()
    n_observed = [message.document["n_observed"] for message in peer.on("gap/plug/forecast")]
    assert n_observed == [2, 3, 4, 5, 6]


def has_taken(gateway: Gateway, n_samples: int) -> bool:
    return gateway.service.statistics.samples["taken"] == n_samples


def test_open_minute_at_a_stop_is_closed_with_the_same_mean(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    samples = [(10 * i, 500 + 290 * i % 700) for i in range(25)]
    for some in (samples[:9], samples[9:16], samples[16:]):  # in the middle of the second minute, and of the third
        gateway = start_gateway(broker, sources=[{"preset": "tasmota", "every_s": 10}], forecast=ALONE)
        for second, watts in some:
            peer.send("tele/plug/SENSOR", sensor(FIRST * MINUTE_MS + second * SECOND_MS, watts))
        wait_until(partial(has_taken, gateway, len(some)), "the samples")
        gateway.stop()
    minutes = [(FIRST + i, fmean(watts for _, watts in samples[6 * i : 6 * i + 6]) / 1_000) for i in range(4)]
    documents = [without_issue(message.document) for message in peer.wait_for("gap/plug/forecast", 3)]
    assert_same(documents, offline("plug", minutes))


@pytest.mark.mosquitto
def test_sources_with_requests_and_properties(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    predict, answers = f"gapcast/{GATEWAY}/predict", f"gapcast/{GATEWAY}/answer/here"
    start_gateway(mosquitto, sources=[{"preset": "gapcast"}, {"preset": "tasmota", "every_s": 30}])
    peer = connect(mosquitto, mqtt5=True)
    for topic in ("gap/+/forecast", answers, REJECTED):
        peer.subscribe(topic)
    peer.publish(predict, json.dumps({"readings": [1.0, 1.2]}), ResponseTopic=answers)
    assert peer.wait_for(answers)[0].document["n_observed"] == 2
    peer.publish(predict, json.dumps({"readings": [1.0, 1.2]}))
    assert peer.wait_for(REJECTED)[0].document["reason"] == "bad_request"
    for i in range(2):
        peer.publish("gap/home/reading", reading(FIRST + i, 1.0), CorrelationData=b"%d" % i)
    assert peer.wait_for("gap/home/forecast")[0].correlation == b"1"


def test_refused_subscription_of_a_source_is_named(start_gateway: StartGateway) -> None:
    broker = WireBroker()
    gateway = start_gateway(broker.port, connected=False, sources=[{"preset": "p1-esp"}, {"preset": "tasmota"}])
    wire = broker.accept()
    wire.read()
    wire.connack()
    while (packet := wire.read()).kind != SUBSCRIBE:
        wire.puback(packet.packet_id)
    wire.suback_each(packet.packet_id, [1, 0x87, 1])  # not authorised to the second
    wait_until(lambda: "refused" in gateway.service.queries.problem, "the refusal")
    assert "sensors/power/p1meter/actual_returndelivery is refused: Not authorized" in gateway.service.queries.problem
    assert not gateway.service.queries.connected
    close(gateway, wire)
    broker.close()
