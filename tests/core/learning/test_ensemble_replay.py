"""An ensemble restored by replaying batches, members with different features, and selected outcomes."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.engine import Engine
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.journal_replay import JournalReplay
from gapcast.core.windows.features import GAP
from gapcast.predictors.baselines import Persistence, Trend
from tests.core.learning.outcomes import START, outcomes

N = 600
VOLTAGE = "voltage_v"


def power_kw(i: int) -> float:
    return 1 + (i * i % 13) / 10


def engine_of(*models: Persistence | Trend) -> Engine:
    return Engine(models[0], ensemble=Ensemble(models, EnsembleOptions()))


def test_journal_replay_restores_the_learnt_state() -> None:
    live, again = engine_of(Trend()), engine_of(Trend())
    replay = JournalReplay(again)
    for first in range(0, N, 3):
        batch = [Reading("home", START + i, power_kw(i)) for i in range(first, first + 3)]
        live.forecast(live.accept(batch), first)
        live.learn()
        replay.replay_batch(batch, first)
    replay.finish()
    before, after = live.latest_of("home"), again.latest_of("home")
    assert before is not None
    assert after is not None
    assert after.document() == before.document()
    assert after.issued_at_ms == before.issued_at_ms == N - 3
    ours, theirs = live.scores_of("home")[ALL_TIME], again.scores_of("home")[ALL_TIME]
    assert ours.n == theirs.n == N - 6
    assert (ours.mse_kw2, ours.mae_kw) == pytest.approx((theirs.mse_kw2, theirs.mae_kw), abs=1e-9)
    assert replay.n_readings == N


def test_ensemble_combines_members_with_different_features() -> None:
    engine = engine_of(Persistence(name="of-two", features=(GAP, VOLTAGE)), Trend())
    alone = engine_of(Persistence(name="of-two"), Trend())
    for i in range(60):
        forecast = engine.forecast(
            engine.accept([Reading("home", START + i, power_kw(i), measured={VOLTAGE: 240.0 + i})]), 0
        )
        wanted = alone.forecast(alone.accept([Reading("home", START + i, power_kw(i))]), 0)
        assert forecast.gap_kw == pytest.approx(wanted.gap_kw, abs=1e-6)
        engine.learn()
        alone.learn()


def test_outcomes_which_keeps_the_order() -> None:
    chosen = outcomes([0, 1, 2], [START, START + 1, START + 2], [1.0, 2.0, 3.0]).select(np.array([True, False, True]))
    assert len(chosen) == 2
    assert chosen.rows.tolist() == [0, 2]
    assert chosen.minutes.tolist() == [START, START + 2]
    assert chosen.actual_kw.tolist() == [1.0, 3.0]
