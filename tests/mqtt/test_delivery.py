"""At-least-once delivery: a reading is acknowledged when its forecast is confirmed, in the order of arrival."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gapcast.mqtt.connection import delivery as delivery_module
from gapcast.mqtt.connection.delivery import FIRST_ID, LAST_ID, Delivery, Outgoing, SentBatch
from gapcast.mqtt.packets.frames import Acknowledgement, Publication, as_duplicate, encode_pubacks, encode_publish
from gapcast.mqtt.packets.splitter import Splitter

#: Packet identifiers in the property test: so few that they are reused.
N_IDS = 8


def forecast(number: int = 0) -> Outgoing:
    return Outgoing(b"gap/home/forecast", str(number).encode(), retain=False, expires_s=None)


def encode(packet_id: int, message: Outgoing, again: bool) -> bytes:
    packet = encode_publish(message.topic, message.payload, packet_id, retain=message.retain, properties=None)
    return as_duplicate(packet) if again else packet


class Messages:
    """Makes the messages of a batch, at most once."""

    def __init__(self, messages: list[Outgoing]) -> None:
        self._messages = messages
        self.n_made = 0

    def __call__(self) -> list[Outgoing]:
        self.n_made += 1
        assert self.n_made == 1, "made again"
        return self._messages


class Broker(RuleBasedStateMachine):
    """A broker that sends readings, confirms forecasts in any order, and disconnects at any moment.

    It decodes the bytes that are sent to it.
    """

    def __init__(self) -> None:
        super().__init__()
        delivery_module.LAST_ID = FIRST_ID + N_IDS - 1
        self.delivery = Delivery(self.receive, self.encode)
        self.online = False
        self.max_in_flight = 0
        self.unconfirmed: dict[int, bytes] = {}  # identifier -> payload, in the order sent
        self.received_before: set[bytes] = set()  # payloads
        self.expired: set[bytes] = set()  # payloads that must not be sent any more
        self.fails = False  # whether writing a packet raises
        # In this connection:
        self.on_wire: dict[int, bytes] = {}  # received and not confirmed
        self.received: list[int] = []  # numbers of forecasts
        self.settled: list[tuple[int, int, int]] = []  # reading, forecast and batch that it waits for
        self.acknowledged: list[int] = []
        self.due: list[int] = []  # readings that must be acknowledged
        self.n_readings = self.n_forecasts = self.n_batches = self.n_persisted = 0

    def teardown(self) -> None:
        delivery_module.LAST_ID = LAST_ID

    def encode(self, packet_id: int, message: Outgoing, again: bool) -> bytes | None:
        if message.payload in self.expired:
            assert packet_id not in self.on_wire
            del self.unconfirmed[packet_id]
            return None
        return encode(packet_id, message, again)

    def receive(self, packet: bytes) -> None:
        if self.fails:
            raise MemoryError
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

    @precondition(lambda self: len(self.unconfirmed) < N_IDS)
    @rule(for_a_reading=st.booleans())
    def forecast(self, for_a_reading: bool) -> None:
        self.n_forecasts += 1
        message = forecast(self.n_forecasts)
        packet_id = self.delivery.send(message)
        assert packet_id not in self.unconfirmed
        assert FIRST_ID <= packet_id < FIRST_ID + N_IDS
        self.unconfirmed[packet_id] = message.payload
        if for_a_reading and self.online:
            self.settle(packet_id)

    @precondition(lambda self: self.n_sent_at_once)
    @rule(data=st.data(), for_readings=st.booleans())
    def forecasts_in_one_piece(self, data: st.DataObject, for_readings: bool) -> None:
        """Send a batch; as with demands, some of the requested identifiers may stay unused."""
        n = data.draw(st.integers(1, self.n_sent_at_once))
        n_not_sent = data.draw(st.integers(0, self.n_sent_at_once - n))
        ids = self.delivery.next_ids(n + n_not_sent)[:n]
        assert self.unconfirmed.keys().isdisjoint(ids)
        assert set(ids) <= set(range(FIRST_ID, FIRST_ID + N_IDS))
        messages = [forecast(self.n_forecasts + 1 + i) for i in range(n)]
        self.n_forecasts += n
        for packet_id, message in zip(ids, messages, strict=True):
            self.receive(encode(packet_id, message, again=False))
        self.delivery.add_sent(SentBatch(ids, Messages(messages)))
        self.unconfirmed |= {packet_id: message.payload for packet_id, message in zip(ids, messages, strict=True)}
        for packet_id in ids if for_readings else ():
            self.settle(packet_id)

    @property
    def n_sent_at_once(self) -> int:
        """Return the maximum number of messages that would be sent at once."""
        return next((n for n in range(N_IDS - len(self.unconfirmed), 0, -1) if self.delivery.sends_at_once(n)), 0)

    @precondition(lambda self: self.online)
    @rule(data=st.data())
    def take_reading_without_a_new_forecast(self, data: st.DataObject) -> None:
        self.settle(data.draw(st.sampled_from([0, *self.unconfirmed])))

    def settle(self, packet_id: int) -> None:
        """Let the next reading wait; it is the first of a batch, or joins the batch of earlier ones."""
        self.n_readings += 1
        self.n_batches += self.n_readings % 3 == 0
        self.settled.append((self.n_readings, packet_id, self.n_batches))
        self.delivery.acknowledge_after(self.n_readings, packet_id, self.n_batches)

    @precondition(lambda self: self.n_persisted < self.n_batches)
    @rule(data=st.data())
    def persist(self, data: st.DataObject) -> None:
        self.n_persisted = data.draw(st.integers(self.n_persisted + 1, self.n_batches))
        self.delivery.mark_persisted(self.n_persisted)

    @precondition(lambda self: self.unconfirmed)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        self.expired.add(data.draw(st.sampled_from(list(self.unconfirmed.values()))))

    @precondition(lambda self: self.on_wire)
    @rule(data=st.data(), reason=st.sampled_from([0x00, 0x10, 0x87]), fails=st.booleans())
    def confirm(self, data: st.DataObject, reason: int, fails: bool) -> None:
        """Confirm messages together, one of them twice; if the next packets cannot be written, the connection ends.

        A message that was never sent is confirmed too, which changes nothing.
        """
        packet_ids = data.draw(st.lists(st.sampled_from(list(self.on_wire)), min_size=1, unique=True))
        for packet_id in packet_ids:
            del self.on_wire[packet_id]
            del self.unconfirmed[packet_id]
        self.fails = fails
        confirmed = (FIRST_ID - 1, *packet_ids, packet_ids[0])
        with suppress(MemoryError):
            self.delivery.confirm([Acknowledgement(packet_id, reason) for packet_id in confirmed])
        self.fails = False
        if fails:
            self.disconnect()

    @precondition(lambda self: self.online)
    @rule()
    def disconnect(self) -> None:
        self.online = False
        self.end_connection()
        self.delivery.disconnected()

    @initialize(max_in_flight=st.integers(1, N_IDS))
    def connect_first(self, max_in_flight: int) -> None:
        self.connect(max_in_flight)

    @rule(max_in_flight=st.integers(1, N_IDS))
    def connect(self, max_in_flight: int) -> None:
        self.online, self.max_in_flight = True, max_in_flight
        self.end_connection()
        self.delivery.connected(max_in_flight)

    def end_connection(self) -> None:
        self.on_wire.clear()
        self.received.clear()
        self.settled.clear()
        self.acknowledged.clear()
        self.due.clear()

    # --- what is promised ---------------------------------------------------------------------

    @invariant()
    def acknowledges_readings_in_order_once_confirmed(self) -> None:
        while self.settled and self.settled[0][1] not in self.unconfirmed and self.settled[0][2] <= self.n_persisted:
            self.due.append(self.settled.pop(0)[0])
        assert self.acknowledged == self.due

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
        assert self.delivery.has_confirmed([*self.unconfirmed]) == (not self.unconfirmed)


TestDelivery = pytest.mark.long(Broker.TestCase)
TestDelivery.settings = settings(max_examples=200, stateful_step_count=80)


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


def test_reading_of_a_dropped_forecast_is_acknowledged() -> None:
    expired, written = forecast(2), list[bytes]()
    delivery = Delivery(written.append, lambda *sent: None if sent[1] == expired else encode(*sent))
    delivery.connected(1)
    first, second = delivery.send(forecast(1)), delivery.send(expired)
    delivery.acknowledge_after(7, second)
    delivery.confirm([Acknowledgement(first, 0)])
    assert written == [encode(first, forecast(1), again=False), encode_pubacks([7])]
    assert not len(delivery)


def test_batch_is_not_sent_at_once_without_enough_identifiers() -> None:
    """A broker without a Receive Maximum allows more messages in flight than there are identifiers."""
    delivery = Delivery(lambda _: None, encode)
    delivery.connected(65_535)
    n_sent, n_ids = 16_000, LAST_ID - FIRST_ID + 1
    delivery.add_sent(SentBatch(delivery.next_ids(n_sent), Messages([forecast(1)] * n_sent)))
    assert delivery.sends_at_once(n_ids - n_sent)
    assert len(set(delivery.next_ids(n_ids - n_sent))) == n_ids - n_sent
    assert not delivery.sends_at_once(n_ids - n_sent + 1)


def test_batch_is_not_made_unless_it_is_sent_again() -> None:
    messages = Messages([forecast(1), forecast(2)])
    delivery = Delivery(lambda _: None, encode)
    delivery.connected(10)
    ids = delivery.next_ids(2)
    delivery.add_sent(SentBatch(ids, messages))
    delivery.confirm([Acknowledgement(ids[0], 0)])
    delivery.disconnected()
    n_made = [messages.n_made]
    delivery.connected(10)
    assert [*n_made, messages.n_made] == [0, 1]


def test_batch_sent_again_does_not_hold_its_piece() -> None:
    messages = Messages([forecast(1)])
    batch, piece = SentBatch([FIRST_ID], messages), weakref.ref(messages)
    assert batch.message(FIRST_ID) == batch.message(FIRST_ID) == forecast(1)
    del messages
    gc.collect()
    assert piece() is None


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


def test_confirmation_of_a_message_that_waits_is_survived() -> None:
    """No broker should send it; the following messages are sent."""
    written = list[bytes]()
    delivery = Delivery(written.append, encode)
    delivery.connected(1)
    first, second, third = (delivery.send(forecast(number)) for number in range(3))
    delivery.confirm([Acknowledgement(second, 0)])
    delivery.confirm([Acknowledgement(first, 0)])
    assert written == [encode(first, forecast(0), again=False), encode(third, forecast(2), again=False)]
