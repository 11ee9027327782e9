"""At least once: a reading is acknowledged when its forecast is confirmed, in the order the readings came."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.mqtt.delivery import FIRST_ID, LAST_ID, Delivery, Outgoing
from edge.mqtt.frames import Acknowledgement, encode_puback

MESSAGE = Outgoing(b"gap/home/forecast", b"{}", retain=False, expires_s=None)


class Broker(RuleBasedStateMachine):
    """A broker that sends readings, confirms forecasts in order, and goes away at any moment."""

    @initialize(window=st.integers(1, 6))
    def connect(self, window: int) -> None:
        self.window = window
        self.on_wire: list[int] = []  # forecasts sent and not confirmed
        self.ever_sent: set[int] = set()
        self.acknowledged: list[int] = []
        self.owed: list[tuple[int, int]] = []  # (reading, forecast) settled, in this connection
        self.unconfirmed: list[int] = []
        self.next_reading = 1
        self.delivery = Delivery(self._write, self._encode)
        self.delivery.connected(window)
        self.online = True

    def _encode(self, packet_id: int, message: Outgoing, again: bool) -> bytes:
        assert message is MESSAGE
        assert again == (packet_id in self.ever_sent), "DUP is set exactly on what was sent before"
        return b"P" + packet_id.to_bytes(2, "big")

    def _write(self, packet: bytes) -> None:
        packet_id = int.from_bytes(packet[-2:], "big")
        if packet.startswith(b"P"):
            assert packet_id not in self.on_wire
            self.on_wire.append(packet_id)
            self.ever_sent.add(packet_id)
            return
        assert packet == encode_puback(packet_id)
        reading, forecast = self.owed.pop(0)
        assert packet_id == reading, "acknowledged in the order they came"
        assert forecast not in self.unconfirmed, "acknowledged only after the forecast is confirmed"
        self.acknowledged.append(reading)

    @rule()
    def forecast_a_reading(self) -> None:
        packet_id = self.delivery.send(MESSAGE)
        assert packet_id not in self.unconfirmed
        assert FIRST_ID <= packet_id <= LAST_ID
        self.unconfirmed.append(packet_id)
        if self.online:
            self._settle(packet_id)

    @precondition(lambda self: self.online)
    @rule()
    def take_a_reading_without_a_forecast(self) -> None:
        self._settle(0)

    def _settle(self, forecast: int) -> None:
        self.owed.append((self.next_reading, forecast))
        self.next_reading += 1
        self.delivery.settle(self.next_reading - 1, forecast)

    @precondition(lambda self: self.online and self.on_wire)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        packet_id = data.draw(st.sampled_from(self.on_wire))
        self.on_wire.remove(packet_id)
        self.ever_sent.discard(packet_id)
        self.unconfirmed.remove(packet_id)
        self.delivery.confirm(Acknowledgement(packet_id, 0))

    @rule(packet_id=st.integers(1, LAST_ID))
    def confirm_what_is_not_known(self, packet_id: int) -> None:
        if packet_id not in self.unconfirmed:
            self.delivery.confirm(Acknowledgement(packet_id, 0))

    @precondition(lambda self: self.online)
    @rule()
    def go_away(self) -> None:
        self.online = False
        self.on_wire.clear()
        self.owed.clear()
        self.delivery.disconnected()

    @precondition(lambda self: not self.online)
    @rule(window=st.integers(1, 6))
    def come_back(self, window: int) -> None:
        self.online, self.window = True, window
        self.delivery.connected(window)
        assert self.on_wire == self.unconfirmed[:window], "all that is not confirmed is sent again, in order"

    @invariant()
    def the_window_is_kept_and_used(self) -> None:
        if self.online:
            assert len(self.on_wire) == min(self.window, len(self.unconfirmed))
        assert len(self.delivery) == len(self.unconfirmed)
        assert self.delivery.newest == (self.unconfirmed[-1] if self.unconfirmed else 0)

    @invariant()
    def nothing_waits_without_a_reason(self) -> None:
        if self.owed:
            assert self.owed[0][1] in self.unconfirmed


TestDelivery = Broker.TestCase


def test_identifiers_start_again_after_the_last_and_pass_over_those_in_use() -> None:
    delivery = Delivery(lambda _: None, lambda *_: b"")
    delivery.connected(window=10)
    kept = delivery.send(MESSAGE)
    seen = {kept}
    for _ in range(LAST_ID - FIRST_ID):
        packet_id = delivery.send(MESSAGE)
        seen.add(packet_id)
        delivery.confirm(Acknowledgement(packet_id, 0))
    assert seen == set(range(FIRST_ID, LAST_ID + 1))
    assert delivery.send(MESSAGE) == kept + 1
