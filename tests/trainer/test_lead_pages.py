"""Pages of evaluations by lead time, and the tables by house: the same figures as the scores."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gapcast.core.outlook.scores.reference_forecasts import KINDS
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.cli import main
from gapcast_trainer.errors import RunError
from gapcast_trainer.evaluation.lead_evaluation import evaluate_leads
from gapcast_trainer.evaluation_report.any_page import page_of
from gapcast_trainer.evaluation_report.lead_figures import draw_house_leads, draw_lead_coverage, draw_lead_skill
from gapcast_trainer.houses.evaluation import HousesOptions
from gapcast_trainer.houses.lead_evaluation import evaluate_house_leads
from gapcast_trainer.houses.lead_result import HousesLeadEvaluation
from gapcast_trainer.houses.lead_table import house_lead_lines, kind_tables
from gapcast_trainer.scores.lead_result import LeadEvaluation, LeadRow
from gapcast_trainer.synthetic_houses.csv_file import as_csv
from gapcast_trainer.synthetic_houses.families import simulate
from tests.trainer.forecasters import Spread, stand_ins
from tests.trainer.test_lead_evaluation import LEADS, model

FEW = HousesOptions(scored_rows=300)


class Texts(HTMLParser):
    """The texts of table cells and captions, the headings, and the number of pictures; addresses of other files."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.n_pictures = 0
        self.outside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.n_pictures += tag == "img"
        self.outside += [v for k, v in attrs if k in {"src", "href"} and v and not v.startswith("data:")]

    def handle_data(self, data: str) -> None:
        self.cells.append(data.strip())


@pytest.fixture(scope="module")
def found(small: CleanFile) -> LeadEvaluation:
    return evaluate_leads(stand_ins(model(), Spread(lead_times_min=LEADS)), small, LEADS)


@pytest.fixture(scope="module")
def by_house(small: CleanFile) -> HousesLeadEvaluation:
    kw = small.series.gap_kw[:6_000].copy()
    other = CleanFile(Series(small.series.first_minute, np.roll(kw, 77)), small.report, "0", small.path)
    return evaluate_house_leads(stand_ins(model()), {"one": small, "two": other}, (15, 5), FEW)


def with_peer(found: LeadEvaluation) -> LeadEvaluation:
    """The same with trees, which are named as a peer is."""
    peer = replace(found.row("spread"), name="trees", kind="peer", about="trees of <this> house")
    return replace(found, rows=(*found.rows, peer))


def test_lead_page_has_each_figure_of_the_scores(found: LeadEvaluation) -> None:
    page = Texts(page_of(with_peer(found)))
    assert (page.outside, page.n_pictures) == ([], 2)
    assert {"The minute at the lead time", "The mean of all minutes until then", "last window"} <= {*page.cells}
    assert any("trees of <this> house" in cell for cell in page.cells)
    for kind in KINDS:
        for row in found.rows:
            for lead in LEADS:
                record = row.record(kind, lead)
                if record is not None and record.n == found.n_outcomes(kind, lead):
                    assert f"{record.mse_kw2:.4f}" in page.cells
                    assert f"{record.best_mae_kw:.4f}" in page.cells


@pytest.mark.long
def test_lead_page_is_the_same_in_each_run(found: LeadEvaluation) -> None:
    assert page_of(found) == page_of(found)


def test_lead_page_without_intervals_has_no_coverage(found: LeadEvaluation) -> None:
    bare = replace(found, rows=tuple(replace(row, records=_without_intervals(row)) for row in found.rows))
    assert draw_lead_coverage(bare) is None
    page = Texts(page_of(bare))
    assert page.n_pictures == 1
    assert "Coverage of the 90 % interval" not in page.cells


def _without_intervals(row: LeadRow) -> dict[str, Any]:
    return {
        kind: {lead: replace(record, coverage=None, width_kw=None, pinball_kw={}) for lead, record in records.items()}
        for kind, records in row.records.items()
    }


def test_lead_figure_draws_skill_in_percent(found: LeadEvaluation) -> None:
    axes = draw_lead_skill(with_peer(found)).axes
    lines = {line.get_label(): line for line in axes[2].lines}
    drawn = dict(zip(*lines["spread-of-means"].get_data(), strict=True))
    row, base = found.row("spread-of-means"), found.row("persistence")
    assert drawn == {
        lead: pytest.approx(100 * (1 - row.records["mean"][lead].mse_kw2 / base.records["mean"][lead].mse_kw2))
        for lead in LEADS
    }
    styles = {line.get_label(): line.get_linestyle() for line in axes[0].lines}
    assert (styles["trees"], styles["spread-of-means"], styles["last window"]) == (":", "-", "--")
    assert [*axes[2].get_xticks()] == [30, 15, 5]


def test_house_leads_equal_separate_evaluations(small: CleanFile, by_house: HousesLeadEvaluation) -> None:
    assert by_house.lead_times_min == (5, 15)
    assert by_house.model_names == ("spread-of-means",)
    alone = evaluate_house_leads(stand_ins(model()), {"one": small}, (5, 15), FEW)
    assert by_house.houses["one"] == alone.houses["one"]
    assert 200 < by_house.houses["one"].n <= 300


def test_house_leads_tables_state_worst_and_median(by_house: HousesLeadEvaluation) -> None:
    tables = {table.title: dict(table.rows) for table in kind_tables(by_house, "mean")}
    assert [title.partition(":")[0] for title in tables] == [
        "spread-of-means", "spread-of-means",
        "persistence", "last window", "spread-of-means", "persistence", "last window", "spread-of-means",
    ]  # fmt: skip
    skills = [
        [of.skill(of.row("spread-of-means"), "mean", lead, "persistence") for of in by_house.houses.values()]
        for lead in (5, 15)
    ]
    rows = tables["spread-of-means: MSE skill against persistence, %"]
    assert [*rows] == ["one", "two", "worst", "median", "houses below 0"]
    assert rows["worst"] == [f"{100 * min(values):+.1f}" for values in skills]
    assert rows["median"] == [f"{100 * median(values):+.1f}" for values in skills]
    assert rows["houses below 0"] == [str(sum(value < 0 for value in values)) for values in skills]
    text = "\n".join(house_lead_lines(by_house))
    assert "one: " in text
    assert "spread-of-means: share within the 90 % interval" in text
    document = json.loads(json.dumps(by_house.as_json()))
    over = document["over_houses"]["spread-of-means"]["mean"]["15"]["skill_persistence"]
    assert over["worst"] == pytest.approx(min(skills[1]), abs=1e-5)
    assert [*document["houses"]] == ["one", "two"]


def test_house_leads_page_has_a_line_for_each_house(by_house: HousesLeadEvaluation) -> None:
    figure = draw_house_leads(by_house, "spread-of-means")
    assert [line.get_label() for line in figure.axes[0].lines[:2]] == ["one", "two"]
    page = Texts(page_of(by_house))
    assert (page.outside, page.n_pictures) == ([], 1)
    for table in kind_tables(by_house, "point"):
        assert f"{table.title}." in page.cells
        assert {cell for _, cells in table.rows for cell in cells} <= {*page.cells}


def test_house_leads_figure_of_many_houses_shows_the_median(by_house: HousesLeadEvaluation) -> None:
    many = HousesLeadEvaluation({f"house {n}": by_house.houses["one" if n % 3 else "two"] for n in range(11)})
    axis = draw_house_leads(many, "spread-of-means").axes[0]
    (middle,) = (line for line in axis.lines if line.get_label() == "median of 11 houses")
    expected = [median(many.skills("spread-of-means", "point", lead, "persistence").values()) for lead in (5, 15)]
    assert middle.get_ydata() == pytest.approx([100 * value for value in expected])


def test_house_leads_fit_trees_of_each_house(small: CleanFile) -> None:
    options = HousesOptions(peers=True, fit_days=6, fit_rows=1_200, scored_rows=200)
    scored = evaluate_house_leads(stand_ins(model()), {"small": small}, (15,), options)
    assert scored.model_names == ("spread-of-means", "lightgbm-180")
    assert "a model for each kind and lead time" in scored.about["lightgbm-180"]
    assert any(line.startswith("lightgbm-180: LightGBM on") for line in house_lead_lines(scored))


def test_house_leads_unknown_lists_the_possible_ones(small: CleanFile) -> None:
    with pytest.raises(RunError, match="model spread-of-means has no lead time of 20 min; it has 5, 15, 30"):
        evaluate_house_leads(stand_ins(model()), {"small": small}, (20,), FEW)


def test_evaluate_command_scores_houses_by_horizon(tmp_path: Path) -> None:
    files = [tmp_path / f"{family}.csv" for family in ("central_air", "window_units")]
    for path in files:
        path.write_text(as_csv(simulate(path.stem, 2, 1)), encoding="utf-8")
    scores, page = tmp_path / "scores.json", tmp_path / "scores.html"
    arguments = ["evaluate", "lstm", "--houses", *files, "--scored-rows", 100, "--horizons", "1,5"]
    done = CliRunner().invoke(main, [str(word) for word in (*arguments, "--json", scores, "--report", page)])
    assert done.exit_code == 0, done.output
    assert "lstm: MSE skill against persistence, %" in done.output
    assert [*json.loads(scores.read_text(encoding="utf-8"))["houses"]] == ["central_air", "window_units"]
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
