"""The state of plans survives restarts, changes of models and replays of the journal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gapcast.core.engine import Engine
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.journal_replay import JournalReplay
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.snapshots.state_transfer import transfer_state
from gapcast.predictors.baselines import Trend
from tests.support.planned_houses import (
    END,
    HORIZON_MIN,
    N_MINUTES,
    NOON,
    START,
    PlannedRun,
    charger,
    flat,
    new_engine,
    run,
)

pytestmark = pytest.mark.once


def restarted(engine: Engine) -> Engine:
    after = new_engine(learns=True)
    problems = restore_snapshot(after, capture_snapshot(engine))
    assert (problems.learning, problems.devices) == ("", [])
    return after


def swapped(engine: Engine) -> Engine:
    after = new_engine(learns=True)
    transfer_state(engine, after)
    return after


@pytest.mark.parametrize(
    ("minutes", "until"),
    [((*range(38), *range(5, 40)), 45), ((*range(30), *range(1_500, 1_510)), 20)],
    ids=["the clock is set back", "a day without readings"],
)
def test_replay_across_a_jump_of_time_gives_the_same_scores(minutes: tuple[int, ...], until: int) -> None:
    """The earlier plan is known until the outcomes before the jump are scored."""
    live, again = new_engine(), new_engine()
    replay = JournalReplay(again)
    for engine in (live, again):
        engine.replace_plan("home", charger(start=10, end=until))
    for minute in minutes:
        readings = [Reading("home", NOON + minute, 0.5 if minute % 7 else 0.9)]
        live.forecast(live.accept(readings), 0)
        live.learn()
        replay.replay_batch(readings, 0)
    replay.finish()
    assert again.scores_of("home") == live.scores_of("home")
    assert again.latest() == live.latest()


@pytest.mark.parametrize("change", [restarted, swapped])
@pytest.mark.parametrize("at", [20, START + 1, 50, END, END + 1, END + 3])
def test_plan_and_forecasts_continue_bit_for_bit(at: int, change: Callable[[Engine], Engine]) -> None:
    house, plans = dict(enumerate(flat(START + 1, END + 1))), {10: charger()}
    whole = PlannedRun(new_engine(learns=True)).read(house, plans)
    first = PlannedRun(new_engine(learns=True)).read({minute: house[minute] for minute in range(at)}, plans)
    latest = first.engine.latest_of("home")
    second = PlannedRun(change(first.engine))
    assert second.engine.latest_of("home") == latest
    second.read({minute: house[minute] for minute in range(at, N_MINUTES)})
    assert second.forecasts == {target: one for target, one in whole.forecasts.items() if target >= at + HORIZON_MIN}
    for minute, outcome in second.outcomes.items():
        assert np.array_equal(outcome.published_kw, whole.outcomes[minute].published_kw)
        assert np.array_equal(outcome.actual_kw, whole.outcomes[minute].actual_kw)


@pytest.mark.parametrize("learns", [True, False])
def test_journal_repeats_plans_in_their_place(learns: bool) -> None:
    house, plans = flat(START + 1, END), {10: charger(), 50: charger(end=END - 20), 60: charger(end=END)}
    live = run(house, plans, new_engine(has_ensemble=learns, learns=learns)).engine
    engine = new_engine(has_ensemble=learns, learns=learns)
    replay = JournalReplay(engine)
    for minute, kw in enumerate(house):
        if minute in plans:
            replay.replace_plan("home", plans[minute])
        replay.replay_batch([Reading("home", NOON + minute, kw)], 0)
    replay.finish()
    assert engine.latest() == live.latest()
    assert engine.plans.states() == live.plans.states()
    assert {str(key): one.document() for key, one in engine.scores_of("home").items()} == {
        str(key): one.document() for key, one in live.scores_of("home").items()
    }


def test_newest_forecast_with_a_plan_survives_a_restart() -> None:
    engine = run(flat(START, END)[:50], {10: charger()}, new_engine(learns=True)).engine
    latest = engine.latest_of("home")
    assert latest is not None
    assert latest.planned_kw == 7.4
    assert restarted(engine).latest_of("home") == latest


def test_engine_of_another_horizon_keeps_the_plan() -> None:
    before = run(flat(START, END)[:50], {10: charger()}).engine
    model = Trend(lead_times_min=(10,))
    after = Engine(model, ensemble=Ensemble((model,), EnsembleOptions()))
    transfer_state(before, after)
    assert after.plan_of("home") == charger()
    assert after.plans.trackers["home"].issued == {}


def test_implausible_plans_of_a_snapshot_are_left_out() -> None:
    engine = run(flat(START, END)[:50], {10: charger()}).engine
    (state,) = engine.plans.states()
    damaged = [
        state._replace(device="no device"),
        state._replace(loads=[state.loads[0]._replace(kw=float("inf"))]),
        state._replace(stopped=[state.loads[0]._replace(end_ms=0)]),
        state._replace(attributed=[(NOON, float("nan"))]),
        state._replace(seen=[state.seen[0]._replace(last=2.0)]),
    ]
    for one in damaged:
        engine.plans.restore([one])
        assert engine.plans.trackers == {}
