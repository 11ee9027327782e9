"""``evaluate --horizons``: each kind and lead time agrees with a plain recomputation."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.predictor import Prediction
from gapcast.core.outlook.scores.reference_forecasts import KINDS, REFERENCES
from gapcast.core.streams.week import WeekHistory
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.window import WindowSpec, fill_short_gaps
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.cli import main
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.data.windows import WindowTask, cut_examples
from gapcast_trainer.errors import RunError
from gapcast_trainer.evaluation.lead_evaluation import evaluate_leads
from gapcast_trainer.evaluation.scored_models import load_scored
from gapcast_trainer.houses.evaluation import HousesOptions
from gapcast_trainer.houses.lead_evaluation import evaluate_house_leads
from gapcast_trainer.scores.lead_result import LeadEvaluation, LeadRow
from gapcast_trainer.scores.lead_table import lead_lines
from gapcast_trainer.scores.options import EvaluationOptions, PeerOptions
from tests.support.models import history_model, shipped_models
from tests.support.uci_files import START
from tests.support.week_histories import histories_in
from tests.trainer.forecasters import Spread, stand_ins
from tests.trainer.synthetic import SPLIT

LEADS = (5, 15, 30)


@dataclass(frozen=True, slots=True)
class SpreadOfMeans(Spread):
    """Forecasts both kinds: the last reading, and for means the mean of the newest 24 quarters."""

    name: str = "spread-of-means"
    history_steps: int = 24

    def predict(self, windows: F32, history: F32 | None = None) -> Prediction:
        assert history is not None
        assert history.shape == (len(windows), self.history_steps)
        found = Spread.predict(self, windows)
        mean_to = np.repeat(history.mean(axis=1, keepdims=True), len(self.lead_times_min), axis=1)
        return Prediction(found.mean, found.quantiles, mean_to, None)


def model(**changes: Any) -> Any:
    return replace(SpreadOfMeans(lead_times_min=LEADS, spec=WindowSpec(40)), **changes)


@pytest.fixture(scope="module")
def found(small: CleanFile) -> LeadEvaluation:
    return evaluate_leads(stand_ins(model()), small, LEADS)


def row(evaluation: LeadEvaluation, name: str) -> LeadRow:
    return next(row for row in evaluation.rows if row.name == name)


def test_evaluate_leads_equals_a_plain_recomputation(small: CleanFile, found: LeadEvaluation) -> None:
    """Of the windows that end with 30 readings, and whose outcome at 30 minutes was read."""
    kw = small.series.gap_kw
    observed = [
        m for m in range(29, kw.size - 30) if not np.isnan(kw[m - 29 : m + 1]).any() and not np.isnan(kw[m + 30])
    ]
    assert found.n == len(observed)
    for lead in LEADS:
        for kind in KINDS:
            pairs = []
            for m in observed:
                span = kw[m + lead : m + lead + 1] if kind == "point" else kw[m + 1 : m + lead + 1]
                if not np.isnan(span).any():
                    last_window = kw[m - lead + 1 : m + 1]
                    pairs.append((kw[m], last_window.mean(), span.mean()))
            last, window, actual = np.array(pairs).T
            persistence = row(found, "persistence").records[kind][lead]
            of_window = row(found, "last_window").records[kind][lead]
            assert persistence.n == of_window.n == len(pairs)
            assert persistence.mse_kw2 == pytest.approx(np.mean((last - actual) ** 2), rel=1e-4)
            assert persistence.skill == 0
            assert of_window.mae_kw == pytest.approx(np.mean(np.abs(window - actual)), rel=1e-4)


def test_evaluate_leads_scores_a_model_of_both_kinds(small: CleanFile, found: LeadEvaluation) -> None:
    scores = row(found, "spread-of-means").records
    persistence = row(found, "persistence").records
    assert scores["point"][15].mse_kw2 == persistence["point"][15].mse_kw2
    assert scores["point"][15].coverage is not None
    assert scores["mean"][15].coverage is None
    assert {kind: tuple(records) for kind, records in scores.items()} == dict.fromkeys(KINDS, LEADS)
    known = small.series.gap_kw[: 24 * 15 + 1_000]
    assert not np.isnan(known[: 24 * 15]).any()
    assert scores["mean"][15].mse_kw2 != persistence["mean"][15].mse_kw2


def test_evaluate_leads_leaves_out_unknown_references(found: LeadEvaluation) -> None:
    """The file has six days: nothing is known of last week."""
    assert [each.name for each in found.rows[: len(REFERENCES)]] == list(REFERENCES)
    assert row(found, "last_week").records == {"point": {}, "mean": {}}
    yesterday = row(found, "yesterday").records["point"][5]
    assert 0 < yesterday.n < row(found, "persistence").records["point"][5].n


def test_evaluate_leads_skill_is_of_common_outcomes(small: CleanFile, found: LeadEvaluation) -> None:
    """Yesterday is known from the second day on: the model is compared with it there, with persistence everywhere."""
    kw, of_model = small.series.gap_kw, row(found, "spread-of-means")
    pairs = [
        (kw[m], kw[m + 15 - DAY_MIN], kw[m + 15])
        for m in range(DAY_MIN - 15, kw.size - 30)
        if not np.isnan([*kw[m - 29 : m + 1], kw[m + 15], kw[m + 30], kw[m + 15 - DAY_MIN]]).any()
    ]
    last, yesterday, actual = np.array(pairs).T
    assert row(found, "yesterday").records["point"][15].n == len(pairs) < of_model.records["point"][15].n
    skill = 1 - np.mean((last - actual) ** 2) / np.mean((yesterday - actual) ** 2)
    assert found.skill(of_model, "point", 15, "yesterday") == pytest.approx(skill, rel=1e-4)
    assert found.skill(of_model, "point", 15, "persistence") == 0
    assert np.isnan(found.skill(of_model, "point", 15, "last_week"))
    scores = json.loads(json.dumps(of_model.fields(), allow_nan=False))["scores"]["point"]["15"]
    assert scores["skill_yesterday"] == pytest.approx(skill, abs=1e-5)
    assert "skill_last_week" not in scores
    text = list(lead_lines(found))
    at = text.index("Skill against yesterday, over the minutes for which it is known")
    assert any(f"{skill:.3f}" in line for line in text[at : at + 8])
    assert not any("last week" in line for line in text)


def test_evaluate_leads_of_only_points_has_no_means(small: CleanFile) -> None:
    scored = evaluate_leads(stand_ins(Spread(lead_times_min=LEADS)), small, (15,))
    assert set(row(scored, "spread").records) == {"point"}


def test_evaluate_leads_house_with_few_windows_is_named_first(small: CleanFile) -> None:
    kw = small.series.gap_kw.copy()
    kw[40:8_600] = np.nan
    houses = {"good": small, "poor": replace(small, series=Series(small.series.first_minute, kw))}
    shown: list[str] = []
    with pytest.raises(RunError, match=r"^poor: peers are fitted to .* are needed\): give more days by --fit-days, or"):
        evaluate_house_leads(stand_ins(model()), houses, LEADS, HousesOptions(peers=True, fit_days=6), shown.append)
    assert shown == []


def test_evaluate_leads_with_too_few_outcomes_to_fit_to_is_rejected(small: CleanFile) -> None:
    """A missing minute every 45 leaves windows that end with 30 readings, but not enough for a mean of 15 minutes."""
    kw = small.series.gap_kw.copy()
    kw[::45] = np.nan
    gappy = replace(small, series=Series(small.series.first_minute, kw))
    few = r"peers are fitted to .* too many minutes are missing there for the mean 15 min ahead \(.* needed\)"
    options = EvaluationOptions(START + timedelta(minutes=8_600), peers=PeerOptions())
    with pytest.raises(RunError, match=rf"^{few}: leave 15 out of --horizons$"):
        evaluate_leads(stand_ins(model()), gappy, LEADS, options)
    houses = {"good": small, "gappy": gappy}
    with pytest.raises(RunError, match=rf"^gappy: {few}: leave 15 out of --horizons, or leave the house out$"):
        evaluate_house_leads(stand_ins(model()), houses, LEADS, HousesOptions(peers=True, fit_days=6))


def test_evaluate_leads_prints_a_table_of_each_kind(found: LeadEvaluation) -> None:
    text = "\n".join(lead_lines(found))
    for words in (
        "The minute at the lead time: MSE",
        "The mean of all minutes until then: MSE",
        "Skill against persistence",
        "Skill against last window",
        "Share within the 90 % interval",
    ):
        assert words in text
    assert "last_week" not in text
    document = json.loads(json.dumps(found.as_json()))
    assert document["horizons_min"] == list(LEADS)
    assert document["models"][-1]["scores"]["mean"]["30"]["n"] == row(found, "persistence").records["mean"][30].n


def test_evaluate_leads_fits_trees_for_each_kind_and_lead(small: CleanFile) -> None:
    notes: list[str] = []
    models = stand_ins(model(trained_on=small.report.sha256))
    scored = evaluate_leads(models, small, (5, 15), EvaluationOptions(peers=PeerOptions(1_500)), show=notes.append)
    trees, persistence = row(scored, "lightgbm-180"), row(scored, "persistence")
    assert (trees.kind, len(notes)) == ("peer", 4)
    assert "a model for each kind and lead time" in trees.about
    for kind in KINDS:
        for lead in (5, 15):
            record = trees.records[kind][lead]
            assert record.n == persistence.records[kind][lead].n
            assert record.mse_kw2 < persistence.records[kind][lead].mse_kw2
    assert trees.records["mean"][15].mse_kw2 < trees.records["point"][15].mse_kw2


def test_evaluate_leads_unknown_lists_the_possible_ones(small: CleanFile) -> None:
    with pytest.raises(RunError, match="model spread-of-means has no lead time of 20 min; it has 5, 15, 30"):
        evaluate_leads(stand_ins(model()), small, (5, 20))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--horizons", "5,soon"), "'soon' is not a number of minutes"),
        (("--horizons", "5,5"), "'5' is listed twice"),
        (("--horizons", "7"), "no model has all lead times 7"),
        (("lstm", "--horizons", "15"), "model lstm has no lead time of 15 min; it has 1, 2, 3, 4, 5"),
    ],
)
def test_evaluate_command_names_wrong_horizons(clean_path: Path, arguments: tuple[str, ...], problem: str) -> None:
    done = CliRunner().invoke(main, ["evaluate", "--clean", str(clean_path), *arguments])
    assert done.exit_code != 0
    assert problem in f"{done.output} {done.exception}"


def test_evaluate_command_scores_horizons(clean_path: Path, tmp_path: Path) -> None:
    scores, page = tmp_path / "scores.json", tmp_path / "scores.html"
    arguments = ["lstm", "--clean", str(clean_path), "--horizons", "1,5", "--json", str(scores), "--report", str(page)]
    done = CliRunner().invoke(main, ["evaluate", *arguments])
    assert done.exit_code == 0, done.output
    assert "The minute at the lead time" in done.output
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    whole = json.loads(scores.read_text(encoding="utf-8"))
    assert [one["name"] for one in whole["models"]] == [*REFERENCES, "lstm"]


# --- shipped models of several horizons -------------------------------------------------------------


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of shipped models: the default one for 5 minutes, and one for an hour, with a history."""
    folder = tmp_path / "shipped"
    for source in (shipped_models() / "lstm-5-3", history_model()):
        shutil.copytree(source, folder / source.name)
    (folder / "registry.json").write_text('{"default": "lstm-5-3"}', encoding="utf-8")
    monkeypatch.setattr("gapcast_trainer.evaluation.scored_models.models_path", lambda: folder)
    return folder


def test_evaluate_without_names_uses_the_default_models_horizon(shipped: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    own, others = load_scored((), tmp_path / "none", notes.append)
    assert (own, [one.name for one in others]) == ([], ["lstm-5-3"])
    assert notes == ["the shipped with-history is not scored: it forecasts 60 min ahead"]
    assert shipped.is_dir()


def test_evaluate_with_horizons_scores_the_models_that_have_them(
    shipped: Path, tmp_path: Path, small: CleanFile
) -> None:
    notes: list[str] = []
    _, others = load_scored((), tmp_path / "none", notes.append, lead_times_min=(5, 60))
    assert [one.name for one in others] == ["with-history"]
    assert notes[0].startswith("lstm-5-3 is not scored: it forecasts ")
    scores = row(evaluate_leads(others, small, (5, 60)), "with-history").records
    assert {kind: tuple(records) for kind, records in scores.items()} == dict.fromkeys(KINDS, (5, 60))
    assert scores["mean"][60].coverage is not None
    assert shipped.is_dir()


def test_scored_windows_have_the_history_of_their_minute(small: CleanFile) -> None:
    found = cut_examples(small.series, WindowTask(WindowSpec(30)), SPLIT, SplitPart.TEST)
    week = WeekHistory(1)
    inputs = found.inputs(0, 40)
    minutes = found.observed_minute[:40]
    filled = fill_short_gaps(small.series.gap_kw.astype(np.float32))
    for at in np.flatnonzero(~np.isnan(filled[: minutes[-1] + 1 - small.series.first_minute])).tolist():
        week.add(0, small.series.first_minute + at, float(filled[at]))
    expected = histories_in(week, [0] * 40, minutes.tolist(), inputs[:, :, 0].mean(axis=1), 672)
    histories = found.histories(0, 40, inputs, 672)
    assert histories is not None
    np.testing.assert_allclose(histories, expected, rtol=1e-5)
    assert found.histories(0, 40, inputs, 0) is None
    with pytest.raises(ValueError, match="no history, which the model needs"):
        replace(found, quarters=None).histories(0, 40, inputs, 672)
