"""The outlooks of a back-test equal the engine's step by step, and their scores equal the written file's."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gapcast.backtest.inputs.engine_settings import with_outlooks
from gapcast.backtest.inputs.houses import FilePart
from gapcast.backtest.outlooks.lead_scores import LeadComparison, LeadSums
from gapcast.backtest.outlooks.outlook_tally import HEADER, OutlookRequest
from gapcast.backtest.processes import run_files
from gapcast.backtest.request import BacktestRequest
from gapcast.backtest.results.report import document, lines, outlook_table
from gapcast.backtest.results.results import Backtest
from gapcast.backtest.run import run_houses
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.outlook.interpolation import interpolate
from gapcast.core.outlook.options import OutlookConfig
from gapcast.core.outlook.outlook import Outlook
from gapcast.core.outlook.scores.reference_forecasts import KINDS, REFERENCES
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import minute_label
from gapcast.recordings.recording import Minute
from gapcast.recordings.text.layout import FileFormat, Layout
from tests.support.houses import FIRST, Smooth, house_kw
from tests.support.models import history_model, shipped_models
from tests.support.outlook_model import OutlookModel

LEADS = (5, 12, 30, 60)
MINUTES = 1_440


def engine() -> Engine:
    """An engine of two models, whose outlooks learn."""
    published = Smooth(lead_times_min=(1, 2, 3, 4, 5))
    return Engine(published, ensemble=Ensemble((published,), EnsembleOptions()), outlook=OutlookConfig(OutlookModel()))


def house(n: int, seed: int) -> list[Minute]:
    """``n`` minutes with a short and a long gap, and filled minutes."""
    kw = house_kw(n, seed)
    without = {200, 201, *range(600, 620)}
    return [Minute(FIRST + i, float(kw[i]), i in (400, 401)) for i in range(n) if i not in without]


def run(houses: dict[str, list[Minute]], out: Path | None = None, scored_from: int | None = None) -> Backtest:
    of_each = {name: iter(minutes) for name, minutes in houses.items()}
    return run_houses(engine(), of_each, scored_from, request=BacktestRequest(outlook=OutlookRequest(LEADS, out)))


def read(path: Path) -> dict[tuple[str, str, str, int], list[float]]:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.reader(stream)
        assert tuple(next(rows)) == HEADER
        return {(row[0], row[1], row[2], int(row[3])): [float(value or "nan") for value in row[4:]] for row in rows}


def step_by_step(houses: dict[str, list[Minute]]) -> list[Outlook]:
    """The outlooks of the service's engine, with one reading at a time."""
    own, outlooks = engine(), []
    for name, minutes in houses.items():
        for minute in minutes:
            accepted = own.accept([Reading(name, minute.minute, minute.gap_kw, False, None, minute.is_filled)])
            forecasts = own.forecast(accepted, 7)
            outlooks += list(own.outlook(accepted, forecasts) or ())
            own.learn()
    return outlooks


@pytest.mark.long
def test_backtest_outlooks_equal_the_engines(tmp_path: Path) -> None:
    houses = {"a": house(400, 1), "b": house(300, 2)}
    found = read_outlooks(houses, tmp_path)
    outlooks = step_by_step(houses)
    assert len(found) == len(outlooks) * len(KINDS) * len(LEADS)
    for one in outlooks:
        for kind, kw in zip(KINDS, (one.point_kw, one.mean_kw), strict=True):
            expected = interpolate(one.lead_times_min, kw[np.newaxis], LEADS)[0]
            own = [found[str(one.device), minute_label(one.observed_minute), kind, lead] for lead in LEADS]
            np.testing.assert_allclose(own, expected, atol=2e-6)


def read_outlooks(houses: dict[str, list[Minute]], folder: Path) -> dict[tuple[str, str, str, int], list[float]]:
    run(houses, folder / "outlook.csv")
    return read(folder / "outlook.csv")


def plain_scores(
    name: str, minutes: Sequence[Minute], written: dict[tuple[str, str, str, int], list[float]], since: int
) -> dict[tuple[str, int], dict[str, float]]:
    """Score a house's lines of the file with nothing but loops."""
    known = {one.minute: one.gap_kw for one in minutes}
    later = {one.minute for before, one in pairwise(minutes) if one.minute - before.minute <= 6}
    measured = {one.minute: one.gap_kw for one in minutes if not one.is_filled and one.minute in later}
    scores = {}
    for kind in KINDS:
        for lead in LEADS:
            errors, hits = [], []
            for minute, last_kw in known.items():
                values = written.get((name, minute_label(minute), kind, lead))
                span = [minute + lead] if kind == "point" else range(minute + 1, minute + lead + 1)
                if values is None or minute < since or not all(one in measured for one in span):
                    continue
                actual = sum(measured[one] for one in span) / len(span)
                window = [known[one] for one in range(minute - lead + 1, minute + 1) if one in known]
                mean, lower, median, upper = values
                errors.append([mean - actual, median - actual, last_kw - actual, np.mean(window) - actual])
                hits.append(lower <= actual <= upper)
            mean, median, last, window_errors = np.array(errors).T
            scores[kind, lead] = {
                "n": len(errors), "mse": np.mean(mean**2), "mae": np.mean(np.abs(median)),
                "persistence": np.mean(last**2), "last_window": np.mean(window_errors**2), "coverage": np.mean(hits),
            }  # fmt: skip
    return scores


def assert_scores(found: Sequence[LeadComparison], plain: dict[tuple[str, int], dict[str, float]]) -> None:
    assert [(score.kind, score.lead_min) for score in found] == list(plain)
    for score in found:
        expected = plain[score.kind, score.lead_min]
        of_persistence, of_window = score.references["persistence"], score.references["last_window"]
        assert score.n == of_persistence.n == of_window.n == expected["n"]
        assert score.mse_kw2 == pytest.approx(expected["mse"], abs=1e-5)
        assert score.mae_kw == pytest.approx(expected["mae"], abs=1e-5)
        assert of_persistence.mse_kw2 == pytest.approx(expected["persistence"], abs=1e-6)
        assert of_window.mse_kw2 == pytest.approx(expected["last_window"], abs=1e-6)
        assert of_persistence.skill == pytest.approx(1 - expected["mse"] / expected["persistence"], abs=1e-4)
        assert score.coverage == pytest.approx(expected["coverage"], abs=0.005)


@pytest.mark.long
def test_backtest_outlook_scores_equal_a_plain_recomputation(tmp_path: Path) -> None:
    houses, out = {"a": house(MINUTES, 1), "b": house(900, 2)}, tmp_path / "outlook.csv"
    found = run(houses, out)
    assert found.outlooks is not None
    written = read(out)
    for name, minutes in houses.items():
        assert_scores(found.outlooks.for_house(name), plain_scores(name, minutes, written, 0))
    both = [sum(score.n for score in scores) for scores in map(found.outlooks.for_house, houses)]
    assert sum(score.n for score in found.outlooks.overall()) == sum(both)


def test_backtest_outlooks_know_the_first_reading_after_days(tmp_path: Path) -> None:
    """It is held until the next reading confirms it, and is then one of the last minutes of that reference."""
    kw, there, out = house_kw(1_700, 5), [*range(90), *range(1_600, 1_700)], tmp_path / "outlook.csv"
    minutes = [Minute(FIRST + i, 9.0 if i == 1_600 else float(kw[i])) for i in there]
    found = run({"a": minutes}, out)
    assert found.outlooks is not None
    assert_scores(found.outlooks.for_house("a"), plain_scores("a", minutes, read(out), 0))


def test_backtest_outlooks_ignore_a_single_time_days_ahead(tmp_path: Path) -> None:
    kw = house_kw(300, 4)
    minutes = [Minute(FIRST + i, float(kw[i])) for i in range(300)]
    wrong = Minute(FIRST + 5_000, 9.0)
    found = [run({"a": one}).outlooks for one in (minutes, [*minutes[:150], wrong, *minutes[150:]])]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].for_house("a") == found[1].for_house("a")


@pytest.mark.long
def test_backtest_outlook_scores_equal_the_live_scores() -> None:
    """The live scores are the service's at the end of the run, of a house without gaps."""
    minutes = [Minute(FIRST + i, float(kw)) for i, kw in enumerate(house_kw(600, 4))]
    own = engine()
    found = run_houses(
        own, {"a": iter(minutes)}, request=BacktestRequest(outlook=OutlookRequest(OutlookModel().lead_times_min))
    ).outlooks
    live = own.outlook_scores_of("a")[ALL_TIME]
    assert found is not None
    for score, its in zip(found.for_house("a"), (*live.point, *live.mean), strict=True):
        assert (score.lead_min, score.n) == (its.lead_min, its.n)
        assert score.mse_kw2 == pytest.approx(its.mse_kw2, rel=1e-4)
        assert score.mae_kw == pytest.approx(its.mae_kw, rel=1e-4)
        assert score.references["persistence"].mse_kw2 == pytest.approx(its.persistence_mse_kw2, rel=1e-4)
        # The service's window is padded with the oldest reading at first.
        assert score.references["last_window"].mse_kw2 == pytest.approx(its.window_mse_kw2, rel=0.1)


def test_backtest_outlooks_survive_time_going_back(tmp_path: Path) -> None:
    """Two readings are late before the third proves it; earlier forecasts get no more outcomes."""
    kw = house_kw(300, 4)
    there = [*range(150), *range(100, 300)]
    found = run({"a": [Minute(FIRST + i, float(kw[i])) for i in there]}, tmp_path / "outlook.csv").outlooks
    assert found is not None
    assert {(one.kind, one.lead_min): one.n for one in found.for_house("a")} == {
        (kind, lead): 149 - lead + 198 - lead for kind in KINDS for lead in LEADS
    }


@pytest.mark.long
def test_backtest_outlooks_scored_from_a_date_are_all_written(tmp_path: Path) -> None:
    houses, since, out = {"a": house(MINUTES, 1)}, FIRST + 800, tmp_path / "outlook.csv"
    found = run(houses, out, since)
    assert found.outlooks is not None
    written = read(out)
    assert len(written) == (len(houses["a"]) - 2) * len(KINDS) * len(LEADS)
    assert_scores(found.outlooks.for_house("a"), plain_scores("a", houses["a"], written, since))


@pytest.mark.long
def test_backtest_without_horizons_has_the_same_forecasts() -> None:
    houses = {"a": house(400, 1)}
    alone = run_houses(engine(), {name: iter(minutes) for name, minutes in houses.items()})
    beside = run(houses)
    assert alone.outlooks is None
    assert alone.scored == beside.scored
    assert "outlook" not in document(alone)
    assert not any("outlook" in line for line in lines(alone))


def test_backtest_report_has_a_table_of_outlooks() -> None:
    found = run({"a": house(200, 1), "b": house(200, 2), "short": house(1, 3)})
    text = list(lines(found))
    heads = [i for i, line in enumerate(text) if ": outlook, MSE kW2 / MAE kW; skill" in line]
    assert [text[i].split(":")[0] for i in heads] == ["a", "b", "short", "all 3 houses"]
    table = text[heads[-1] : heads[-1] + 2 * (2 + len(LEADS)) + 1]
    assert [line.split()[0] for line in table[3:7]] == [str(lead) for lead in LEADS]
    for word in ("persistence", "last window", "yesterday", "last week", "coverage"):
        assert word in table[2]
    whole = json.loads(json.dumps(document(found), allow_nan=False))
    assert [(one["kind"], one["lead_min"]) for one in whole["outlook"]] == [(k, lead) for k in KINDS for lead in LEADS]
    assert whole["houses"]["short"]["outlook"][0]["n"] == 0
    point = whole["houses"]["a"]["outlook"][0]
    assert point["n"] > 100
    assert point["references"]["persistence"]["n"] == point["n"]
    assert math.isfinite(point["references"]["last_window"]["skill"])


def test_backtest_table_of_outlooks_has_skills_on_common_minutes() -> None:
    """Yesterday is known only for the second half, in which the outlooks are right."""
    sums = LeadSums((5,))
    actual_kw, outlooks_kw = np.ones((400, 2)), np.full((400, 2, 4), 3.0)
    outlooks_kw[200:] = 1.0
    references_kw = np.full((400, 2, len(REFERENCES)), 2.0)
    references_kw[:200, :, REFERENCES.index("yesterday")] = np.nan
    references_kw[:, :, REFERENCES.index("last_week")] = np.nan
    sums.add(0, outlooks_kw, actual_kw, references_kw)
    line = list(outlook_table("a", sums.scores()))[3]
    assert line.split() == ["5", "400", "2.0000/1.0000", *["-100.0%/+0.0%"] * 2, "+100.0%/+100.0%", "-", "50.0%"]


# --- with a model file ------------------------------------------------------------------------------


def settings_with(models: Path, **sections: object) -> Settings:
    """Settings with the test's models: ``lstm-5-3``, and one with a history that makes outlooks."""
    if not models.exists():
        shutil.copytree(shipped_models() / "lstm-5-3", models / "lstm-5-3")
        shutil.copytree(history_model(), models / history_model().name)
        (models / "registry.json").write_text(json.dumps({"default": "lstm-5-3"}), encoding="utf-8")
    outlook = {"model": history_model().name, "max_devices": 1}
    given = {"models": {"path": models}, "forecast": {"experts": []}, "outlook": outlook}
    return Settings.model_validate(given | sections)


def csv_file(path: Path, n: int, seed: int) -> Path:
    rows = [f"{minute_label(FIRST + i)},{kw}" for i, kw in enumerate(house_kw(n, seed).tolist())]
    path.write_text("\n".join(["time,kw", *rows]) + "\n", encoding="utf-8")
    return path


def test_backtest_files_have_outlooks_for_all_houses(tmp_path: Path) -> None:
    """More than ``outlook.max_devices`` of the service, from a model file with a history."""
    files = [csv_file(tmp_path / f"{name}.csv", 120, seed) for seed, name in enumerate("ab")]
    form, out = FileFormat(Layout("time", "kw", unit="kW")), tmp_path / "outlook.csv"
    request = OutlookRequest((15, 60), out)
    found = run_files(settings_with(tmp_path / "models"), files, form, FilePart(), BacktestRequest(outlook=request))
    assert found.outlooks is not None
    assert [found.outlooks.for_house(name)[0].n for name in "ab"] == [120 - 1 - 15] * 2
    assert len(read(out)) == 2 * 119 * len(KINDS) * 2


def test_backtest_without_horizons_makes_no_outlooks(tmp_path: Path) -> None:
    file, form = csv_file(tmp_path / "a.csv", 60, 1), FileFormat(Layout("time", "kw", unit="kW"))
    assert run_files(settings_with(tmp_path / "models"), [file], form, FilePart()).outlooks is None
    assert with_outlooks(settings_with(tmp_path / "models"), 0).outlook.is_wanted is False


def test_backtest_with_horizons_needs_the_outlook_model(tmp_path: Path) -> None:
    file, form = csv_file(tmp_path / "a.csv", 60, 1), FileFormat(Layout("time", "kw", unit="kW"))
    chosen = settings_with(tmp_path / "models", outlook={"model": "missing"})
    with pytest.raises(ModelError, match=r"outlook\.model: there is no model 'missing' in .*; there are: lstm-5-3"):
        run_files(chosen, [file], form, FilePart(), BacktestRequest(outlook=OutlookRequest((15,))))
