"""At least once: a reading is acknowledged when its forecast is confirmed, in the order the readings came."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gapcast.mqtt.delivery import FIRST_ID, LAST_ID, Delivery, Outgoing, SentBatch
from gapcast.mqtt.frames import Acknowledgement, Publication, as_duplicate, encode_pubacks, encode_publish
from gapcast.mqtt.splitter import Splitter


def forecast(number: int = 0) -> Outgoing:
    return Outgoing(b"gap/home/forecast", str(number).encode(), retain=False, expires_s=None)


def encode(packet_id: int, message: Outgoing, again: bool) -> bytes:
    packet = encode_publish(message.topic, message.payload, packet_id, retain=message.retain, properties=None)
    return as_duplicate(packet) if again else packet


class Broker(RuleBasedStateMachine):
    """A broker that sends readings, confirms forecasts in any order, and goes away at any moment.

    It reads what is sent to it from the bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.delivery = Delivery(self.receive, encode)
        self.online = False
        self.max_in_flight = 0
        self.unconfirmed: dict[int, bytes] = {}  # identifier -> payload, in the order sent
        self.received_before: set[bytes] = set()  # payloads
        # In this connection:
        self.on_wire: dict[int, bytes] = {}  # received and not confirmed
        self.received: list[int] = []  # numbers of forecasts
        self.settled: list[tuple[int, int]] = []  # (reading, forecast that it waits for)
        self.acknowledged: list[int] = []
        self.n_readings = self.n_forecasts = 0

    def receive(self, packet: bytes) -> None:
        splitter = Splitter(mqtt5=False)
        splitter.feed(packet)
        first, *others = splitter.packets()
        if isinstance(first, Acknowledgement):
            self.acknowledged += [one.packet_id for one in (first, *others) if isinstance(one, Acknowledgement)]
            return
        found = first
        assert isinstance(found, Publication)
        assert not others
        assert found.packet_id not in self.on_wire, "an identifier in use is not used again"
        assert found.redelivered == (found.payload in self.received_before), "DUP is set on what was sent before, alone"
        self.on_wire[found.packet_id] = found.payload
        self.received_before.add(found.payload)
        self.received.append(int(found.payload))

    # --- what happens -------------------------------------------------------------------------

    @rule(for_a_reading=st.booleans())
    def forecast(self, for_a_reading: bool) -> None:
        self.n_forecasts += 1
        message = forecast(self.n_forecasts)
        packet_id = self.delivery.send(message)
        assert packet_id not in self.unconfirmed
        assert FIRST_ID <= packet_id <= LAST_ID
        self.unconfirmed[packet_id] = message.payload
        if for_a_reading and self.online:
            self.settle(packet_id)

    @rule(n=st.integers(1, 4))
    def forecasts_in_one_piece(self, n: int) -> None:
        if not self.delivery.sends_at_once(n):
            return
        messages = {}
        for packet_id in self.delivery.next_ids(n):
            self.n_forecasts += 1
            messages[packet_id] = forecast(self.n_forecasts)
            self.receive(encode(packet_id, messages[packet_id], again=False))
        self.delivery.add_sent(SentBatch(list(messages), messages.values))
        self.unconfirmed |= {packet_id: message.payload for packet_id, message in messages.items()}

    @precondition(lambda self: self.online)
    @rule(data=st.data())
    def take_reading_without_a_new_forecast(self, data: st.DataObject) -> None:
        self.settle(data.draw(st.sampled_from([0, *self.unconfirmed])))

    def settle(self, packet_id: int) -> None:
        self.n_readings += 1
        self.settled.append((self.n_readings, packet_id))
        self.delivery.acknowledge_after(self.n_readings, packet_id)

    @precondition(lambda self: self.on_wire)
    @rule(data=st.data(), reason=st.sampled_from([0x00, 0x10, 0x87]))
    def confirm(self, data: st.DataObject, reason: int) -> None:
        packet_ids = data.draw(st.lists(st.sampled_from(list(self.on_wire)), min_size=1, unique=True))
        for packet_id in packet_ids:
            del self.on_wire[packet_id]
            del self.unconfirmed[packet_id]
        self.delivery.confirm([Acknowledgement(packet_id, reason) for packet_id in packet_ids])

    @rule(packet_id=st.integers(1, LAST_ID))
    def confirm_what_was_not_sent(self, packet_id: int) -> None:
        if packet_id not in self.unconfirmed:
            self.delivery.confirm([Acknowledgement(packet_id, 0)])

    @precondition(lambda self: self.online)
    @rule()
    def disconnect(self) -> None:
        self.online = False
        self.end_connection()
        self.delivery.disconnected()

    @rule(max_in_flight=st.integers(1, 6))
    def connect(self, max_in_flight: int) -> None:
        self.online, self.max_in_flight = True, max_in_flight
        self.end_connection()
        self.delivery.connected(max_in_flight)

    def end_connection(self) -> None:
        self.on_wire.clear()
        self.received.clear()
        self.settled.clear()
        self.acknowledged.clear()

    # --- what is promised ---------------------------------------------------------------------

    @invariant()
    def acknowledges_readings_in_order_once_confirmed(self) -> None:
        due = []
        for reading, packet_id in self.settled:
            if packet_id in self.unconfirmed:
                break
            due.append(reading)
        assert self.acknowledged == due

    @invariant()
    def sends_as_many_as_may_be_in_flight(self) -> None:
        assert len(self.on_wire) == (min(self.max_in_flight, len(self.unconfirmed)) if self.online else 0)

    @invariant()
    def resends_unconfirmed_in_order(self) -> None:
        assert self.received == sorted(set(self.received))
        assert list(self.on_wire.items()) == list(self.unconfirmed.items())[: len(self.on_wire)]

    @invariant()
    def tracks_unconfirmed_publications(self) -> None:
        assert len(self.delivery) == len(self.unconfirmed)
        assert self.delivery.newest == next(reversed(self.unconfirmed), 0)


TestDelivery = Broker.TestCase


def test_packet_ids_wrap_and_skip_those_in_use() -> None:
    delivery = Delivery(lambda _: None, encode)
    delivery.connected(max_in_flight=10)
    kept = delivery.send(forecast())
    seen = {kept}
    for _ in range(LAST_ID - FIRST_ID):
        packet_id = delivery.send(forecast())
        seen.add(packet_id)
        delivery.confirm([Acknowledgement(packet_id, 0)])
    assert seen == set(range(FIRST_ID, LAST_ID + 1))
    assert delivery.send(forecast()) == kept + 1


def test_packet_id_reused_is_not_a_redelivery() -> None:
    written: list[bytes] = []
    delivery = Delivery(written.append, encode)
    delivery.connected(max_in_flight=1)
    for _ in range(LAST_ID - FIRST_ID + 2):
        delivery.confirm([Acknowledgement(delivery.send(forecast()), 0)])
    assert written[-1] == written[0] == encode(FIRST_ID, forecast(), again=False)


def test_packet_ids_exhausted_stops_sending() -> None:
    delivery = Delivery(lambda _: None, encode)
    for _ in range(FIRST_ID, LAST_ID + 1):
        delivery.send(forecast())
    with pytest.raises(OverflowError, match="32,768 messages are not confirmed"):
        delivery.send(forecast())


def test_reading_without_a_forecast_is_acknowledged_at_once() -> None:
    written: list[bytes] = []
    delivery = Delivery(written.append, encode)
    delivery.connected(max_in_flight=1)
    delivery.acknowledge_after(7, 0)
    assert written == [encode_pubacks([7])]


def test_reading_of_an_unsaved_batch_is_not_acknowledged() -> None:
    sent: list[bytes] = []
    delivery = Delivery(sent.append, encode)
    delivery.connected(10)
    message = delivery.send(forecast())
    sent.clear()
    delivery.acknowledge_after(1, message, batch=1)
    delivery.acknowledge_after(2, 0, batch=2)
    delivery.confirm([Acknowledgement(message, 0)])
    assert sent == []
    delivery.mark_persisted(1)
    assert sent == [encode_pubacks([1])]
    delivery.mark_persisted(2)
    assert sent == [encode_pubacks([1]), encode_pubacks([2])]


def test_confirmations_are_reported_together() -> None:
    delivery = Delivery(lambda packet: None, encode)
    delivery.connected(10)
    first, second, third = (delivery.send(forecast(i)) for i in range(3))
    assert delivery.has_confirmed([])
    assert delivery.has_confirmed([0, 0])
    delivery.confirm([Acknowledgement(third, 0)])
    assert not delivery.has_confirmed([first, second, third])
    assert not delivery.has_confirmed([first, 0])
    delivery.confirm([Acknowledgement(first, 0)])
    assert delivery.has_confirmed([0, first, third])
    assert not delivery.has_confirmed([first, second])
