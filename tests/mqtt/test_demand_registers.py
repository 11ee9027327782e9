"""The meters' own registers: their topics, paths and units, and the time at which they are used."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.billing.registers import Register, RunningRegister
from gapcast.core.errors import PayloadError
from gapcast.core.readings.reading import Limits
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.requests.demand_registers import RegisterReader, RegisterSource
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.topics import DeviceTopic
from gapcast.service.ports.broker_link import IncomingMessage

NOW_MS = 1_767_268_800_000
RUNNING, PEAK, JSON = "p1/sensor/demand/state", "p1/sensor/peak/state", "p1/home/json"


class Changes:
    """Records the values of registers, and the messages with unusable ones."""

    def __init__(self) -> None:
        self.running: list[tuple[str, float, int]] = []
        self.peaks: list[tuple[str, float]] = []
        self.rejected: list[PayloadError] = []

    def record_running_register(self, device: str, kw: float, instant_ms: int) -> None:
        self.running.append((device, kw, instant_ms))

    def record_peak_register(self, device: str, kw: float) -> None:
        self.peaks.append((device, kw))

    def reject(self, message: IncomingMessage, problem: PayloadError) -> None:
        assert message.problem is problem
        self.rejected.append(problem)


def reader_of(changes: Changes, *of_readings: str) -> RegisterReader:
    of_all = DeviceTopic.parse("x", "p1/{device}/json")
    sources = [
        RegisterSource(Register.RUNNING, RUNNING, "home", (), 1.0),
        RegisterSource(Register.MONTH_PEAK, PEAK, "home", (), 1.0),
        RegisterSource(Register.RUNNING, of_all, "", ("active_power_average_w",), 0.001),
        RegisterSource(Register.MONTH_PEAK, of_all, "", ("peak", "w"), 0.001),
    ]
    return RegisterReader(sources, of_readings, Limits(), changes, changes.reject)


def message(topic: str, payload: bytes, *, retained: bool = False, redelivered: bool = False) -> ReceivedMessage:
    return ReceivedMessage(Publication(topic, payload, 1, retained, redelivered, b"", len(payload)), 0.5, NOW_MS)


def test_registers_on_topics_of_their_own_are_numbers() -> None:
    changes = Changes()
    reader = reader_of(changes)
    for topic, payload in ((RUNNING, b"0.512"), (PEAK, b"03.214"), (RUNNING, b"unavailable"), (PEAK, b"")):
        found = reader.read(message(topic, payload))
        assert found is not None
        assert (found.reading, found.problem) == (None, None)
    assert (changes.running, changes.peaks) == ([("home", 0.512, NOW_MS)], [("home", 3.214)])


def test_registers_in_one_document_are_read_by_their_paths() -> None:
    changes = Changes()
    document = b'{"active_power_average_w": 512, "peak": {"w": 3214}, "active_power_w": 600}'
    assert reader_of(changes).read(message(JSON, document)) is not None
    assert (changes.running, changes.peaks) == ([("home", 0.512, NOW_MS)], [("home", 3.214)])


@pytest.mark.parametrize("payload", [b"", b"{}", b"5", b'{"active_power_average_w": null, "peak": {}}'])
def test_document_without_registers_changes_nothing(payload: bytes) -> None:
    changes = Changes()
    found = reader_of(changes).read(message(JSON, payload))
    assert found is not None
    assert (found.problem, changes.running, changes.peaks) == (None, [], [])


@pytest.mark.parametrize(("retained", "redelivered"), [(True, False), (False, True)])
def test_register_of_unknown_age_changes_nothing(retained: bool, redelivered: bool) -> None:
    changes = Changes()
    for topic in (RUNNING, PEAK):
        reader_of(changes).read(message(topic, b"5", retained=retained, redelivered=redelivered))
    assert (changes.running, changes.peaks) == ([], [])


@pytest.mark.parametrize("of_readings", ["p1/+/json", "p1/home/json", "+/home/+"])
def test_message_with_readings_is_read_on(of_readings: str) -> None:
    changes = Changes()
    reader = reader_of(changes, "p1/json", "p1/barn/json", of_readings)
    assert reader.read(message(JSON, b'{"active_power_average_w": 512}')) is None
    assert reader.read(message(JSON, b'{"active_power_average_w": -1}')) is None
    assert changes.running == [("home", 0.512, NOW_MS)]
    assert [problem.reason for problem in changes.rejected] == ["out_of_range"]


@pytest.mark.parametrize(
    ("topic", "payload", "reason", "words"),
    [
        (RUNNING, b"512", "out_of_range", "a register of 512 (512 kW) is outside 0 to 100 kW: check the unit"),
        (PEAK, b"-1", "out_of_range", "a register of -1 (-1 kW) is outside 0 to 100 kW"),
        (PEAK, b"high", "not_a_number", "the register must be a number, not 'high'"),
        (JSON, b"{", "not_json", "the payload is not JSON"),
        (JSON, b'{"peak": {"w": [5]}}', "not_a_number", "peak.w must be a number, not [5]"),
        (JSON, b'{"peak": {"w": 9223372036854775808}}', "out_of_range", "peak.w is out of range: 9223372036854775808"),
        (RUNNING, b"1" * 65_537, "too_large", "the payload has 65537 bytes; at most 65536 are read"),
        ("p1/no device/json", b'{"peak": {"w": 5}}', "bad_device", "'no device' cannot name a device"),
    ],
)  # fmt: skip
def test_unusable_register_is_a_problem(topic: str, payload: bytes, reason: str, words: str) -> None:
    found = reader_of(Changes()).read(message(topic, payload))
    assert found is not None
    assert found.problem is not None
    assert (found.problem.reason, words in found.problem.detail) == (reason, True), found.problem.detail


def test_document_with_an_unusable_register_changes_nothing() -> None:
    changes = Changes()
    found = reader_of(changes).read(message(JSON, b'{"active_power_average_w": 512, "peak": {"w": -1}}'))
    assert found is not None
    assert found.problem is not None
    assert (changes.running, changes.peaks) == ([], [])


def test_other_topics_are_not_taken() -> None:
    assert reader_of(Changes()).read(message("p1/home/other", b"5")) is None


@pytest.mark.parametrize(
    ("came_min", "observed_minute", "so_far_kw"),
    [
        (335.0, 334, 1.5),  # 0.5 kW of the whole window in a third of it
        (335.5, 335, 0.5 * 15 / 5.5),
        (336.0, 334, 0.5 * 15 / 6),
        (336.1, 334, None),  # more than a minute after the reading's
        (335.4, 335, None),  # it lacks most of the reading's minute
        (330.5, 330, None),  # too early in its window to divide by
        (345.0, 344, None),  # the next window
        (330.0, 329, None),
    ],
)
def test_running_register_is_used_in_its_own_minute(
    came_min: float, observed_minute: int, so_far_kw: float | None
) -> None:
    found = RunningRegister(0.5, int(came_min * 60_000)).so_far_kw(330, 345, observed_minute)
    assert found == (None if so_far_kw is None else pytest.approx(so_far_kw))


@given(st.binary(max_size=40), st.sampled_from((RUNNING, PEAK, JSON)))
def test_any_payload_is_a_register_or_a_problem(payload: bytes, topic: str) -> None:
    changes = Changes()
    found = reader_of(changes).read(message(topic, payload))
    assert found is not None
    assert found.problem is None or not (changes.peaks or changes.running)
    assert all(0 <= kw <= 100 for _, kw, *_ in changes.running)
