"""Commands over MQTT: a device's limit and its month's peak, and errors of messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.billing.changes import MonthPeak
from gapcast.core.errors import PayloadError
from gapcast.core.readings.reading import Limits
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.requests.commands import Commands, limit_command, month_peak_command
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.topics import DeviceTopic

NOW_MS = 1_767_268_800_000
LIMIT, PEAK = "gap/home/demand/limit", "gap/home/demand/month_peak"


class Changes:
    """Records the changes; rejects changes of the device ``free``."""

    def __init__(self) -> None:
        self.limits: list[tuple[str, float | None]] = []
        self.peaks: list[tuple[str, MonthPeak]] = []
        self.n_retained = 0

    def set_demand_limit(self, device: str, limit_kw: float | None) -> None:
        if device == "free":
            raise PayloadError("no_demand", "it has no limit")
        self.limits.append((device, limit_kw))

    def correct_month_peak(self, device: str, peak: MonthPeak, *, is_retained: bool) -> None:
        self.peaks.append((device, peak))
        self.n_retained += is_retained


def commands_of(changes: Changes) -> Commands:
    commands = Commands()
    commands.add(DeviceTopic.parse("x", "gap/{device}/demand/limit"), limit_command(Limits(), changes))
    commands.add(DeviceTopic.parse("x", "gap/{device}/demand/month_peak"), month_peak_command(Limits(), changes))
    return commands


def message(topic: str, payload: bytes, n_bytes: int | None = None) -> ReceivedMessage:
    n_bytes = len(payload) if n_bytes is None else n_bytes
    return ReceivedMessage(Publication(topic, payload, 1, False, False, b"", n_bytes), 0.5, NOW_MS)


@pytest.mark.parametrize(
    ("payload", "limit_kw"),
    [
        (b"2.5", 2.5),
        (b"100", 100.0),
        (b'{"kw": 0.25}', 0.25),
        (b"", None),
        (b"null", None),
        (b'{"kw": null}', None),
    ],
)
def test_limit_is_set_or_restored(payload: bytes, limit_kw: float | None) -> None:
    changes = Changes()
    received = message(LIMIT, payload)
    found = commands_of(changes).handle(received)
    assert (found.reading, found.problem, found.token) == (None, None, received.publication)
    assert changes.limits == [("home", limit_kw)]


@pytest.mark.parametrize(
    ("payload", "peak"),
    [
        (b"3.2", MonthPeak(3.2, None)),
        (b'{"kw": 3.2}', MonthPeak(3.2, None)),
        (b"0", MonthPeak(0.0, None)),
        (b'{"kw": 3.2, "at": "2026-11-03T18:15:00+01:00"}', MonthPeak(3.2, 29_895_435)),
    ],
)
def test_month_peak_is_corrected(payload: bytes, peak: MonthPeak) -> None:
    changes = Changes()
    assert commands_of(changes).handle(message(PEAK, payload)).problem is None
    assert changes.peaks == [("home", peak)]


@pytest.mark.parametrize(("retained", "redelivered"), [(True, False), (False, True)])
def test_month_peak_of_unknown_age_needs_its_time(retained: bool, redelivered: bool) -> None:
    changes = Changes()
    commands = commands_of(changes)
    for payload in (b"3.2", b'{"kw": 3.2, "at": "2026-11-03T18:15:00+01:00"}'):
        publication = Publication(PEAK, payload, 1, redelivered, retained, b"", len(payload))
        problem = commands.handle(ReceivedMessage(publication, 0.5, NOW_MS)).problem
        assert (problem is None) == (b"at" in payload)
        assert problem is None or problem.reason == "unknown_age"
    assert changes.peaks == [("home", MonthPeak(3.2, 29_895_435))]
    assert changes.n_retained == retained


def test_empty_month_peak_changes_nothing() -> None:
    changes = Changes()
    assert commands_of(changes).handle(message(PEAK, b"")).problem is None
    assert changes.peaks == []


@pytest.mark.parametrize(
    ("topic", "payload", "reason", "words"),
    [
        (LIMIT, b"0", "out_of_range", "not 0 kW: send null for the configured one"),
        (LIMIT, b"-1", "out_of_range", "not -1 kW: send null"),
        (LIMIT, b"2500", "out_of_range", "(limits.max_kw), not 2500 kW: if these are watts, send kW (2.5)"),
        (LIMIT, b"200000", "out_of_range", "must be 0.01 to 100 kW (limits.max_kw), not 200000 kW"),
        (LIMIT, b'"high"', "not_a_number", "the limit: power must be a number in kW, not 'high'"),
        (LIMIT, b"[2.5]", "not_a_number", "the limit: power must be a number in kW, not [2.5]"),
        (LIMIT, b"NaN", "not_finite", "NaN and Infinity are not JSON"),
        (LIMIT, b"{", "not_json", "the payload is not JSON"),
        (LIMIT, b"{}", "no_value", 'the limit has no "kw": send 2.5, or null'),
        (LIMIT, b'{"kw": 2, "unit": "W"}', "bad_request", "the limit has the unknown key 'unit'"),
        (LIMIT, b'{"kw": 2, "": "W"}', "bad_request", "the limit has the unknown key ''"),
        (PEAK, b"-0.5", "out_of_range", "the month's peak must be 0 to 100 kW (limits.max_kw), not -0.5 kW"),
        (PEAK, b"null", "not_a_number", "the month's peak: power must be a number in kW, not null"),
        (PEAK, b'{"kw": 3.2, "at": "yesterday"}', "bad_time", "at: 'yesterday' is not RFC 3339: give the offset"),
        (PEAK, b'{"kw": 3.2, "at": []}', "bad_time", "at: must be RFC 3339 or an epoch number, not []"),
        (PEAK, b'{"kw": 3.2, "at": 5}', "bad_time", "at: 5 is before 2000"),
        (PEAK, b"Infinity", "not_finite", '; send 3.2 for the running month, or {"kw": 3.2, "at": '),
        (LIMIT, b"month_peak", "not_json", "; send 2.5, or null for the configured one"),
        (PEAK, b'{"at": "2026-11-03T18:15:00+01:00"}', "no_value", 'the month\'s peak has no "kw"'),
        ("gap/no device/demand/limit", b"2.5", "bad_device", "'no device' cannot name a device"),
        ("gap/free/demand/limit", b"2.5", "no_demand", "it has no limit"),
    ],
)  # fmt: skip
def test_unusable_change_is_a_problem_and_changes_nothing(topic: str, payload: bytes, reason: str, words: str) -> None:
    changes = Changes()
    problem = commands_of(changes).handle(message(topic, payload)).problem
    assert problem is not None
    assert (problem.reason, words in problem.detail) == (reason, True), problem.detail
    assert (changes.limits, changes.peaks) == ([], [])


@pytest.mark.parametrize(("topic", "what"), [(LIMIT, "limit"), (PEAK, "month's peak")])
def test_change_of_too_many_bytes_is_a_problem(topic: str, what: str) -> None:
    problem = commands_of(Changes()).handle(message(topic, b" " * 10, 70_000)).problem
    assert problem is not None
    assert (problem.reason, problem.detail) == ("too_large", f"the {what} has 70000 bytes; at most 65536 are read")


def test_other_topics_are_no_commands() -> None:
    commands = commands_of(Changes())
    assert [commands.handles(topic) for topic in (LIMIT, PEAK, "gap/home/demand", "gap/a/b/demand/limit")] == [
        True, True, False, False,
    ]  # fmt: skip


@given(st.binary(max_size=40), st.sampled_from((LIMIT, PEAK)))
def test_any_payload_is_a_change_or_a_problem(payload: bytes, topic: str) -> None:
    changes = Changes()
    problem = commands_of(changes).handle(message(topic, payload)).problem
    n_changes = len(changes.limits) + len(changes.peaks)
    assert n_changes == (problem is None and (topic == LIMIT or bool(payload)))
    assert all(kw is None or 0 < kw <= 100 for _, kw in changes.limits)
    assert all(0 <= peak.kw <= 100 for _, peak in changes.peaks)
