"""Evaluation: the scored minutes, the baselines, and consistent tables."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.card import ModelCard
from gapcast.core.models.predictor import Prediction
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Persistence, Trend
from gapcast.recordings.formats import uci
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.data.split import MinuteSplit, SplitPart
from gapcast_trainer.data.windows import Examples, WindowTask, cut_examples
from gapcast_trainer.errors import RunError
from gapcast_trainer.evaluation.evaluate import counts_for, evaluate
from gapcast_trainer.export.score import card_skill, score
from gapcast_trainer.scores.minutes import AFTER_GAPS, Minutes, minutes_at
from gapcast_trainer.scores.options import EvaluationOptions
from gapcast_trainer.scores.result import Evaluation, ForecasterScores
from gapcast_trainer.scores.span import choose_span
from gapcast_trainer.scores.table import lines
from tests.support.uci_files import START
from tests.trainer.forecasters import LEADS, Spread, stand_ins
from tests.trainer.synthetic import SPLIT

BRIEF = EvaluationOptions(brief=True)


@pytest.fixture(scope="module")
def windows(small: CleanFile) -> Examples:
    return cut_examples(small.series, WindowTask(), SPLIT, SplitPart.TEST)


@pytest.fixture(scope="module")
def found(small: CleanFile) -> Evaluation:
    """Two models on the test part of the data they were trained on: one with a path and quantiles, one without."""
    own = small.report.sha256
    point = Spread("point", spec=WindowSpec(12), lead_times_min=(5,), quantile_levels=None, off_kw=0.5, trained_on=own)
    return evaluate(stand_ins(Spread(trained_on=own), point), small)


def row(evaluation: Evaluation, name: str) -> ForecasterScores:
    return next(row for row in evaluation.rows if row.name == name)


def test_score_matches_a_hand_calculation(windows: Examples) -> None:
    got = score(Persistence(), windows)
    error = windows.inputs()[:, -1, 0].astype(float) - windows.target_kw[:, 0]
    assert got.n == len(windows)
    assert got.mse_kw2 == pytest.approx(np.mean(error**2))
    assert got.mae_kw == pytest.approx(np.mean(np.abs(error)))
    assert got.skill(got) == 0
    assert score(Trend(), windows).skill(got) == pytest.approx(1 - score(Trend(), windows).mse_kw2 / got.mse_kw2)


def test_card_skill_of_constant_power_is_an_error() -> None:
    assert card_skill(0.3, 0.4) == pytest.approx(0.25)
    with pytest.raises(RunError, match=r"does not change in the test part.*: choose a test part .* data\.test_until"):
        card_skill(0.0, 0.0)
    with pytest.raises(RunError, match="does not change in the test part"):
        card_skill(0.1, 1e-10)  # rounding errors


def test_card_score_with_quantiles_has_median_and_coverage(windows: Examples) -> None:
    with_quantiles = score(Spread(lead_times_min=(5,)), windows).for_card()
    assert with_quantiles.mae_median_kw == with_quantiles.mae_kw  # it says the last reading for both
    assert 0.3 < (with_quantiles.coverage or 0) < 1
    without = score(Persistence(), windows).for_card()
    assert (without.mae_median_kw, without.coverage) == (None, None)


def test_score_is_of_the_horizon(small: CleanFile, windows: Examples) -> None:
    """With more lead times than one, the last counts."""
    path = cut_examples(small.series, WindowTask(WindowSpec(), (1, 5)), SPLIT, SplitPart.TEST)
    got = score(Persistence(lead_times_min=(1, 5)), path)
    assert got.mse_kw2 == pytest.approx(score(Persistence(), windows).mse_kw2, rel=0.02)


def test_score_of_shortened_windows(windows: Examples) -> None:
    found = windows.whole()
    slope = found.inputs()[:, -1, 0].astype(float) - found.inputs()[:, -2, 0]
    two = score(Trend(), found, n_kept=2)
    minute = np.arange(30) - 29.0
    centred = minute - minute.mean()
    step = np.zeros(30)
    step[-1] = 1
    rise = step @ centred / (centred @ centred)  # of a window that is flat but for its last minute, a unit higher
    last = found.inputs()[:, -1, 0].astype(float)
    expected = last - slope + slope * (1 / 30 + rise * (5 - minute.mean()))
    assert two.mse_kw2 == pytest.approx(np.mean((expected - found.target_kw[:, 0]) ** 2), rel=1e-5)
    assert score(Persistence(), found, n_kept=2) == score(Persistence(), found)


def test_evaluate_models_and_baselines_on_the_same_minutes(found: Evaluation, windows: Examples) -> None:
    """For any context: the headline is over the windows that end with 30 measured readings."""
    assert [r.name for r in found.rows] == ["persistence", "trend", "spread", "point"]
    assert {r.sheets[5].headline.n for r in found.rows} == {len(windows.whole())}
    assert {r.sheets[5].stream.n for r in found.rows} == {len(windows)}
    naive, spread, point = (row(found, name).sheets[5].headline for name in ("persistence", "spread", "point"))
    assert spread.mse_kw2 == naive.mse_kw2 == naive.persistence_mse_kw2
    assert naive.skill == spread.skill == 0 > point.skill
    assert point.bias_kw == pytest.approx(naive.bias_kw + 0.5, abs=1e-6)
    assert (spread.coverage is None, point.coverage is None) == (False, True)


def test_evaluate_scores_every_lead_time(found: Evaluation) -> None:
    assert {r.name: tuple(r.sheets) for r in found.rows} == {
        "persistence": LEADS, "trend": LEADS, "spread": LEADS, "point": (5,),
    }  # fmt: skip
    mse = [row(found, "persistence").sheets[lead].headline.mse_kw2 for lead in LEADS]
    assert mse == sorted(mse)
    width = [row(found, "spread").sheets[lead].headline.width_kw or 0 for lead in LEADS]
    assert width == sorted(width)


def test_evaluate_hours_and_months_add_up_to_the_headline(found: Evaluation) -> None:
    sheet = row(found, "point").sheets[5]
    for group in (sheet.by_hour, sheet.by_month):
        assert sum(record.n for record in group.values()) == sheet.headline.n
        total = sum(record.n * record.mse_kw2 for record in group.values())
        assert total == pytest.approx(sheet.headline.n * sheet.headline.mse_kw2)
    assert set(sheet.by_hour) == set(range(24))
    assert set(sheet.by_month) == {"2020-01"}


def test_evaluate_groups_by_the_targets_hour_and_month() -> None:
    """A forecast made at 23:57 on the last day of a month counts for the first hour of the next one."""
    last = datetime(2020, 1, 31, 23, 57, tzinfo=UTC)
    series = Series(int(last.timestamp()) // 60 - 40, np.ones(60))
    minutes = minutes_at(series, np.array([int(last.timestamp()) // 60]), (1, 5))
    assert [minutes.hours(lead).tolist() for lead in (1, 5)] == [[23], [0]]
    assert [minutes.months(lead)[1] for lead in (1, 5)] == [["2020-01"], ["2020-02"]]


def of_gaps(*gaps: tuple[int, int]) -> tuple[Series, Minutes]:
    """200 minutes with gaps (start, length), and every reading from the second on that has a target."""
    kw = np.arange(200, dtype=np.float64)
    for start, length in gaps:
        kw[start : start + length] = np.nan
    observed = np.flatnonzero(~np.isnan(kw[:195]) & ~np.isnan(kw[5:]))
    return Series(0, kw), minutes_at(Series(0, kw), observed, (2, 5))


def test_evaluate_marks_restarts_and_filled_minutes() -> None:
    _, minutes = of_gaps((80, 6), (150, 5))
    at = dict(zip(minutes.observed_minute.tolist(), range(len(minutes)), strict=True))
    two, five, ten, filled = minutes.after_gaps()
    assert [minutes.n_seen[at[m]] for m in (1, 79 - 5, 86, 87, 120)] == [2, 75, 1, 2, 35]
    assert [m for m in at if two[at[m]] and m > 80] == [87, 88, 89]
    assert [m for m in at if five[at[m]] and m > 80] == [90, 91, 92, 93, 94]
    assert [m for m in at if ten[at[m]] and m > 80] == list(range(95, 115))
    assert [m for m in at if filled[at[m]]] == list(range(155, 184))  # 155 sees 150 to 154, 183 sees 154
    assert [m for m in at if minutes.whole[at[m]] and 80 < m < 160] == list(range(115, 145))
    assert minutes.age_min[at[160]] == 160 - 86 + 1


def test_evaluate_skips_lead_times_without_a_reading() -> None:
    _, minutes = of_gaps((100, 1))
    assert np.isnan(minutes.actual_kw(2)).sum() == 1
    assert not np.isnan(minutes.actual_kw(5)).any()
    assert minutes.actual_kw(2)[:3].tolist() == [2.0, 3.0, 4.0]


def test_evaluate_filled_minute_is_no_target() -> None:
    series, minutes = of_gaps()
    filled = np.arange(series.gap_kw.size) == 100
    found = minutes_at(replace(series, filled=filled), minutes.observed_minute, (2, 5))
    missing = [found.observed_minute[np.isnan(found.actual_kw(lead))].tolist() for lead in (2, 5)]
    assert missing == [[98], [95]]
    assert len(found) == len(minutes)


def test_evaluate_scores_near_gaps_separately(small: CleanFile) -> None:
    whole_file = evaluate(stand_ins(Spread()), small, BRIEF)
    sheet = row(whole_file, "spread").sheets[5]
    assert list(sheet.after_gaps) == list(AFTER_GAPS)
    assert [sheet.after_gaps[name].n for name in AFTER_GAPS[:3]] == [3 * 3, 3 * 5, 3 * 20]  # the file, 6, 90 min
    assert sum(record.n for record in sheet.after_gaps.values()) == sheet.stream.n - sheet.headline.n


def test_evaluate_scores_by_number_of_readings(found: Evaluation) -> None:
    assert tuple(row(found, "spread").sheets[1].by_readings) == tuple(range(2, 31))
    assert tuple(row(found, "point").sheets[5].by_readings) == tuple(range(2, 13))
    assert counts_for(180) == (*range(2, 31), 45, 60, 90, 120, 150, 180)
    whole = row(found, "spread").sheets[5]
    assert whole.by_readings[30].mse_kw2 == pytest.approx(whole.headline.mse_kw2)  # few windows: all are taken
    assert (whole.by_readings[2].width_kw or 0) < (whole.by_readings[30].width_kw or 0)


def test_evaluate_other_house_over_its_whole_length(small: CleanFile) -> None:
    found = evaluate(stand_ins(Spread()), small, BRIEF)
    assert (found.span.first, found.span.until) == (START, START + timedelta(minutes=9_000))
    assert "the whole file: no model's card names it" in lines(found)[0]


def card_of(small: CleanFile, source: str) -> ModelCard:
    """The card of a model that was trained on a file with ``source``, whose golden example is of ``small``."""
    kw = small.series.gap_kw
    start = next(at for at in range(2_100, 2_900) if np.ptp(kw[at : at + 30]) > 1)
    card = Spread(trained_on="1" * 64).card
    trained = card.trained_on.model_copy(update={"source": source, "last": SPLIT.train_until - timedelta(minutes=1)})
    window = kw[start : start + 30, np.newaxis].astype(np.float32).tolist()
    golden = card.golden.model_copy(update={"window": [card.golden.window[0], window]})
    return card.model_copy(update={"trained_on": trained, "golden": golden})


def test_span_longer_file_of_the_same_meter_is_its_test_part(small: CleanFile) -> None:
    """A later export has another name and hash; the card has windows of the meter's readings."""
    found = choose_span([card_of(small, "export-2.csv, column power (kW)")], small)
    assert (found.first, found.why) == (SPLIT.validate_until, "the test part on the models' cards")
    assert (found.fitted_to, found.overlapping) == ((), ())


def test_span_other_house_in_a_file_of_the_same_name_is_whole(small: CleanFile) -> None:
    source = "export.csv, column power (kW)"
    other = replace(small, report=replace(small.report, source=source, sha256="2" * 64))
    series = Series(small.series.first_minute, small.series.gap_kw + 0.1)
    found = choose_span([card_of(small, source)], replace(other, series=series))
    assert (found.first, found.until) == (START, START + timedelta(minutes=9_000))
    assert (found.fitted_to, found.overlapping) == ((), ("spread",))
    assert "Possibly not out of sample for spread: trained on data of the same time" in found.sentences("1 window")[1]
    later = Series(small.series.first_minute + 500_000, series.gap_kw)
    assert choose_span([card_of(small, source)], replace(other, series=later)).overlapping == ()


def test_span_other_edition_of_uci_is_the_test_part(small: CleanFile) -> None:
    assert small.report.source == uci.SOURCE
    found = choose_span(
        [card_of(small, uci.SOURCE)],
        replace(small, series=Series(small.series.first_minute, small.series.gap_kw + 0.1)),
    )
    assert found.first == SPLIT.validate_until


def test_evaluate_known_file_on_minutes_new_to_all_models(small: CleanFile) -> None:
    later = replace(SPLIT, validate_until=SPLIT.validate_until + timedelta(minutes=300))
    models = [Spread(name, trained_on=small.report.sha256, split=split) for name, split in (("a", SPLIT), ("b", later))]
    found = evaluate(stand_ins(*models, Spread("other")), small, BRIEF)
    assert found.span.first == later.validate_until
    assert found.span.fitted_to == ()
    assert lines(found)[0].endswith("UTC (the part common to all cards; b begins 2020-01-06)")


def test_span_common_to_cards_names_those_that_limit_it(small: CleanFile) -> None:
    sooner = replace(SPLIT, test_until=SPLIT.validate_until + timedelta(days=1))
    beyond = replace(SPLIT, test_until=SPLIT.test_until + timedelta(days=9))  # both end after the file

    def why(**splits: MinuteSplit) -> str:
        models = [Spread(name, trained_on=small.report.sha256, split=split) for name, split in splits.items()]
        return choose_span([model.card for model in stand_ins(*models)], small).why

    assert why(a=SPLIT, b=beyond) == "the test part on the models' cards"
    assert why(a=SPLIT, b=sooner, c=sooner) == "the part common to all cards; b, c end 2020-01-07"


def test_span_of_cards_without_common_minutes_is_after_all(small: CleanFile) -> None:
    own, after = small.report.sha256, START + timedelta(minutes=9_000)
    earlier = replace(SPLIT, test_until=SPLIT.validate_until + timedelta(minutes=300))
    later = replace(SPLIT, validate_until=earlier.test_until + timedelta(minutes=60))
    models = [Spread(name, trained_on=own, split=split) for name, split in (("a", earlier), ("b", later))]
    found = choose_span([model.card for model in stand_ins(*models)], small)
    assert (found.first, found.until, found.fitted_to) == (later.validate_until, after, ())
    assert found.why == "new to all models: after the test part of a"


def test_evaluate_training_minutes_on_request_with_a_remark(small: CleanFile) -> None:
    model = Spread(trained_on=small.report.sha256)
    until = START + timedelta(minutes=2_000)
    found = evaluate(stand_ins(model), small, EvaluationOptions(START, until, brief=True))
    assert found.span.fitted_to == ("spread",)
    assert "Not out of sample for spread" in lines(found)[1]
    assert found.as_json()["fitted_to_these_minutes"] == ["spread"]
    assert found.rows[0].sheets[5].stream.n < 2_000


def test_evaluate_empty_span_is_rejected(small: CleanFile) -> None:
    with pytest.raises(RunError, match="they would begin at 2020-01-02T00:00Z and end before 2020-01-01T00:00Z"):
        evaluate(stand_ins(Spread()), small, EvaluationOptions(START + timedelta(days=1), START))
    with pytest.raises(RunError, match="no 30 readings in a row with an outcome; the file has 2020-01-01T00:00:00Z to"):
        evaluate(stand_ins(Spread()), small, EvaluationOptions(START + timedelta(days=6, hours=5, minutes=58)))
    with pytest.raises(RunError, match="they would begin at 2020-01-31T00:00Z and end before 2020-01-07T06:00Z"):
        evaluate(stand_ins(Spread()), small, EvaluationOptions(START + timedelta(days=30), START + timedelta(days=31)))


def test_evaluate_missing_feature_is_rejected(small: CleanFile) -> None:
    bare = replace(small, series=Series(small.series.first_minute, small.series.gap_kw))
    with pytest.raises(RunError, match="voltage_v"):
        evaluate(stand_ins(Spread(features=("gap_kw", "voltage_v"))), bare)


def test_evaluate_passes_other_features(small: CleanFile) -> None:
    seen = Spread("more", features=("gap_kw", "voltage_v", "tod_sin"))
    found = evaluate(stand_ins(Spread(), seen), small, BRIEF)
    assert row(found, "more").sheets[5] == row(found, "spread").sheets[5]


def test_evaluate_tables_and_json_agree(found: Evaluation, small: CleanFile) -> None:
    text, content = "\n".join(lines(found)), json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert [model["name"] for model in content["models"]] == ["persistence", "trend", "spread", "point"]
    spread, point = content["models"][2:]
    for key in ("mse_kw2", "rmse_kw", "mae_kw", "median_mae_kw", "skill", "crps_kw", "pinball_mean_kw", "coverage"):
        assert f"{spread['headline'][key]:.4f}" in text
    assert f"{point['headline']['bias_kw']:.4f}" in text
    assert f"{spread['headline']['n']:,} windows" in text
    assert spread["by_lead"]["5"]["headline"] == spread["headline"]
    assert spread["by_lead"].keys() == {str(lead) for lead in LEADS}
    assert f"{spread['by_lead']['1']['headline']['mse_kw2']:.4f} / " in text
    assert f"{point['by_readings']['7']['mse_kw2']:.4f}" in text
    assert (spread["cost"]["bytes"], spread["cost"]["single_us"] > spread["cost"]["row_us"] > 0) == (1, True)
    assert content["source_sha256"] == small.report.sha256
    assert content["from"] == "2020-01-06T00:00:00Z"


def test_evaluate_brief_skips_slow_parts(small: CleanFile) -> None:
    brief = evaluate(stand_ins(Spread()), small, BRIEF)
    text = "\n".join(lines(brief))
    assert "by readings seen" not in text
    assert "one thread" not in text


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_evaluate_model_with_a_value_that_is_not_finite_is_rejected(small: CleanFile, value: float) -> None:
    """Without its forecasts of some minutes it would be scored on other minutes than the others."""

    class Failing(Spread):
        def predict(self, windows: F32) -> Prediction:
            found = super().predict(windows)
            found.mean[-1, 0] = value
            return found

    with pytest.raises(RunError, match=rf"model failing: mean is {value}, .* forecast made at 20\d\d-.*: correct the"):
        evaluate(stand_ins(Spread(), Failing("failing")), small, BRIEF)


def test_evaluate_counts_crossed_quantiles(small: CleanFile) -> None:
    crossed = Spread(quantile_levels=(0.05, 0.95), off_kw=0.0)
    assert row(evaluate(stand_ins(crossed), small, BRIEF), "spread").crossed_ratio == 0
    upside_down = Spread(quantile_levels=(0.95, 0.05))
    found = evaluate(stand_ins(upside_down), small, BRIEF)
    assert row(found, "spread").crossed_ratio > 0.9
