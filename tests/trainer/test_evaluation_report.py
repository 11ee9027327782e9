"""The report of an evaluation, in one file."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from base64 import b64decode
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.core.time_grid import DAY_MIN
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.evaluation.evaluate import evaluate
from gapcast_trainer.evaluation_report.figures import draw_day
from gapcast_trainer.evaluation_report.page import page
from gapcast_trainer.scores.options import EvaluationOptions
from gapcast_trainer.scores.result import Evaluation
from tests.trainer.forecasters import Spread, stand_ins

BRIEF = EvaluationOptions(brief=True)

_EPOCHS = [
    {"train_loss": 1 / k, "validate_loss": 1.1 / k, "validate_mse_kw2": 0.2, "learning_rate": 0.01} for k in (1, 2, 3)
]
HISTORY = {"history": _EPOCHS, "best_epoch": 3}


@pytest.fixture(scope="module")
def found(small: CleanFile) -> Evaluation:
    own = small.report.sha256
    point = Spread("point", lead_times_min=(5,), quantile_levels=None, trained_on=own)
    return evaluate(stand_ins(Spread(trained_on=own, experiment=HISTORY), point), small)


@pytest.fixture(scope="module")
def html(found: Evaluation) -> str:
    return page(found)


def test_evaluation_page_is_self_contained(html: str) -> None:
    addresses = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    assert "<script" not in html


def test_evaluation_page_has_all_pictures(html: str) -> None:
    """Two days, reliability, hours, warm-up, lead times, and the losses of the model whose training is known."""
    pictures = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]+)"', html)
    assert [alt.split()[0] for _, alt in pictures] == ["A", "A", "Share", "Mean", "Mean", "Errors", "Losses"]
    for content, _ in pictures:
        assert ET.fromstring(b64decode(content)).tag.endswith("svg")  # noqa: S314 - made above


def test_evaluation_page_tables_have_the_scores(html: str, found: Evaluation) -> None:
    for row in found.rows:
        sheet = row.sheets[5]
        for record in (sheet.headline, sheet.stream, *sheet.by_month.values(), *sheet.after_gaps.values()):
            assert f"{record.mse_kw2:.4f}</td>" in html


def test_evaluation_page_brief_has_no_empty_part(small: CleanFile) -> None:
    model = Spread("point", lead_times_min=(5,), quantile_levels=None)
    html = page(evaluate(stand_ins(model), small, BRIEF))
    for absent in ("quantiles mean", "second reading on", "By minutes ahead", "trained</h2>", "What they take"):
        assert absent not in html
    assert html.count("<figure>") == 2  # the day and the hours


def test_evaluation_page_day_is_of_median_difficulty(found: Evaluation) -> None:
    day = found.rows[0].day
    assert day is not None
    assert day.local_minute.size >= 0.99 * DAY_MIN or day.local_minute.size > 1_000
    assert len(set((day.local_minute // DAY_MIN).tolist())) == 1
    spread = found.rows[2].day
    assert spread is not None
    np.testing.assert_array_equal(spread.mean_kw, day.mean_kw)
    assert spread.lower_kw is not None
    assert spread.upper_kw is not None
    assert (spread.lower_kw <= spread.upper_kw).all()


def test_evaluation_page_day_is_by_the_clock_of_the_house(small: CleanFile) -> None:
    """As the hours and the months are: in New York a day begins at 5 o'clock UTC."""
    there = replace(small, series=replace(small.series, zone=ZoneInfo("America/New_York")))
    evaluation = evaluate(stand_ins(Spread("point", lead_times_min=(5,), quantile_levels=None)), there, BRIEF)
    day = evaluation.rows[0].day
    assert day is not None
    assert len(set((day.local_minute // DAY_MIN).tolist())) == 1
    utc = day.local_minute[0] + 5 * 60 - small.series.first_minute
    np.testing.assert_allclose(day.actual_kw[0], small.series.gap_kw[utc], rtol=1e-6)
    assert f"{np.datetime64(int(day.local_minute[0]), 'm').item():%d %B %Y}" in page(evaluation)


def test_evaluation_page_day_shows_power_that_is_fed_in(found: Evaluation) -> None:
    day = found.rows[0].day
    assert day is not None
    drawn = draw_day(replace(day, actual_kw=day.actual_kw - 2))
    for whole, fed_in in zip(draw_day(day).axes, drawn.axes, strict=True):
        assert whole.get_ylim()[0] == 0
        assert fed_in.get_ylim()[0] < np.nanmin(fed_in.lines[0].get_ydata()) < 0


def test_evaluation_page_day_draws_no_line_across_a_gap(found: Evaluation) -> None:
    day = found.rows[0].day
    assert day is not None
    later = day.local_minute + 40 * (np.arange(day.local_minute.size) >= 100)
    whole, interrupted = (draw_day(one).axes[0] for one in (day, replace(day, local_minute=later)))
    for plain, line in zip(whole.lines, interrupted.lines, strict=True):
        n_gaps = np.count_nonzero(np.isnan(np.asarray(plain.get_ydata())))
        assert np.count_nonzero(np.isnan(np.asarray(line.get_ydata()))) == n_gaps + 1


def test_evaluation_page_day_has_its_whole_legend(found: Evaluation) -> None:
    day = next(row.day for row in found.rows if row.name == "spread")
    assert day is not None
    drawn = draw_day(day)
    drawn.draw_without_rendering()
    assert drawn.legends[0].get_window_extent().x1 <= drawn.bbox.x1


@pytest.mark.long
def test_evaluation_page_is_deterministic(found: Evaluation, html: str) -> None:
    assert page(found) == html
