"""The link between the service and a session: what it reads, publishes, rejects and acknowledges."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import cast

import pytest
from structlog.testing import capture_logs

from gapcast.app.broker.broker import sources_of
from gapcast.config.settings import Settings
from gapcast.core.billing.changes import MonthPeak
from gapcast.core.errors import PayloadError
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.plans.plan import LoadPlan
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.time_grid import MINUTE_MS
from gapcast.mqtt.discovery.discovery import Discovery
from gapcast.mqtt.link import MqttLink
from gapcast.mqtt.message_reader import IntakeOptions
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.sources.sources import SourceReader
from gapcast.mqtt.topics import DemandTopics, DeviceTopic, Topics
from gapcast.service.ports.broker_link import IncomingMessage

NOW_MS = 1_767_268_800_000


class Waiting:
    """Replaces a session, with given received messages."""

    def __init__(self) -> None:
        self.received: list[ReceivedMessage] = []
        self.published: list[tuple[str, bytes, bool]] = []
        self.acknowledged: list[tuple[int, int, int]] = []
        self.timeouts_s: list[float] = []
        self.is_backlogged = False
        self.connected = True

    def receive_messages(self, n_at_most: int, timeout_s: float) -> Sequence[ReceivedMessage]:
        self.timeouts_s.append(timeout_s)
        taken, self.received = self.received[:n_at_most], self.received[n_at_most:]
        return taken

    newest_unconfirmed = 77

    def publish(self, topic: bytes, payload: bytes, *, retain: bool = False, **_: object) -> int:
        self.published.append((topic.decode(), payload, retain))
        return 0

    def acknowledge_after(self, publication: Publication, message_id: int, batch: int) -> None:
        self.acknowledged.append((publication.packet_id, message_id, batch))

    def put(self, device: str, minute: int, at_s: float) -> None:
        payload = b'{"ts": %d, "gap_kw": 1.0}' % (minute * 60)
        publication = Publication(f"gap/{device}/reading", payload, 1, False, False, b"", len(payload))
        self.received.append(ReceivedMessage(publication, at_s, NOW_MS + round(at_s * 1_000)))


def link_over(
    waiting: Waiting,
    limits: Limits | None = None,
    sources: Sequence[dict[str, str]] = (),
    *,
    retain: bool = False,
    now_ms: Callable[[], int] = lambda: NOW_MS,
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
    reader = SourceReader(configured, Limits(), (), 100, statistics, now_ms) if configured else None
    intake = IntakeOptions(reader, statistics=statistics)
    return MqttLink(session, topics, limits or Limits(), retain_forecasts=retain, intake=intake), statistics


@pytest.mark.parametrize("n_devices", [1, 10, 256])
def test_link_reports_clock_offsets_in_order_for_any_batch(n_devices: int) -> None:
    waiting = Waiting()
    link, statistics = link_over(waiting)
    this_minute = NOW_MS // MINUTE_MS
    with capture_logs() as logs:
        for minute in itertools.takewhile(lambda _: statistics.n_clock_offsets < n_devices, range(200)):
            for i in range(n_devices):
                waiting.put(f"d{i}", this_minute + minute + 120, minute * 60.0)
            assert len(link.receive_messages(256, 0)) == n_devices
    assert statistics.n_clock_offsets == n_devices
    assert sorted(line["device"] for line in logs) == sorted(f"d{i}" for i in range(n_devices))
    assert {(line["event"], line["ahead_min"]) for line in logs} == {("clock.wrong", 120)}


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
    assert [(line["event"], line["device"]) for line in logs] == [("clock.wrong", "set"), ("clock.right", "set")]
    assert statistics.n_clock_offsets == 0


@pytest.mark.parametrize("sources", [[], [{"topic": "gap/{device}/reading", "format": "gapcast"}]])
def test_link_forgets_the_clock_of_a_forgotten_device(sources: list[dict[str, str]]) -> None:
    waiting = Waiting()
    link, statistics = link_over(waiting, sources=sources)
    for minute in range(2):
        for device, ahead_min in (("left", 120), ("stays", 120), ("right", 0)):
            waiting.put(device, NOW_MS // MINUTE_MS + minute + ahead_min, minute * 60.0)
        link.receive_messages(256, 0)
    assert statistics.clock_offsets_min == {"left": 120, "stays": 120}
    link.forget("left")
    assert (statistics.clock_offsets_min, statistics.n_clock_offsets) == ({"stays": 120}, 1)


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


class NoDemandChanges:
    """Demand changes of a gateway without a limit."""

    def set_demand_limit(self, _device: str, _limit_kw: float | None) -> None:
        raise PayloadError("no_demand", "there is no limit")

    def correct_month_peak(self, _device: str, _peak: MonthPeak, *, is_retained: bool) -> None:
        raise AssertionError(is_retained)


def test_link_counts_rejected_commands_apart_from_readings() -> None:
    waiting = Waiting()
    link, statistics = link_over(waiting)
    link.listen_for_limits(NoDemandChanges())
    for topic in ("gap/home/limit", "gap/home/reading"):
        waiting.received.append(ReceivedMessage(Publication(topic, b"on", 3, False, False, b"", 2), 0.0, NOW_MS))
    for message in link.receive_messages(256, 0):
        assert message.problem is not None
        link.reject(message, message.problem)
    assert (len(waiting.published), statistics.n_commands_rejected) == (2, 1)
    assert statistics.last_rejection.startswith("the payload is not JSON")


def test_link_rejects_messages_that_raise() -> None:
    """Invalid limits raise an error for any reading that is compared with them; other messages raise by themselves."""
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


@pytest.mark.parametrize(
    ("packet_id", "redelivered", "forecast_id", "acknowledged"),
    [
        (5, False, 3, [(5, 3, 9)]),
        (5, False, 0, [(5, 0, 9)]),
        (5, True, 3, [(5, 3, 9)]),
        (5, True, 0, [(5, Waiting.newest_unconfirmed, 9)]),  # it may repeat a reading whose forecast is on its way
        (0, False, 3, []),  # at QoS 0
    ],
)
def test_link_acknowledges_a_message_after_what_it_waits_for(
    packet_id: int, redelivered: bool, forecast_id: int, acknowledged: list[tuple[int, int, int]]
) -> None:
    waiting = Waiting()
    link, _ = link_over(waiting)
    publication = Publication("gap/home/reading", b"1", packet_id, redelivered, False, b"", 1)
    link.acknowledge_after(IncomingMessage(None, None, 0.0, publication), forecast_id, 9)
    assert waiting.acknowledged == acknowledged


@pytest.mark.parametrize(
    ("retain", "cleared"),
    [(False, ["availability", "scores"]), (True, ["availability", "scores", "forecast", "outlook", "demand"])],
)
def test_link_clears_what_is_retained_about_a_forgotten_device(retain: bool, cleared: list[str]) -> None:
    waiting = Waiting()
    link_over(waiting, retain=retain)[0].forget("home")
    assert waiting.published == [(f"gap/home/{one}", b"", True) for one in cleared]


class Announced:
    """Publishes each device to Home Assistant as a message."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    def publish_device(self, device: str) -> None:
        self._waiting.publish(b"discovery", device.encode(), retain=True)


def test_link_publishes_availability_after_the_discovery_of_the_device() -> None:
    waiting = Waiting()
    link, _ = link_over(waiting)
    link.publish_availability("home", online=False)
    link.discovery = cast("Discovery", Announced(waiting))
    link.publish_availability("home", online=True)
    link.publish_scores("home", {"n": 1})
    link.publish_event({"event": "drift"})
    assert waiting.published == [
        ("gap/home/availability", b"offline", True),
        ("discovery", b"home", True),
        ("gap/home/availability", b"online", True),
        ("gap/home/scores", b'{"n":1}', True),
        ("events", b'{"event": "drift"}', False),
    ]


@pytest.mark.parametrize(
    ("sources", "topic"), [([], "gap/home/reading"), ([{"topic": "meter/{device}", "value": "kw"}], "meter/home")]
)
def test_link_rejects_a_held_reading_with_its_topic(sources: list[dict[str, str]], topic: str) -> None:
    waiting = Waiting()
    link, _ = link_over(waiting, sources=sources)
    waiting.received = [ReceivedMessage(Publication(topic, b'{"kw": 1}', 1, False, False, b"", 9), 0.0, NOW_MS)]
    link.receive_messages(256, 0)
    link.reject(Reading("home", NOW_MS // MINUTE_MS, 1.5, measured={"voltage_v": 230.0}), PayloadError("time_jump", ""))
    ((rejected, payload, retain),) = waiting.published
    document = json.loads(payload)
    assert (rejected, document["topic"], document["reason"], retain) == ("rejected", topic, "time_jump", False)
    assert json.loads(document["payload"]) == {"ts": "2026-01-01T12:00:00Z", "gap_kw": 1.5, "voltage_v": 230.0}


class PendingRequests:
    """A request topic with one more request than are processed with a batch."""

    def receive(self, _publication: Publication) -> None:
        """Queue nothing."""

    def process_pending(self) -> bool:
        return True


def test_link_waits_for_messages_unless_it_has_work() -> None:
    """Work is a due minute, if the service takes readings, or a waiting request."""
    waiting, clock_ms = Waiting(), [NOW_MS]
    source = {"topic": "meter/{device}", "value": "kw", "unit": "kW"}
    link, _ = link_over(waiting, sources=[source], now_ms=lambda: clock_ms[0])
    waiting.received = [ReceivedMessage(Publication("meter/a", b'{"kw": 1}', 1, False, False, b"", 9), 0.0, NOW_MS)]
    link.receive_messages(256, 1.0)
    clock_ms[0] += 90_000
    assert link.receive_messages(0, 2.0) == []
    waiting.is_backlogged = True
    assert link.receive_messages(256, 3.0) == []
    waiting.is_backlogged = False
    (closed,) = link.receive_messages(256, 4.0)
    assert closed.reading is not None
    link.listen("request", PendingRequests())
    link.receive_messages(256, 5.0)
    link.receive_messages(256, 6.0)
    assert waiting.timeouts_s == [1.0, 2.0, 3.0, 0.0, 5.0, 0.0]


class Changed:
    """Records the changes of plans, limits and months' peaks."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str, object]] = []

    def replace_plan(self, device: str, plan: LoadPlan) -> None:
        self.changes.append(("plan", device, [load.kw for load in plan.loads]))

    def set_demand_limit(self, device: str, limit_kw: float | None) -> None:
        self.changes.append(("limit", device, limit_kw))

    def correct_month_peak(self, device: str, peak: MonthPeak, *, is_retained: bool) -> None:
        self.changes.append(("peak", device, (peak.kw, is_retained)))


def test_link_makes_the_changes_of_commands_each_on_its_topic() -> None:
    """A plan that begins with its message needs a message that was sent just now."""
    waiting, changed = Waiting(), Changed()
    link, _ = link_over(waiting)
    link.listen_for_plans(changed.replace_plan)
    link.listen_for_limits(changed)
    plan = b'[{"kw": 2.5, "minutes": 60}]'
    for name, payload, is_retained in (("plan", plan, False), ("plan", plan, True), ("limit", b"3", True),
                                       ("peak", b"4", False), ("plan", b"", True)):  # fmt: skip
        publication = Publication(f"gap/home/{name}", payload, 1, False, is_retained, b"", len(payload))
        waiting.received.append(ReceivedMessage(publication, 0.0, NOW_MS))
    incoming = link.receive_messages(256, 0)
    reasons = [None if message.problem is None else message.problem.reason for message in incoming]
    assert reasons == [None, "unknown_age", None, None, None]
    assert changed.changes == [
        ("plan", "home", [2.5]), ("limit", "home", 3.0), ("peak", "home", (4.0, False)), ("plan", "home", [])
    ]  # fmt: skip
