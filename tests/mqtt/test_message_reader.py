"""Routing of a received message, with native readings and with sources, and the rules for native readings."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gapcast.app.broker.broker import sources_of, submeters_of
from gapcast.config.settings import Settings
from gapcast.core.billing.registers import Register
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.time_grid import minute_label
from gapcast.mqtt import message_reader
from gapcast.mqtt.message_reader import IntakeOptions, MessageReader
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.requests.demand_registers import RegisterReader, RegisterSource
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.sources.sources import SourceReader
from gapcast.mqtt.sources.submeters import SubmeterReader
from gapcast.mqtt.topics import DeviceTopic
from gapcast.service.ports.broker_link import RetainedReading
from tests.support.houses import FIRST

MINUTE_MS = 60_000
METER = {"topic": "meter/{device}", "value": "kw", "unit": "kW"}
#: Configured sources, the topic of a reading, and its payload: a bare number belongs to the minute of arrival.
NATIVE: tuple[list[dict[str, Any]], str, bytes] = ([], "gap/home/reading", b'{"gap_kw": 1.5}')
OF_SOURCES = ([METER | {"kind": "minute"}], "meter/home", b'{"kw": 1.5}')
CAR = {"of": "home", "name": "car", "topic": "car", "format": "number", "unit": "kW", "every_s": 30}


class Handlers:
    """Records messages other than readings, as a request topic and as the user of registers."""

    def __init__(self) -> None:
        self.handled: list[tuple[str, object]] = []

    def receive(self, publication: Publication) -> None:
        self.handled.append(("request", publication.payload))

    def process_pending(self) -> bool:
        return False

    def record_running_register(self, device: str, kw: float, _instant_ms: int) -> None:
        self.handled.append((device, kw))


class Reader(MessageReader):
    """A message reader whose clock shows ``now_ms``, with the handled messages and the forwarded properties."""

    def __init__(self, sources: list[dict[str, Any]], submeters: list[dict[str, Any]] | None = None) -> None:
        self.now_ms, self.statistics, limits = FIRST * MINUTE_MS, Statistics(), Limits()
        self.forwarded: list[tuple[Reading, bytes]] = []
        settings = Settings.model_validate({"sources": sources, "submeters": submeters or []})
        intake = IntakeOptions(
            SourceReader(sources_of(settings), limits, (), 9, self.statistics, self._now) if sources else None,
            SubmeterReader(submeters_of(settings), limits, self._now) if submeters else None,
            self.statistics,
        )
        super().__init__(
            DeviceTopic.parse("topics.reading", "gap/{device}/reading"), limits, (), intake,
            lambda reading, publication: self.forwarded.append((reading, publication.properties)),
        )  # fmt: skip
        handlers = Handlers()
        self.handled, self.request_topics["request"] = handlers.handled, handlers
        command_topic = DeviceTopic.parse("topics.plan", "gap/{device}/plan")
        self.commands.add(
            command_topic, lambda device, message: self.handled.append((device, message.publication.payload))
        )
        register = RegisterSource(Register.RUNNING, "register", "home", (), 1.0)
        self.registers = RegisterReader([register], (), limits, cast("Any", handlers), lambda *_: None)

    def _now(self) -> int:
        return self.now_ms

    def message(self, topic: str, payload: bytes, **fields: Any) -> ReceivedMessage:
        publication = Publication(topic, payload, 1, False, False, b"", len(payload or b""))._replace(**fields)
        return ReceivedMessage(publication, 0.0, self.now_ms)

    def results(self, *messages: ReceivedMessage, n_at_most: int = 0) -> list[Reading | str | None]:
        """Return the reading or the reason of each resulting message."""
        read = self.read(messages, n_at_most)
        return [one.reading if one.problem is None else one.problem.reason for one in read]


@pytest.mark.parametrize(("sources", "topic", "payload"), [NATIVE, OF_SOURCES], ids=["native", "sources"])
def test_message_apart_from_readings_is_handled_in_its_place(
    sources: list[dict[str, Any]], topic: str, payload: bytes
) -> None:
    reader = Reader(sources)
    messages = [
        reader.message(*one)
        for one in (("request", b"{}"), (topic, payload), ("gap/home/plan", b"[]"), ("register", b"0.5"))
    ]
    assert reader.results(*messages) == [None, Reading("home", FIRST, 1.5), None, None]
    assert reader.handled == [("request", b"{}"), ("home", b"[]"), ("home", 0.5)]
    assert reader.statistics.n_not_readings == 0


@pytest.mark.parametrize(
    ("sources", "topic"),
    [
        ([], "gap/home/reading"),
        ([{"topic": "meter/{device}", "format": "gapcast"}], "meter/home"),
        ([METER | {"kind": "minute", "value": "gap_kw", "time": "ts"}], "meter/home"),
    ],
    ids=["native", "gapcast", "sources"],
)
def test_retained_readings_are_those_of_the_last_batch(sources: list[dict[str, Any]], topic: str) -> None:
    reader = Reader(sources)
    old, new = (b'{"ts": "%s", "gap_kw": 1.5}' % minute_label(FIRST + i).encode() for i in range(2))
    reader.now_ms += 60 * MINUTE_MS
    unusable = reader.message(topic, b"nonsense", retained=True)
    reader.results(reader.message(topic, old, retained=True), reader.message(topic, new), unusable)
    assert reader.retained == [RetainedReading("home", FIRST, reader.now_ms)]
    reader.results(reader.message(topic, new))
    assert reader.retained == []


@pytest.mark.parametrize(("sources", "topic", "payload"), [NATIVE, OF_SOURCES], ids=["native", "sources"])
def test_submeter_is_part_of_the_readings_of_its_device(
    sources: list[dict[str, Any]], topic: str, payload: bytes
) -> None:
    """The clock closes its minute; a submeter message that raises an error is rejected, and the others are read."""
    reader = Reader(sources, [CAR])
    assert reader.results(reader.message("car", b"2.5")) == [None]
    reader.now_ms += 30_000
    assert reader.results(reader.message("car", b"2.5")) == [None]
    reader.now_ms += 33_000
    damaged = reader.message("car", cast("bytes", None))
    (rejected, reading) = reader.results(damaged, reader.message(topic, payload))
    assert (rejected, reader.statistics.internal_errors["message"]) == ("internal_error", 1)
    assert reading == Reading("home", FIRST + 1, 1.5, measured={"submeter car": 2.5})


@pytest.mark.parametrize(("sources", "topic", "payload"), [NATIVE, OF_SOURCES], ids=["native", "sources"])
def test_register_on_the_topic_of_a_submeter_is_read(sources: list[dict[str, Any]], topic: str, payload: bytes) -> None:
    reader = Reader(sources, [CAR | {"topic": "register"}])
    register = RegisterSource(Register.RUNNING, "register", "home", (), 1.0)
    handlers = Handlers()
    reader.registers = RegisterReader([register], ("register",), Limits(), cast("Any", handlers), lambda *_: None)
    assert reader.results(reader.message("register", b"2.5"), reader.message(topic, payload))[0] is None
    assert handlers.handled == [("home", 2.5)]


def test_minute_closed_by_the_clock_follows_and_has_its_submeter() -> None:
    reader = Reader([METER | {"every_s": 30}], [CAR])
    for _ in range(2):
        messages = reader.message("meter/home", b'{"kw": 1.5}'), reader.message("car", b"2.5")
        assert reader.results(*messages) == [None, None]
        reader.now_ms += 30_000
    reader.now_ms += 3_000
    assert (reader.is_due, reader.results()) == (True, [])
    (other, closed) = reader.results(reader.message("meter/other", b'{"kw": 9}'), n_at_most=1)
    assert (other, closed) == (None, Reading("home", FIRST, 1.5, measured={"submeter car": 2.5}))


@pytest.mark.parametrize(("sources", "topic", "payload"), [NATIVE, OF_SOURCES], ids=["native", "sources"])
def test_properties_of_a_reading_are_forwarded(sources: list[dict[str, Any]], topic: str, payload: bytes) -> None:
    reader = Reader(sources)
    reader.read([reader.message(topic, payload, properties=b"p"), reader.message(topic, b"", properties=b"q")])
    assert reader.forwarded == [(Reading("home", FIRST, 1.5), b"p")]


@pytest.mark.parametrize(
    ("gap_kw", "expected"), [(-100.5, "out_of_range"), (-100.0, -100.0), (100.0, 100.0), (100.5, "out_of_range")]
)
def test_native_reading_decoded_with_its_packet_is_within_limits(gap_kw: float, expected: object) -> None:
    reader = Reader([])
    payload = b'{"ts": %d, "gap_kw": %.1f}' % (FIRST * 60, gap_kw)
    (result,) = reader.results(reader.message("gap/home/reading", payload, minute=FIRST, gap_kw=gap_kw))
    assert (result.gap_kw if isinstance(result, Reading) else result) == expected


@pytest.mark.parametrize("sources", [[], [{"topic": "gap/{device}/reading", "format": "gapcast"}]])
@pytest.mark.parametrize("how", [{}, {"redelivered": True}, {"retained": True}])
def test_native_reading_sent_again_or_retained_needs_a_time(
    sources: list[dict[str, Any]], how: dict[str, bool]
) -> None:
    reader = Reader(sources)
    (untimed, timed) = reader.results(
        reader.message("gap/home/reading", b"1.5", **how),
        reader.message("gap/home/reading", b'{"ts": %d, "gap_kw": 1.5}' % (FIRST * 60), **how),
    )
    is_resent = "redelivered" in how
    assert timed == Reading("home", FIRST, 1.5, redelivered=is_resent)
    assert untimed == ("unknown_age" if how else Reading("home", FIRST, 1.5))


def test_devices_of_native_topics_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anyone who may publish can invent devices, including devices that ``devices.max`` rejects later."""
    monkeypatch.setattr(message_reader, "_MAX_CACHED", 2)
    parsed: list[str] = []
    device_in = DeviceTopic.device_in

    def record_device(topic: DeviceTopic, name: str) -> str:
        parsed.append(device_in(topic, name))
        return parsed[-1]

    monkeypatch.setattr(DeviceTopic, "device_in", record_device)
    reader = Reader([])
    for device in "abccba":
        reader.read([reader.message(f"gap/{device}/reading", b"1.5")])
    assert "".join(parsed) == "abcba", "the third device clears the cache"


def test_requests_are_pending_until_they_are_processed() -> None:
    """The link polls without waiting while requests are pending, which would otherwise occupy a processor forever."""
    reader, rests = Reader([]), iter([True, False])

    class Backlog(Handlers):
        def process_pending(self) -> bool:
            return next(rests)

    reader.request_topics["backlog"] = cast("Any", Backlog())
    pending = []
    for _ in range(2):
        reader.read([])
        pending.append(reader.has_pending_requests)
    assert pending == [True, False]
