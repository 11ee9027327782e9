"""Forecasts of devices with a plan: the uncontrolled part is forecast and learned, the total published and scored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.engine import Engine
from gapcast.core.errors import PayloadError
from gapcast.core.forecasts.forecast import Forecast, join_forecasts
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.plans.plans import Plans
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.streams.history import History
from gapcast.core.time_grid import MINUTE_MS
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Persistence
from tests.support.examples import examples
from tests.support.planned_houses import (
    END,
    HORIZON_MIN,
    MODEL,
    N_MINUTES,
    NOON,
    START,
    PlannedRun,
    Quantiles,
    charger,
    flat,
    new_engine,
    run,
)


@pytest.mark.parametrize("has_ensemble", [True, False])
def test_forecast_steps_at_the_planned_minutes(has_ensemble: bool) -> None:
    with_plan = run(flat(START, END), {10: charger()}, new_engine(has_ensemble=has_ensemble))
    assert with_plan.gap_kw(START - 1, START, END - 1, END) == [0.5, 7.9, 7.9, 0.5]
    assert with_plan.uncontrolled_kw() == {0.5}
    without = run(flat(START, END), {}, new_engine(has_ensemble=has_ensemble))
    assert without.gap_kw(START, START + HORIZON_MIN - 1) == [0.5, 0.5]
    assert without.gap_kw(END, END + HORIZON_MIN - 1) == [7.9, 7.9]


def test_forecast_has_planned_fields_while_a_load_is_on_until_its_target() -> None:
    made = run(flat(START, END), {10: charger()})
    has_plan = {target - HORIZON_MIN for target, one in made.forecasts.items() if one.planned_kw is not None}
    assert has_plan == set(range(START - HORIZON_MIN, END))
    assert made.planned_kw(START, END - 1, END) == [7.4, 7.4, 0.0]
    document = made.forecasts[START].document()
    assert (document["uncontrolled_kw"], document["planned_kw"], document["gap_kw"]) == (0.5, 7.4, 7.9)
    assert not {"uncontrolled_kw", "planned_kw"} & made.forecasts[START - 1].document().keys()


def test_median_bounds_and_path_contain_the_plan() -> None:
    made = run(flat(START, END), {10: charger()}, new_engine(has_ensemble=False))
    one = made.forecasts[START + 1]
    assert (one.median_kw, one.lower_kw, one.upper_kw) == pytest.approx((7.9, 7.7, 8.1))
    assert one.path_kw == pytest.approx((0.5, 0.5, 0.5, 7.9, 7.9))


def test_forecast_of_a_partial_minute_contains_its_mean() -> None:
    half = LoadPlan.from_loads([PlannedLoad(7.4, (NOON + START) * MINUTE_MS + 30_000, (NOON + END) * MINUTE_MS)])
    assert run(flat(), {10: half}).planned_kw(START, START + 1) == [3.7, 7.4]


def test_forecast_with_a_plan_stays_in_the_range_of_forecasts() -> None:
    limits = Limits(0.0, 10.0)
    after = run([5.0] * 40, {10: charger(10.0)}, new_engine(limits=limits))
    made = after.forecasts[START]
    assert (made.gap_kw, made.median_kw, made.upper_kw) == (11.0, 11.0, 11.0)
    assert (made.uncontrolled_kw, made.planned_kw) == (5.0, 10.0)
    assert after.outcomes[START].published_kw.tolist() == [[11.0] * 4], "scored as it was published"


power_kw = st.floats(-20, 20)
spans = st.tuples(power_kw, st.integers(0, 40), st.integers(1, 30))


@examples(40)
@given(
    st.lists(power_kw, min_size=3, max_size=40), st.lists(spans, max_size=3), st.lists(spans, max_size=3), st.booleans()
)
def test_forecast_is_the_sum_of_its_parts_for_any_readings_and_plans(
    house_kw: list[float], first: list[tuple[float, int, int]], second: list[tuple[float, int, int]], has_ensemble: bool
) -> None:
    plans = {
        at: LoadPlan.from_loads(
            PlannedLoad(kw, (NOON + start) * MINUTE_MS, (NOON + start + length) * MINUTE_MS, str(i))
            for i, (kw, start, length) in enumerate(spans)
        )
        for at, spans in ((0, first), (len(house_kw) // 2, second))
    }
    made = run(house_kw, plans, new_engine(has_ensemble=has_ensemble, learns=has_ensemble))
    for one in made.forecasts.values():
        if one.planned_kw is not None and one.uncontrolled_kw is not None:
            assert one.gap_kw == pytest.approx(one.uncontrolled_kw + one.planned_kw, abs=1e-4)
        assert one.median_kw is not None
        assert one.lower_kw is not None
        assert one.upper_kw is not None
        assert one.lower_kw <= one.median_kw <= one.upper_kw
        assert one.path_kw is not None
        assert one.path_kw[-1] == one.gap_kw
    assert made.engine.latest_of("home") == one
    for minute, outcome in made.outcomes.items():
        assert outcome.actual_kw[0] == pytest.approx(house_kw[minute], abs=1e-4)


def test_forecasts_of_devices_without_a_plan_do_not_change() -> None:
    def forecasts(*, has_plan: bool) -> list[Forecast]:
        engine = new_engine()
        if has_plan:
            engine.replace_plan("home", charger())
        made = []
        for minute in range(60):
            readings = [Reading(device, NOON + minute, 0.5 + minute % 3) for device in ("home", "other")]
            made += [one for one in engine.forecast(engine.accept(readings), 0) if one.device == "other"]
            engine.learn()
        return made

    assert forecasts(has_plan=True) == forecasts(has_plan=False)


def test_learning_with_a_plan_equals_that_of_the_uncontrolled_house() -> None:
    """The planned steps teach nothing: all learned state equals that of the house without the charger."""
    rng = np.random.default_rng(7)
    house = (0.5 + np.cumsum(rng.integers(-1, 2, N_MINUTES)) / 64).tolist()
    with_charger = [kw + (8.0 if START <= minute < END else 0.0) for minute, kw in enumerate(house)]
    one, other = run(with_charger, {10: charger(8.0)}, new_engine(learns=True)), run(house, {}, new_engine(learns=True))
    assert one.engine.ensemble is not None
    assert other.engine.ensemble is not None
    found, wanted = one.engine.ensemble.columns([0]), other.engine.ensemble.columns([0])
    for name in ("coefficients", "covariance", "memory", "seen", "usual"):
        assert np.allclose(found[name], wanted[name], rtol=1e-4, atol=1e-6), name


def test_scores_use_the_total_power() -> None:
    made = run(flat(START + 2, END), {10: charger()})
    late = made.outcomes[START]
    assert (late.actual_kw[0], late.published_kw[0, 0]) == (pytest.approx(0.5), pytest.approx(7.9))
    assert late.published_kw[0, 2] <= 7.9 <= late.published_kw[0, 3]
    on_time, after = made.outcomes[START + 2], made.outcomes[END]
    assert (on_time.actual_kw[0], on_time.published_kw[0, 0]) == (pytest.approx(7.9), pytest.approx(7.9))
    assert on_time.last_kw[0] == pytest.approx(0.5), "persistence is the last reading held"
    assert on_time.members_kw[0, 0, -1] == on_time.last_kw[0]
    assert (after.actual_kw[0], after.last_kw[0]) == (pytest.approx(0.5), pytest.approx(7.9))
    members_kw = [one.members_kw[0, 0, 0] for one in (late, on_time, after)]
    assert members_kw == pytest.approx([7.9, 7.9, 0.5]), "the models forecast with the plan"


def test_plan_whose_forecasts_have_no_outcome_stays_bounded() -> None:
    """With a reading every other minute, no reading is of a target minute."""
    made = PlannedRun(new_engine()).read({2 * i: 0.5 for i in range(530)}, {10: charger(end=END + 2_000)})
    assert made.outcomes == {}
    assert len(made.engine.plans.trackers["home"].issued) == 512 + 1


def test_history_and_last_reading_are_of_the_total() -> None:
    engine = Engine(MODEL, history=History(N_MINUTES, 1))
    run(flat(START, END)[: END - 1], {10: charger()}, engine)
    columns = engine.history.columns_of(engine.buffers.row("home"), 20, HORIZON_MIN)
    assert columns.read_kw.tolist() == pytest.approx([7.9] * 20)
    assert columns.published_kw[:, 0].tolist() == pytest.approx([7.9] * 21 + [0.5] * 4)
    assert engine.buffers.newest("home")[1] == pytest.approx(7.9)


def test_plan_of_a_device_without_readings_waits_for_them() -> None:
    engine = new_engine()
    engine.replace_plan("home", charger())
    assert engine.plan_of("home") == charger()
    assert "home" not in engine.buffers
    assert run(flat(START, END), {}, engine).gap_kw(START, END) == [7.9, 0.5]


def test_plan_of_an_untracked_device_counts_too() -> None:
    options = EnsembleOptions(max_devices=0)
    engine = Engine(MODEL, ensemble=Ensemble((MODEL,), options))
    made = run(flat(START, END), {10: charger()}, engine)
    assert made.gap_kw(START, END) == [7.9, 0.5]
    assert made.outcomes == {}


def test_plan_of_a_model_with_more_channels_is_subtracted_from_power() -> None:
    model = Persistence(features=("gap_kw", "voltage_v"))
    engine = Engine(model)
    engine.replace_plan("home", charger())
    made = []
    for minute, kw in enumerate(flat(START, END)):
        reading = Reading("home", NOON + minute, kw, measured={"voltage_v": 230.0})
        made += [round(one.gap_kw, 3) for one in engine.forecast(engine.accept([reading]), 0)]
    assert set(made) == {0.5, 7.9}
    assert made[START - HORIZON_MIN - 1] == 7.9


def test_plan_ends_without_a_trace() -> None:
    made = run(flat(START, END), {10: charger()})
    assert made.engine.plan_of("home") == LoadPlan()
    made.read({N_MINUTES + i: 0.5 for i in range(2 * MODEL.spec.context)})
    assert made.engine.plans.trackers == {}


def test_plan_that_ended_before_it_was_received_is_dropped() -> None:
    engine = run(flat()).engine
    engine.replace_plan("home", charger(end=START + 1))
    assert engine.plans.trackers == {}
    engine.replace_plan("home", LoadPlan())
    engine.replace_plan("nobody", LoadPlan())
    assert engine.plans.trackers == {}


def test_plan_is_forgotten_with_its_device() -> None:
    engine = run(flat()[:30], {10: charger()}).engine
    engine.forget("home")
    assert engine.plans.trackers == {}
    assert engine.plan_of("home") == LoadPlan()


def test_plans_hold_a_bounded_number_of_loads() -> None:
    plans = Plans((5,), max_loads=2)
    plans.replace_plan("a", charger(), None, None)
    plans.replace_plan("b", charger(), None, None)
    plans.replace_plan("b", charger(), None, None)
    with pytest.raises(PayloadError, match="too_many_loads: 3 announced loads exceed the limit of 2 over all"):
        plans.replace_plan("c", charger(), None, None)


def test_plan_survives_a_gap_that_is_interpolated() -> None:
    house = dict(enumerate(flat(START, END)))
    for minute in (36, 37, 38, 60, 61, END, END + 1):
        del house[minute]
    made = PlannedRun(new_engine()).read(house, {10: charger()})
    assert made.uncontrolled_kw() == {0.5}


@pytest.mark.parametrize("padding", ["oldest", "zero"])
def test_plan_survives_a_restart_of_the_history(padding: str) -> None:
    model = Quantiles(WindowSpec(30, padding), (1, 2, 3, 4, 5), (0.05, 0.5, 0.95))  # type: ignore[arg-type]  # a literal
    engine = Engine(model, ensemble=Ensemble((model,), EnsembleOptions()))
    house = dict(enumerate(flat(START, END)))
    for minute in range(40, 60):
        del house[minute]
    made = PlannedRun(engine).read(house, {10: charger()})
    assert made.gap_kw(70, END - 1) == [7.9, 7.9]
    assert made.gap_kw(END)[0] == pytest.approx(0.5, abs=0.5)


def test_plan_sent_between_two_readings_of_a_new_history() -> None:
    house = dict(enumerate(flat(START, END)))
    for minute in range(40, 60):
        del house[minute]
    made = PlannedRun(new_engine()).read(house, {10: charger(), 61: charger()})
    assert made.gap_kw(70, END - 1) == [7.9, 7.9]


def test_clock_set_back_starts_the_plan_again() -> None:
    made = run(flat(START, END), {10: charger()})
    made.read({minute: 0.5 for minute in range(START - 20, START - 5)}, {START - 20: charger()})
    assert made.planned_kw(START - 1) == [None]
    assert made.forecasts[START - 1].gap_kw == pytest.approx(0.5)


def test_forecasts_of_a_batch_in_parts_keep_their_plans() -> None:
    engine = new_engine()
    for device in ("home", "cellar"):
        engine.accept([Reading(device, NOON + START, 0.5)])
    engine.replace_plan("home", charger())
    accepted = engine.accept([Reading(device, NOON + START + 1, 0.5) for device in ("cellar", "home")])
    parts = [engine.forecast(accepted.select([i]), 0) for i in range(2)]
    assert [one.planned_kw for one in join_forecasts(parts)] == [None, 7.4]
    assert [one.planned_kw for one in join_forecasts(parts[:1])] == [None]


def test_load_that_never_starts_is_scored_alike_in_any_batch() -> None:
    """This includes a batch that ends after the plan, as after an outage of the broker, or a replay of the journal."""
    readings = [Reading("home", NOON + minute, kw) for minute, kw in enumerate(flat())]
    scores = []
    for n_at_a_time in (1, 30, N_MINUTES):
        engine = new_engine()
        engine.replace_plan("home", charger(start=20, end=30))
        for first in range(0, N_MINUTES, n_at_a_time):
            engine.forecast(engine.accept(readings[first : first + n_at_a_time]), 0)
            engine.learn()
        assert not any(tracker.issued for tracker in engine.plans.trackers.values())
        scores.append(engine.scores_of("home")[ALL_TIME])
    assert scores[1:] == scores[:1] * 2
    assert scores[0].mae_kw == pytest.approx(10 * 7.4 / scores[0].n)


def test_discarding_forecasts_of_an_unknown_row_changes_nothing() -> None:
    ensemble = Ensemble((MODEL,), EnsembleOptions(max_devices=10_000))
    before = ensemble.columns([0])["due_minute"]
    ensemble.discard_pending(9_999)
    ensemble.discard_pending(10_000)
    assert np.array_equal(ensemble.columns([0])["due_minute"], before)


def test_readings_for_the_refit_are_without_the_planned_loads() -> None:
    """These are the readings that entered a window; a device without a plan keeps its readings unchanged."""
    engine = new_engine()
    engine.replace_plan("home", charger())
    kept: dict[str, list[float]] = {"home": [], "shop": []}
    for minute, gap_kw in enumerate(flat(START, END)):
        readings = [Reading(device, NOON + minute, gap_kw) for device in kept]
        readings.append(Reading("home", NOON + minute, 9.9))  # a duplicate
        for reading in engine.accept(readings).uncontrolled_readings(readings):
            kept[reading.device].append(round(reading.gap_kw, 6))
    assert kept == {"home": [0.5] * N_MINUTES, "shop": flat(START, END)}
