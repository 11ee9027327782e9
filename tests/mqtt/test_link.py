"""The link on the native path: clock offsets and messages that raise, in batches of any size."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import cast

import pytest
from structlog.testing import capture_logs

from gapcast.app.broker.broker import sources_of
from gapcast.config.settings import Settings
from gapcast.core.grid import MINUTE_MS
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.readings.reading import Limits
from gapcast.mqtt.link import MqttLink
from gapcast.mqtt.message_reader import IntakeOptions
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.sources.sources import SourceReader
from gapcast.mqtt.topics import DemandTopics, DeviceTopic, Topics

NOW_MS = 1_767_268_800_000


class Waiting:
    """Stands where a session does, with what has come in."""

    def __init__(self) -> None:
        self.received: list[ReceivedMessage] = []

    def receive_messages(self, n_at_most: int, _timeout_s: float) -> Sequence[ReceivedMessage]:
        taken, self.received = self.received[:n_at_most], self.received[n_at_most:]
        return taken

    is_backlogged = False

    def publish(self, *_: object, **__: object) -> int:
        return 0

    def put(self, device: str, minute: int, at_s: float) -> None:
        payload = b'{"ts": %d, "gap_kw": 1.0}' % (minute * 60)
        publication = Publication(f"gap/{device}/reading", payload, 1, False, False, b"", len(payload))
        self.received.append(ReceivedMessage(publication, at_s, NOW_MS + round(at_s * 1_000)))


def link_over(
    waiting: Waiting, limits: Limits | None = None, sources: Sequence[dict[str, str]] = ()
) -> tuple[MqttLink, Statistics]:
    configured = sources_of(Settings.model_validate({"sources": sources}))
    reading = DeviceTopic.parse("topics.reading", "gap/{device}/reading")
    statistics = Statistics()
    forecast, availability, scores, plan, outlook = (
        DeviceTopic.parse(f"topics.{one}", f"gap/{{device}}/{one}")
        for one in ("forecast", "availability", "scores", "plan", "outlook")
    )
    demands = DemandTopics(
        *(DeviceTopic.parse(one, f"gap/{{device}}/{one}") for one in ("demand", "w", "max_w", "limit", "peak"))
    )
    topics = Topics(reading, forecast, "rejected", availability, scores, "events", plan, outlook, demands)
    session = cast("Session", waiting)
    reader = SourceReader(configured, Limits(), (), 100, statistics) if configured else None
    intake = IntakeOptions(reader, statistics=statistics)
    return MqttLink(session, topics, limits or Limits(), retain_forecasts=False, intake=intake), statistics


@pytest.mark.parametrize("n_devices", [1, 10, 256])
def test_link_reports_clock_offsets_in_order_for_any_batch(n_devices: int) -> None:
    waiting = Waiting()
    link, statistics = link_over(waiting)
    this_minute = NOW_MS // MINUTE_MS
    with capture_logs() as logs:
        for minute in itertools.takewhile(lambda _: statistics.n_clocks_off < n_devices, range(200)):
            for i in range(n_devices):
                waiting.put(f"d{i}", this_minute + minute + 120, minute * 60.0)
            assert len(link.receive_messages(256, 0)) == n_devices
    assert statistics.n_clocks_off == n_devices
    assert sorted(line["device"] for line in logs) == sorted(f"d{i}" for i in range(n_devices))
    assert {(line["event"], line["ahead_min"]) for line in logs} == {("clock.off", 120)}


def test_link_reports_corrected_clocks() -> None:
    waiting = Waiting()
    link, statistics = link_over(waiting)
    this_minute = NOW_MS // MINUTE_MS
    with capture_logs() as logs:
        for minute in range(6):
            ahead_min = 60 if minute < 3 else -1
            waiting.put("set", this_minute + minute + ahead_min, minute * 60.0)
            waiting.put("right", this_minute + minute, minute * 60.0)
            link.receive_messages(256, 0)
    assert [(line["event"], line["device"]) for line in logs] == [("clock.off", "set"), ("clock.right", "set")]
    assert statistics.n_clocks_off == 0


@pytest.mark.parametrize("sources", [[], [{"topic": "gap/{device}/reading", "format": "gapcast"}]])
def test_link_forgets_the_clock_of_a_forgotten_device(sources: list[dict[str, str]]) -> None:
    waiting = Waiting()
    link, statistics = link_over(waiting, sources=sources)
    for minute in range(2):
        for device in ("left", "stays"):
            waiting.put(device, NOW_MS // MINUTE_MS + minute + 120, minute * 60.0)
        link.receive_messages(256, 0)
    assert statistics.n_clocks_off == 2
    link.forget("left")
    assert statistics.n_clocks_off == 1


@pytest.mark.parametrize(
    "topic", ["tele/plug/SENSOR", "gap/home/other", "x/home/reading", "gap/a/b/reading", "reading"]
)
def test_link_ignores_topics_of_an_earlier_configuration(topic: str) -> None:
    waiting = Waiting()
    link, statistics = link_over(waiting)
    waiting.received = [ReceivedMessage(Publication(topic, b"1", 1, False, False, b"", 1), 0.0, NOW_MS)]
    (message,) = link.receive_messages(256, 0)
    assert (message.reading, message.problem, statistics.n_not_readings) == (None, None, 1)


class RaisingRequestTopic:
    """A request topic that raises in every method."""

    def receive(self, _publication: Publication) -> None:
        raise ZeroDivisionError

    def process_pending(self) -> bool:
        raise MemoryError


def test_link_rejects_messages_that_raise() -> None:
    """Limits that are none raise for whichever reading is compared with them; an aside raises by itself."""
    waiting, no_number = Waiting(), cast("float", None)
    link, statistics = link_over(waiting, Limits(no_number, no_number))
    link.listen("request", RaisingRequestTopic())
    waiting.put("home", NOW_MS // MINUTE_MS, 0.0)
    waiting.received.append(ReceivedMessage(Publication("request", b"{}", 2, False, False, b"", 2), 0.0, NOW_MS))
    waiting.received.append(
        ReceivedMessage(Publication("gap/home/reading", b"on", 3, False, False, b"", 2), 0.0, NOW_MS)
    )
    with capture_logs() as logs:
        incoming = link.receive_messages(256, 0)
    reasons = [None if message.problem is None else message.problem.reason for message in incoming]
    assert reasons == ["internal_error", "internal_error", "not_json"]
    assert statistics.internal_errors == {"message": 2, "request": 1}
    assert [line["what"] for line in logs[:2]] == ["gap/home/reading", "request"]
