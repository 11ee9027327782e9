"""How a back-test feeds its engine: in runs of minutes, or reading by reading, with the same results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapcast.app.engines.engine import engine_of
from gapcast.backtest import run as run_module
from gapcast.backtest.batch_tally import BatchTally, Tally
from gapcast.backtest.inputs.houses import FilePart, runs_side_by_side, side_by_side
from gapcast.backtest.outlooks.outlook_tally import OutlookTally
from gapcast.backtest.processes import run_files
from gapcast.backtest.request import BacktestRequest
from gapcast.backtest.results.report import document, lines
from gapcast.backtest.results.results import join_backtests
from gapcast.backtest.run import run_houses
from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.models.predictor import Prediction
from gapcast.recordings.recording import RecordingMinutes
from tests.backtest.test_backtest import COLUMNS, FIRST, house, kw_of, settings
from tests.support.houses import Smooth, ensemble_engine


def minutes_of(n: int, first: int = FIRST, left_out: frozenset[int] = frozenset()) -> RecordingMinutes:
    at = np.array([i for i in range(n) if i not in left_out])
    return RecordingMinutes(at + first, np.array([kw_of(i) for i in at.tolist()]), at % 31 == 5)


def houses() -> dict[str, RecordingMinutes]:
    return {
        "a": minutes_of(200, left_out=frozenset({20, 21, 90})),
        "b": minutes_of(64, FIRST + 9),
        "c": minutes_of(130),
    }


@pytest.mark.parametrize("n_at_once", [1, 8, 96, 1_000])
def test_runs_are_the_readings_side_by_side(n_at_once: int) -> None:
    batches = list(runs_side_by_side(houses(), n_at_once))
    expected = list(side_by_side(houses(), n_at_once))
    assert [[reading for run in runs for reading in run.readings()] for runs in batches] == expected


def test_runs_have_the_results_of_readings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "BATCH_READINGS", 60)
    found: list[Any] = []
    for name, of_run in (("runs", houses()), ("readings", {name: iter(list(one)) for name, one in houses().items()})):
        out = tmp_path / f"{name}.csv"
        result = document(run_houses(ensemble_engine(), of_run, FIRST + 30, request=BacktestRequest(out=out)))
        del result["took_s"]
        found.append((result, out.read_text(encoding="utf-8")))
    assert found[0] == found[1]
    assert found[0][0]["n_readings"] == 391


def test_backtest_of_files_feeds_runs_and_keeps_no_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engines: list[Engine] = []

    def recorded(*arguments: Any, **options: Any) -> Engine:
        engines.append(engine_of(*arguments, **options))
        return engines[-1]

    monkeypatch.setattr(run_module, "engine_of", recorded)
    monkeypatch.setattr(run_module, "side_by_side", None)
    files = [house(tmp_path / f"{name}.csv", 40) for name in "ab"]
    assert run_files(settings(), files, COLUMNS, FilePart()).n_readings == 80
    assert engines[0].history.max_devices == 0


def test_backtest_with_outlooks_or_demands_feeds_readings() -> None:
    engine = ensemble_engine()
    tally = Tally.from_engine(engine, 1, None)
    assert not BatchTally(engine, tally).takes_readings
    assert BatchTally(engine, tally, outlooks=OutlookTally((5,))).takes_readings


@dataclass(frozen=True, slots=True)
class Broken(Smooth):
    """A model double that returns NaN."""

    def predict(self, windows: F32) -> Prediction:
        n, n_leads = len(windows), len(self.lead_times_min)
        return Prediction(np.full((n, n_leads), np.nan, dtype=np.float32))


@pytest.mark.parametrize("combines", [False, True])
def test_backtest_of_a_model_that_returns_nan_has_a_warning(*, combines: bool) -> None:
    broken = Broken(quantile_levels=None)
    engine = ensemble_engine(broken) if combines else Engine(broken)
    found = run_houses(engine, {"a": iter(list(minutes_of(60)))})
    warnings = [line for line in lines(join_backtests([found], ["a"], 1.0)) if line.startswith("warning")]
    replaced = [] if combines else [f"warning: {found.n_replaced} forecasts replaced by persistence"]
    assert warnings == ["warning: unusable values, such as NaN, from smooth", *replaced]
    assert found.n_replaced == (0 if combines else 59)  # the first reading gets no forecast
