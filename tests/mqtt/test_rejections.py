"""The rejected topic has a rate limit, and counts the messages that it omits."""

from __future__ import annotations

import json

from structlog.testing import capture_logs

from gapcast.core.errors import PayloadError
from gapcast.core.monitoring.statistics import Statistics
from gapcast.mqtt.payloads import OWN_ECHO
from gapcast.mqtt.rejections import Rejections


class Published:
    """Collects the published messages."""

    def __init__(self) -> None:
        self.documents: list[dict[str, object]] = []

    def publish(self, topic: bytes, payload: bytes) -> int:
        self.documents.append(json.loads(payload))
        return 0


def test_rejections_over_the_rate_are_counted_in_the_next() -> None:
    now_s, published, statistics = 100.0, Published(), Statistics()
    rejections = Rejections(published, "gapcast/gw/rejected", 2, statistics, lambda: now_s)
    problem = PayloadError("not_json", "the payload is not JSON")
    for _ in range(400):
        rejections.publish("gap/home/reading", b"on", problem)
    assert (len(published.documents), statistics.n_rejections_omitted) == (20, 380)
    now_s += 0.5
    rejections.publish("gap/home/reading", b"on", problem)
    last = published.documents[-1]
    assert list(last) == ["topic", "reason", "detail", "payload", "omitted"]
    assert last["omitted"] == 380


def test_rejections_are_logged_once_an_hour_by_reason() -> None:
    now_s = 0.0
    rejections = Rejections(Published(), "gapcast/gw/rejected", 2, Statistics(), lambda: now_s)
    with capture_logs() as logs:
        for now_s in (0.0, 10.0, 3_599.0, 3_601.0, 3_700.0):
            rejections.publish(f"gap/m{now_s:.0f}/reading", b"on", PayloadError("not_json", f"at {now_s:.0f}"))
        rejections.publish("gap/home/reading", b"9e9", PayloadError("out_of_range", "9e9 kW"))
    found = [(line["reason"], line["n_rejected"], line["topic"], line["problem"]) for line in logs]
    assert found == [
        ("not_json", 1, "gap/m0/reading", "at 0"),
        ("not_json", 3, "gap/m3601/reading", "at 3601"),
        ("out_of_range", 1, "gap/home/reading", "9e9 kW"),
    ]
    assert {(line["event"], line["log_level"]) for line in logs} == {("messages.rejected", "warning")}


def test_rejected_command_is_logged_beside_rejected_readings() -> None:
    """A meter that sends garbage must not hide that an automation's command was rejected."""
    rejections = Rejections(Published(), "gapcast/gw/rejected", 2, Statistics(), lambda: 0.0)
    problem = PayloadError("not_json", "the payload is not JSON")
    with capture_logs() as logs:
        for _ in range(2):
            rejections.publish("gap/home/reading", b"on", problem)
            rejections.publish("gap/home/demand/limit", b"on", problem, is_command=True)
    assert [line["topic"] for line in logs] == ["gap/home/reading", "gap/home/demand/limit"]


def test_rejections_count_commands_apart_from_readings() -> None:
    statistics = Statistics()
    rejections = Rejections(Published(), "gapcast/gw/rejected", 2, statistics, lambda: 0.0)
    rejections.publish("gap/home/reading", b"on", PayloadError("not_json", "the payload is not JSON"))
    rejections.publish("gap/home/demand/limit", b"9e9", PayloadError("out_of_range", "9e9 kW"), is_command=True)
    assert (statistics.n_commands_rejected, statistics.last_rejection) == (1, "the payload is not JSON")


def test_rejections_log_shortened_topics() -> None:
    """A topic has up to 65,535 bytes; a client must not fill the log with it."""
    rejections = Rejections(Published(), "gapcast/gw/rejected", 2, Statistics(), lambda: 0.0)
    topic = "gap/" + "a" * 1_000
    with capture_logs() as logs:
        for reason in (OWN_ECHO, "not_json"):
            rejections.publish(topic, b"on", PayloadError(reason, "a problem"))
    assert [(line["event"], line["topic"]) for line in logs] == [
        ("source.own_echo", topic[:120]),
        ("messages.rejected", topic[:120]),
    ]
