"""A model with another horizon than the shipped ones is trained, exported, evaluated and reported at that horizon."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gapcast.predictors.models_folder.store import load_model
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.data_report.page import data_report
from gapcast_trainer.errors import RunError
from gapcast_trainer.evaluation.evaluate import evaluate
from gapcast_trainer.evaluation_report.page import page
from gapcast_trainer.export.models_page import models_page
from gapcast_trainer.scores.options import EvaluationOptions
from gapcast_trainer.scores.result import Evaluation
from gapcast_trainer.scores.table import lines
from gapcast_trainer.study.contenders import load_models
from tests.trainer import synthetic
from tests.trainer.forecasters import Spread

BRIEF = EvaluationOptions(brief=True)

HORIZON_MIN = 15
LEADS = (5, HORIZON_MIN)


@pytest.fixture(scope="module")
def models(small: CleanFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with a linear model of lead times 5 and 15 min."""
    from gapcast_trainer.export.export import choose_default, export
    from gapcast_trainer.training.fit import fit

    folder = tmp_path_factory.mktemp("horizon")
    fit(synthetic.experiment("linear", "quarter", outputs={"lead_times_min": LEADS}), small, folder / "run")
    export(folder / "run", small, folder / "models")
    choose_default(folder / "models", None)
    return folder / "models"


@pytest.fixture(scope="module")
def model(models: Path) -> TflitePredictor:
    return load_model(models / "quarter")


@pytest.fixture(scope="module")
def found(model: TflitePredictor, small: CleanFile) -> Evaluation:
    return evaluate([model], small, BRIEF)


def test_card_states_the_horizon_and_its_scores(model: TflitePredictor, small: CleanFile) -> None:
    card = model.card
    assert (card.lead_times_min, card.horizon_min, card.split.embargo_min) == ([*LEADS], HORIZON_MIN, HORIZON_MIN)
    kw = small.series.gap_kw[-1_800:]
    error = kw[HORIZON_MIN:] - kw[:-HORIZON_MIN]
    assert card.scores.persistence.mse_kw2 == pytest.approx(float(np.nanmean(error**2)), rel=0.1)
    assert card.scores.skill > 0


def test_evaluation_scores_at_the_horizon(found: Evaluation, model: TflitePredictor) -> None:
    assert found.as_json()["horizon_min"] == HORIZON_MIN
    rows = {row.name: row for row in found.rows}
    assert {tuple(row.sheets) for row in found.rows} == {LEADS}
    headline = rows["quarter"].at_horizon.headline
    assert headline == rows["quarter"].sheets[HORIZON_MIN].headline
    assert headline.mse_kw2 == pytest.approx(model.card.scores.model.mse_kw2, abs=1e-6)
    assert lines(found)[0].startswith("15 min ahead, ")


def test_evaluation_report_names_the_horizon(found: Evaluation) -> None:
    html = page(found)
    assert "was made 15 minutes before" in html
    assert "what quarter had forecast 15 min before." in html
    assert "Errors by minutes ahead, 5 to 15." in html
    assert "five minutes" not in html


def test_models_of_several_horizons_are_refused(small: CleanFile) -> None:
    models = [Spread("near"), Spread("far", lead_times_min=LEADS)]
    with pytest.raises(RunError, match=r"near \(5 min\), far \(15 min\); name those of one horizon"):
        evaluate(models, small, BRIEF)  # type: ignore[arg-type]  # predictors made for this test


def test_models_page_states_each_models_lead_times(models: Path) -> None:
    text = models_page(models)
    assert "| 5, 15 min |" in text
    assert "Scores at each model's horizon" in text
    assert "5 min ahead" not in text.replace("5, 15 min ahead", "")


def test_study_leaves_out_models_of_another_horizon(models: Path) -> None:
    assert load_models(models) == ([], ["quarter"])


def test_data_report_scores_persistence_at_the_horizon(small: CleanFile) -> None:
    html, findings = data_report(small.series, small.report, HORIZON_MIN)
    assert "Change in 15 minutes" in html
    assert "Half of all changes in 15 minutes" in findings[0]
    error = small.series.gap_kw[HORIZON_MIN:] - small.series.gap_kw[:-HORIZON_MIN]
    assert f"an MSE of {np.nanmean(error**2):.4f} kW²" in findings[1]


def test_peers_forecast_the_horizon(small: CleanFile) -> None:
    pytest.importorskip("lightgbm")
    from gapcast_trainer.peers.boosted import boost
    from gapcast_trainer.peers.columns import COLUMN_SETS, PeerColumns

    series = small.series
    at = series.first_minute + np.arange(300, 900)
    outputs = boost(PeerColumns(series, COLUMN_SETS[0], HORIZON_MIN), at, at, at).outputs
    actual = series.gap_kw[np.arange(300, 900) + HORIZON_MIN]
    naive = series.gap_kw[300:900]
    assert outputs.lead_times_min == (HORIZON_MIN,)
    assert np.mean((outputs.mean[:, 0] - actual) ** 2) < np.mean((naive - actual) ** 2)
