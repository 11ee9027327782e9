"""The time before the first forecast: what is listened to, what was received, and when a forecast is expected."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gapcast.app.broker.broker import described_subscriptions
from gapcast.app.intake_log import IntakeLog
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine
from gapcast.core.meters.minutes import GRACE_MS, HeldValue, MinuteMeans
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.samples import SampleCount
from gapcast.core.time_grid import MINUTE_MS
from gapcast.predictors.baselines import Persistence
from gapcast.service.ports.intake import IntakeStatus, Subscriptions, WaitingDevice, intake_status
from tests.support.clocks import ManualClock

TELE = Subscriptions("broker:1883", ("tele/+/SENSOR",), ("tasmota",), "mosquitto_sub …")
#: 2026-01-01T11:17:00Z
NOW = 29_454_437


def status(
    *samples: SampleCount,
    engine: Engine | None = None,
    problem: str = "",
    n_ignored: int = 0,
    n_rejected: int = 0,
    n_commands: int = 0,
    reason: str = "",
) -> IntakeStatus:
    statistics = Statistics(n_not_readings=n_ignored, n_commands_rejected=n_commands, last_rejection=reason)
    statistics.readings["rejected"] = n_rejected + n_commands
    statistics.readings["accepted"] = 0 if engine is None else len(list(engine.buffers))
    return intake_status(TELE, problem, statistics, samples, engine or Engine(Persistence()), NOW * MINUTE_MS)


def engine_after(*readings: Reading) -> Engine:
    engine = Engine(Persistence())
    accepted = engine.accept(list(readings))
    engine.forecast(accepted, NOW * MINUTE_MS)
    return engine


@pytest.mark.parametrize(
    ("found", "received"),
    [
        (status(), "no message yet"),
        (status(SampleCount("wohnung", 12, None)), "12 samples from wohnung"),
        (status(SampleCount("a", 1, None), SampleCount("b", 2, None)), "1 sample from a, 2 samples from b"),
        (status(SampleCount("a", 1, None, "reading")), "1 reading from a"),
        (status(n_ignored=1, n_rejected=2), "1 message without a power, 2 rejected"),
        (status(n_rejected=2, reason="412 kW is too much"), "2 rejected; the last one rejected: 412 kW is too much"),
        (status(n_rejected=1, n_commands=2), "1 rejected, 2 commands rejected"),
        (status(engine=engine_after(Reading("home", NOW - 1, 1.0))), "1 reading from home"),
        (status(*(SampleCount(str(i), 1, None) for i in range(5))),
         "1 sample from 0, 1 sample from 1, 1 sample from 2, further devices"),
        (status(engine=engine_after(Reading("home", NOW - 1, 1.0), Reading("home", NOW, 1.0)), n_ignored=9),
         "forecasts of 1 device"),
    ],
)  # fmt: skip
def test_intake_sentence_lists_what_was_received(found: IntakeStatus, received: str) -> None:
    assert found.sentence() == f"Listening to tele/+/SENSOR at broker:1883: {received}"
    assert found.has_messages is (received != "no message yet")


def test_intake_rejected_command_is_no_message_of_a_meter() -> None:
    found = status(n_commands=1, n_rejected=0)
    assert (found.n_rejected, found.received, found.has_messages) == (0, "1 command rejected", False)


def test_intake_sentence_without_a_broker_is_the_problem() -> None:
    assert status(problem="Broker not reachable at broker:1883").sentence() == "Broker not reachable at broker:1883"


@pytest.mark.parametrize(
    ("count", "readings", "in_min"),
    [
        (SampleCount("home", 3, (NOW + 1) * MINUTE_MS), (), 2),  # this minute, and the next
        (SampleCount("home", 9, (NOW + 1) * MINUTE_MS), (Reading("home", NOW - 1, 1.0),), 1),
        (SampleCount("home", 9, (NOW + 1) * MINUTE_MS), (Reading("home", NOW - 6, 1.0),), 1),
        (SampleCount("home", 9, (NOW + 1) * MINUTE_MS), (Reading("home", NOW - 7, 1.0),), 2),  # the window restarts
        (SampleCount("home", 3, None), (), None),
        (None, (Reading("home", NOW - 1, 1.0),), 1),
        (None, (Reading("home", NOW - 90_000, 1.0),), None),  # a replay
    ],
)
def test_first_forecast_is_expected_with_the_second_reading(
    count: SampleCount | None, readings: tuple[Reading, ...], in_min: int | None
) -> None:
    found = status(*[count] if count else [], engine=engine_after(*readings))
    assert found.forecast_at_ms == (None if in_min is None else (NOW + in_min) * MINUTE_MS)


@given(start_ms=st.integers(0, MINUTE_MS - 1), every_ms=st.integers(1_000, 30_000))
def test_second_mean_arrives_when_it_is_expected(start_ms: int, every_ms: int) -> None:
    means = MinuteMeans(HeldValue(every_ms, 2 * MINUTE_MS), 1)
    expected_ms, at_ms, closed = 0.0, start_ms, 0
    while True:
        means.add(at_ms, (1.0,))
        closed += len(means.take_closed())
        expected_ms = expected_ms or means.next_mean_due_ms + MINUTE_MS
        if closed >= 2:
            break
        at_ms += every_ms
    assert expected_ms - GRACE_MS <= at_ms <= expected_ms + every_ms


def test_described_subscriptions_have_the_configured_address_and_topics() -> None:
    def described(**sections: object) -> Subscriptions:
        return described_subscriptions(Settings.model_validate(sections))

    native = described(mqtt={"host": "pi", "port": 1884, "username": "me"}, topics={"reading": "a b/{device}/in"})
    assert (native.address, native.topics, native.sources) == ("pi:1884", ("a b/+/in",), ())
    assert native.command == "mosquitto_pub -h pi -p 1884 -u USER -P PASSWORD -q 1 -t 'a b/home/in' -m 1.234"
    assert "me" not in native.command.split()
    sources = described(mqtt={"tls": {"enabled": True}}, sources=[{"preset": "tasmota"}, {"preset": "shelly-gen1"}])
    assert sources.sources == ("tasmota", "shelly-gen1")
    assert sources.command == (
        "mosquitto_sub -h localhost -p 1883 --tls-use-os-certs -v -t tele/+/SENSOR -t shellies/+/emeter/+/power"
    )
    assert described(mqtt={"transport": "websockets"}).command == ""


@pytest.mark.parametrize(
    ("tls", "options"),
    [
        ({"certificate_path": "me.pem", "key_path": "me.key"}, "--tls-use-os-certs --cert me.pem --key me.key"),
        ({"ca_path": "ca.pem", "certificate_path": "both.pem"}, "--cafile ca.pem --cert both.pem --key both.pem"),
        ({"alpn": ["mqtt", "x-mqtt"]}, "--tls-use-os-certs --tls-alpn mqtt"),
    ],
)
def test_described_command_connects_with_the_tls_settings(tls: dict[str, object], options: str) -> None:
    settings = Settings.model_validate({"mqtt": {"tls": {"enabled": True, **tls}}, "sources": [{"preset": "tasmota"}]})
    command = described_subscriptions(settings).command
    assert command == f"mosquitto_sub -h localhost -p 1883 {options} -v -t tele/+/SENSOR"


def test_described_command_with_a_server_name_is_empty() -> None:
    """The mosquitto clients check the certificate for the name in ``-h`` only."""
    settings = Settings.model_validate({"mqtt": {"tls": {"enabled": True, "server_name": "broker.example"}}})
    assert described_subscriptions(settings).command == ""


# --- the log ------------------------------------------------------------------------------------------


def logged(*steps: tuple[float, IntakeStatus]) -> list[dict[str, object]]:
    """Return what is logged if the intake has these statuses at these times."""
    clock = ManualClock(0.0)
    current = [status()]
    intake_log = IntakeLog(lambda: current[0], UTC, clock)
    with structlog.testing.capture_logs() as entries:
        for clock.now_s, current[0] in steps:
            intake_log.update()
    return [dict(entry) for entry in entries]


WAITING = WaitingDevice("wohnung", 12, 0, NOW * MINUTE_MS)
ARRIVING = IntakeStatus(TELE, "", 0, 0, 0, (WAITING,), n_usable=12)
#: A device that was restored, and has sent nothing since.
RESTORED = IntakeStatus(TELE, "", 0, 0, 0, (WaitingDevice("home", 0, 180, None),))
FORECAST = IntakeStatus(TELE, "", 0, 0, 1, ())


def test_intake_log_has_each_step_once() -> None:
    lost = status(problem="Broker not reachable")
    entries = logged(
        (0, lost), (5, status()), (9, status()), (12, ARRIVING), (14, ARRIVING), (20, FORECAST), (22, lost)
    )
    assert entries == [
        {"event": "readings.listening", "log_level": "info", "broker": "broker:1883", "topics": ("tele/+/SENSOR",)},
        {
            "event": "readings.arriving",
            "log_level": "info",
            "received": "12 samples from wohnung",
            "first_forecast": "2026-01-01T11:17+00:00",
        },
        {"event": "forecasts.started", "log_level": "info", "n_devices": 1},
    ]


def test_intake_log_warns_once_of_missing_messages() -> None:
    entries = logged(*((float(second), status()) for second in range(0, 2_000, 10)))
    assert [entry["event"] for entry in entries] == ["readings.listening", "readings.missing"]
    assert "gapcast check" in str(entries[1]["fix"])


def test_intake_log_of_restored_readings_warns_of_a_silent_meter() -> None:
    entries = logged((0, RESTORED), (5, RESTORED), (359, RESTORED), (360, RESTORED), (400, ARRIVING))
    assert [entry["event"] for entry in entries] == ["readings.listening", "readings.missing", "readings.arriving"]
    assert RESTORED.received == "no message yet"


def test_intake_log_of_restored_readings_warns_of_rejected_messages() -> None:
    rejected = replace(RESTORED, n_rejected=2)
    entries = logged((0, RESTORED), (5, rejected))
    assert [entry["event"] for entry in entries] == ["readings.listening", "readings.rejected"]


def test_intake_log_of_restored_forecasts_has_its_topics_only() -> None:
    entries = logged(
        (0, FORECAST), (5, replace(FORECAST, n_ignored=1)), (9, replace(FORECAST, n_usable=1)), (900, FORECAST)
    )
    assert [entry["event"] for entry in entries] == ["readings.listening"]


def test_intake_log_of_forecasts_within_a_second_has_their_start() -> None:
    """The broker has queued readings: the first forecasts exist when the connection is first seen."""
    lost = status(problem="Broker not reachable")
    entries = logged((0, lost), (5, replace(FORECAST, n_usable=2)), (9, replace(FORECAST, n_usable=4)))
    assert [entry["event"] for entry in entries] == ["readings.listening", "forecasts.started"]


def test_intake_log_of_restored_forecasts_warns_of_a_silent_meter() -> None:
    entries = logged((0, FORECAST), (300, FORECAST), (361, FORECAST), (900, FORECAST))
    assert [entry["event"] for entry in entries] == ["readings.listening", "readings.missing"]


def test_intake_log_of_restored_forecasts_warns_of_rejected_messages() -> None:
    rejected = replace(FORECAST, n_rejected=1)
    entries = logged((0, FORECAST), (5, rejected), (9, rejected), (900, replace(rejected, n_usable=1)))
    assert [entry["event"] for entry in entries] == ["readings.listening", "readings.rejected"]


def test_intake_log_looks_at_most_once_a_second() -> None:
    clock, calls = ManualClock(0.0), []

    def counted() -> IntakeStatus:
        calls.append(clock.now_s)
        return status()

    intake_log = IntakeLog(counted, UTC, clock)
    for hundredth in range(300):
        clock.now_s = hundredth / 100
        intake_log.update()
    assert calls == [0.0, 1.0, 2.0]


def test_intake_log_every_message_rejected_warns_once() -> None:
    rejected, mixed = status(n_rejected=2, reason="1 is no"), status(SampleCount("home", 1, None), n_rejected=3)
    entries = logged((0.0, status()), (2.0, rejected), (4.0, status(n_rejected=3)), (6.0, mixed))
    assert [entry["event"] for entry in entries] == ["readings.listening", "readings.rejected", "readings.arriving"]
    assert (entries[1]["received"], entries[1]["problem"], entries[1]["log_level"]) == (
        "2 rejected",
        "1 is no",
        "warning",
    )
    assert "gapcast check" in str(entries[1]["fix"])
