"""The example for evcc: compared with evcc's fields, and simulated with a model of its circuits."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from gapcast.config.sections.mqtt import TopicSettings
from gapcast.core.demand.demand import VALID_MIN
from gapcast.core.demand.documents.document import headroom_w
from gapcast.core.demand.documents.max_power import HOLD_MIN, LOWEST_W, max_powers_w
from tests.support.deployed import documented_blocks
from tests.support.evcc import CIRCUIT_FIELDS, MQTT_FIELDS, Circuit, Topic, duration_s
from tests.support.evcc_week import fixed_w, gapcast_w, run_week, sample_week_kw
from tests.support.window_demands import MadeWindow, demands_of

CAR_W, CYCLE_S, FALLBACK_W = 11_000.0, 30, 2_500.0


def max_power_w(window: MadeWindow) -> int:
    return max_powers_w(demands_of(window))[0]


def added_w(window: MadeWindow) -> int:
    """The headroom."""
    return headroom_w(float(demands_of(window).running.headroom_kw[0]))


@pytest.fixture(scope="module")
def circuit() -> dict[str, Any]:
    """The circuit of the example."""
    (example,) = documented_blocks("yaml")
    configuration = yaml.safe_load(example)
    (only,) = configuration["circuits"]
    assert {loadpoint["circuit"] for loadpoint in configuration["loadpoints"]} == {only["name"]}
    return dict(only)


def test_example_has_only_fields_of_evccs_schema(circuit: dict[str, Any]) -> None:
    assert {name.lower() for name in circuit} <= CIRCUIT_FIELDS
    assert {name.lower() for name in circuit["GetMaxPower"]} <= MQTT_FIELDS
    assert circuit["GetMaxPower"]["source"] == "mqtt"


def test_example_reads_the_topic_that_gapcast_publishes(circuit: dict[str, Any]) -> None:
    assert circuit["GetMaxPower"]["topic"] == TopicSettings().max_power_w.replace("{device}", "home")


def test_example_has_a_meter_a_timeout_and_a_limit_of_its_own(circuit: dict[str, Any]) -> None:
    """A number is used only while it is valid, and while it also holds for the next window."""
    assert circuit["meter"] == "grid"
    assert circuit["maxPower"] > 0
    assert 60 < duration_s(circuit["GetMaxPower"]["timeout"]) <= 60 * min(VALID_MIN, HOLD_MIN)


def charging_w(limit: Circuit, house_w: float, n_cycles: int, charging: float = 0.0) -> list[float]:
    """Return the charger's power after each control cycle, with a meter that measures the house and the charger."""
    found = []
    for cycle in range(n_cycles):
        charging = limit.allowed_w(house_w + charging, charging, CAR_W, cycle * CYCLE_S)
        found.append(charging)
    return found


def limit_with(payload: bytes) -> Circuit:
    topic = Topic(timeout_s=120)
    topic.receive(payload, 0.0)
    return Circuit(FALLBACK_W, topic)


def test_charger_gets_what_the_house_leaves_and_stays_there() -> None:
    payload = b"%d" % max_power_w(MadeWindow(5, so_far_kw=1.0, rest_kw=0.75, reserve_kw=0.5))  # 2,750 W
    assert charging_w(limit_with(payload), 750, 4) == [2_000] * 4
    assert charging_w(limit_with(payload), 750, 4, charging=2_000) == [2_000] * 4


def test_charger_slows_down_with_the_kettle_and_recovers() -> None:
    limit = limit_with(b"2750")
    assert charging_w(limit, 2_650, 2, charging=2_000) == [100] * 2
    assert charging_w(limit, 750, 2, charging=100) == [2_000] * 2


def test_number_is_the_same_with_and_without_the_charger_running() -> None:
    """The forecast contains a running charger: the number must not fall by it, or the charger would start and stop."""
    idle, charging = (MadeWindow(5, so_far_kw=1.0, rest_kw=kw, reserve_kw=0.5) for kw in (0.75, 2.75))
    assert max_power_w(idle) == max_power_w(charging)
    assert added_w(idle) - added_w(charging) == 2_000


def test_headroom_in_its_place_would_start_and_stop_the_charger() -> None:
    """The reason for the page's warning: the power that may be added is not the power that may be drawn."""
    found = []
    running = 0.0
    for _ in range(4):
        window = MadeWindow(5, so_far_kw=1.0, rest_kw=0.75 + running / 1_000, reserve_kw=0.5)
        running = charging_w(limit_with(b"%d" % added_w(window)), 750, 1, running)[-1]
        found.append(running > 0)
    assert found == [True, False, True, False]


@pytest.mark.parametrize("so_far_kw", [2.5 * 15 / 10, 6.0, 50.0])
def test_window_that_is_lost_stops_the_charger(so_far_kw: float) -> None:
    payload = b"%d" % max_power_w(MadeWindow(10, so_far_kw=so_far_kw, rest_kw=0.0, reserve_kw=0.5))
    assert payload == b"%d" % LOWEST_W
    assert charging_w(limit_with(payload), 300, 3, charging=2_000) == [0, 0, 0]


def test_zero_would_be_no_limit() -> None:
    assert charging_w(limit_with(b"0"), 300, 1) == [CAR_W]


def test_silence_brings_back_the_limit_of_evcc() -> None:
    limit = limit_with(b"9000")
    assert [limit.limit_w(now_s) for now_s in (0, 120, 121)] == [9_000, 9_000, FALLBACK_W]
    assert Circuit(FALLBACK_W, Topic(120)).limit_w(0) == FALLBACK_W


@pytest.mark.parametrize("payload", [b"", b"none", b"nan", b"inf", b" 9000", b"9000\n", b"ErrNotAvailable"])
def test_payload_that_is_no_number_brings_back_the_limit_of_evcc(payload: bytes) -> None:
    assert limit_with(payload).limit_w(0) == FALLBACK_W


@pytest.mark.parametrize("made", [MadeWindow(5, 1.0, 0.75, 0.5), MadeWindow(10, 50.0, 0.0, 0.5)])
def test_payload_of_gapcast_is_the_number_that_evcc_reads(made: MadeWindow) -> None:
    number = max_power_w(made)
    assert limit_with(b"%d" % number).limit_w(0) == number > 0


def test_without_a_timeout_a_number_is_used_for_ever() -> None:
    """The reason why the page requires a timeout."""
    topic = Topic(timeout_s=0)
    topic.receive(b"9000", 0.0)
    assert Circuit(FALLBACK_W, topic).limit_w(86_400) == 9_000


def test_silence_without_a_limit_of_evcc_is_no_limit() -> None:
    """The reason why the page requires ``maxPower``."""
    assert Circuit(0.0, Topic(timeout_s=120)).allowed_w(300, 0, CAR_W, 121) == CAR_W


@pytest.mark.parametrize(("payload", "limit_w"), [(b"2750", 2_750), (b"9000", 4_200), (b"0", 4_200)])
def test_limit_of_the_grid_operator_applies_beside_the_number(payload: bytes, limit_w: float) -> None:
    topic = Topic(timeout_s=120)
    topic.receive(payload, 0.0)
    assert Circuit(FALLBACK_W, topic, hems_w=4_200.0).limit_w(0) == limit_w


def test_circuit_whose_meter_fails_stops_the_charger_after_a_minute() -> None:
    limit = limit_with(b"2750")
    powers_w = [limit.allowed_w(2_650 if now_s == 0 else None, 1_900, CAR_W, now_s) for now_s in (0, 60, 61)]
    assert powers_w == [2_000, 2_000, 0]


def test_last_number_of_a_window_is_safe_in_the_next() -> None:
    """Two minutes late, the charger starts the next window with no more than that window's own number."""
    last = max_power_w(MadeWindow(14, so_far_kw=0.25, rest_kw=0.25, reserve_kw=0.5))
    first = max_power_w(MadeWindow(0, so_far_kw=None, rest_kw=0.25, reserve_kw=0.5))
    assert last <= first


@pytest.mark.long
def test_circuit_with_the_number_of_the_engine_keeps_the_limit() -> None:
    """A car charges for six hours of an afternoon and evening of a real house; the plain limit does not suffice."""
    house_kw = sample_week_kw()[12 * 60 : 21 * 60]
    alone, with_gapcast = (run_week(house_kw, 4.0, number, 180) for number in (fixed_w, gapcast_w))
    assert alone.n_caused >= 5
    assert with_gapcast.n_caused <= 1
    assert with_gapcast.kwh_per_day > 0.7 * alone.kwh_per_day
