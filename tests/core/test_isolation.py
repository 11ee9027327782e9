"""Readings and windows that raise errors are found; the others of the batch are forecast as if they were absent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.engine import Engine
from gapcast.core.isolation import MAX_FAILURES, ForecastFailed, forecast_with_bisection
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.member_combination import EnsembleForecasts
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.models.predictor import Prediction
from gapcast.core.plans.plan_tracker import PlanTracker
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.accepted_batch import none_accepted
from gapcast.core.streams.buffer import ReadingStatus
from gapcast.predictors.baselines import Persistence
from tests.support.planned_houses import charger

NOON = 21_476_160
POISON_KW = 13.0
NO_NUMBER: Any = "no number"


@dataclass(frozen=True, slots=True)
class Fragile(Persistence):
    """A model that raises an error if a window's last reading is 13 kW."""

    def predict(self, windows: F32) -> Prediction:
        if (windows[:, -1, 0] == POISON_KW).any():
            msg = "unlucky"
            raise ZeroDivisionError(msg)
        return Persistence.predict(self, windows)


class FragileBlend(Ensemble):
    """An ensemble that raises an error for rows whose learned state is marked as damaged."""

    damaged: frozenset[int] = frozenset()

    def forecast(
        self,
        rows: I64,
        minutes: I64,
        windows: F32,
        predictions: Sequence[Prediction],
        filled: Sequence[int] = (),
        forests_kw: F64 | None = None,
    ) -> EnsembleForecasts:
        if self.damaged & set(rows.tolist()):
            msg = "damaged"
            raise IndexError(msg)
        return super().forecast(rows, minutes, windows, predictions, filled, forests_kw)

    def forget(self, row: int) -> None:
        super().forget(row)
        self.damaged -= {row}


def warm(engine: Engine, devices: Sequence[str]) -> None:
    engine.accept([Reading(device, NOON, 1.0) for device in devices])


def readings(powers_kw: dict[str, float], minute: int = NOON + 1) -> list[Reading]:
    return [Reading(device, minute, kw) for device, kw in powers_kw.items()]


def test_accept_reading_that_raises_leaves_the_others_accepted() -> None:
    engine = Engine(Persistence())
    warm(engine, ["a", "b", "c"])
    batch = readings({"a": 1.0, "b": NO_NUMBER, "c": 2.0})
    accepted = engine.accept([*batch, Reading("b", NOON + 2, 3.0), Reading("a", NOON + 2, 4.0)])
    assert [status.value for status in accepted.statuses] == ["ready", "failed", "ready", "failed", "ready"]
    assert (accepted.forecast_indices, accepted.devices) == ([0, -1, 1, -1, 2], ["a", "c", "a"])
    assert [i for i, _ in accepted.failures] == [1, 3]
    assert accepted.counts == {"accepted": 3, "rejected": 2}
    assert accepted.windows[:, -1].tolist() == [1.0, 2.0, 4.0]
    assert [one.device for one in accepted.state_changing_readings([*batch, *batch[:2]])] == ["a", "c", "b"]
    with pytest.raises(ValueError, match="could not convert"):
        accepted.raise_failure()
    assert engine.forecast(accepted, 0).gap_kw == [1.0, 2.0, 4.0]


def test_accept_reading_whose_plan_raises_marks_no_other_window(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(Persistence())
    warm(engine, ["a", "b"])
    engine.replace_plan("a", charger())
    monkeypatch.delattr(PlanTracker, "observe")
    accepted = engine.accept([Reading("a", NOON + 1, 1.0, is_filled=True), Reading("b", NOON + 1, 2.0)])
    assert [status.value for status in accepted.statuses] == ["failed", "ready"]
    assert (accepted.devices, accepted.filled) == (["b"], [])


def test_accept_batch_without_failures_has_none_to_raise() -> None:
    engine = Engine(Persistence())
    accepted = engine.accept(readings({"a": 1.0}))
    accepted.raise_failure()
    assert accepted.failures == []


def test_none_accepted_rejects_every_reading() -> None:
    accepted = none_accepted(readings({"a": 1.0, "b": 1.0}))
    assert (accepted.statuses, accepted.counts) == ([ReadingStatus.FAILED] * 2, {"rejected": 2})
    assert none_accepted([]).counts == {}


@pytest.mark.parametrize("n_devices", [1, 2, 7])
def test_forecast_with_bisection_fails_only_the_window_that_raises(n_devices: int) -> None:
    names = [f"d{i}" for i in range(n_devices)]
    for poisoned in range(n_devices):
        engine = Engine(Fragile())
        warm(engine, names)
        batch = readings({name: POISON_KW if i == poisoned else 1.0 + i for i, name in enumerate(names)})
        accepted = engine.accept(batch)
        with pytest.raises(ZeroDivisionError):
            engine.forecast(accepted, 0)
        accepted, forecasts = forecast_with_bisection(engine, accepted, 0)
        assert accepted.statuses.count(ReadingStatus.FAILED) == 1
        assert accepted.statuses[poisoned] is ReadingStatus.FAILED
        assert forecasts.devices == accepted.devices == [name for i, name in enumerate(names) if i != poisoned]
        assert forecasts.gap_kw == [1.0 + i for i in range(n_devices) if i != poisoned]
        assert [accepted.forecast_indices[i] for i in range(n_devices) if i != poisoned] == list(range(n_devices - 1))
        assert accepted.counts == {"accepted": n_devices - 1, "rejected": 1}
        ((i, error),) = accepted.failures
        assert (i, type(error)) == (poisoned, ForecastFailed)
        assert isinstance(error.__cause__, ZeroDivisionError)
        assert engine.latest_of(names[poisoned]) is None


def test_forecast_with_bisection_keeps_filled_minutes_of_the_others() -> None:
    engine = Engine(Fragile())
    warm(engine, ["a", "b", "c"])
    batch = [one._replace(is_filled=True) for one in readings({"a": POISON_KW, "b": 1.0, "c": 2.0})]
    accepted, _ = forecast_with_bisection(engine, engine.accept(batch), 0)
    assert (accepted.devices, accepted.filled) == (["b", "c"], [0, 1])


def test_forecast_with_bisection_keeps_the_plans_of_the_others() -> None:
    engine = Engine(Fragile())
    warm(engine, ["a", "b"])
    engine.replace_plan("b", charger(kw=7.4, start=0))
    accepted, forecasts = forecast_with_bisection(engine, engine.accept(readings({"a": POISON_KW, "b": 8.4})), 0)
    assert (accepted.devices, [*accepted.planned]) == (["b"], [0])
    assert [(one.planned_kw, one.gap_kw) for one in forecasts] == [(7.4, 8.4)]


def test_forecast_with_bisection_stops_if_every_window_raises() -> None:
    names = [f"d{i}" for i in range(4 * MAX_FAILURES)]
    engine = Engine(Fragile())
    warm(engine, names)
    accepted, forecasts = forecast_with_bisection(engine, engine.accept(readings(dict.fromkeys(names, POISON_KW))), 0)
    assert (len(forecasts), accepted.counts) == (0, {"accepted": 0, "rejected": len(names)})
    assert sum(error.__cause__ is not None for _, error in accepted.failures) == MAX_FAILURES


def test_forecast_with_bisection_makes_the_same_forecasts_as_one_call() -> None:
    """This includes weights, bounds and paths of an ensemble, with several windows of one device."""
    batch = [Reading(name, NOON + minute, 0.5 + minute) for minute in (1, 2, 3) for name in ("a", "b", "c")]
    found = []
    for apart in (False, True):
        engine = Engine(Persistence(), ensemble=Ensemble([Persistence()], EnsembleOptions(max_devices=10)))
        warm(engine, ["a", "b", "c"])
        accepted = engine.accept(batch)
        forecasts = forecast_with_bisection(engine, accepted, 0)[1] if apart else engine.forecast(accepted, 0)
        found.append([forecast.document() for forecast in forecasts])
    assert found[0] == found[1]


def test_forecast_with_bisection_resets_learned_state_that_raises() -> None:
    ensemble = FragileBlend([Persistence()], EnsembleOptions(max_devices=10))
    engine = Engine(Persistence(), ensemble=ensemble)
    warm(engine, ["a", "b", "c"])
    accepted = engine.accept(readings({"a": 1.0, "b": 2.0, "c": 3.0}))
    ensemble.damaged = frozenset({engine.buffers.row("b")})
    accepted, forecasts = forecast_with_bisection(engine, accepted, 0)
    assert (forecasts.devices, accepted.failures) == (["a", "b", "c"], [])
    assert np.isfinite(forecasts.gap_kw).all()


def test_forget_learning_without_an_ensemble_changes_nothing() -> None:
    engine = Engine(Persistence())
    warm(engine, ["a"])
    engine.horizons.forget_learning(0)
    assert engine.accept(readings({"a": 1.0})).statuses == [ReadingStatus.READY]
