"""A real week of one household, the one that comes with gapcast: no worse than the champion, and bounds that hold."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.reading import Limits, Reading
from gapcast.predictors.store import load_model
from gapcast.replay.source import Columns, read_minutes
from gapcast.sample import sample_path
from tests.support.houses import Run, blending
from tests.support.models import default_name, shipped_models, shipped_names


@pytest.fixture(scope="module")
def week() -> Run:
    """All shipped models, the default first, over the week."""
    names = sorted(shipped_names(), key=lambda name: name != default_name())
    engine = blending(*(load_model(shipped_models() / name) for name in names), min_kw=0.0)
    minutes = read_minutes(sample_path(), Columns(), Limits())
    return Run(engine).take([Reading("home", minute, kw) for minute, kw in minutes], at_a_time=256)


def test_the_blend_is_no_worse_than_the_champion(week: Run) -> None:
    """A champion that was trained on this very house, and a week to find out: at most half a percent is lost."""
    came_kw, told_kw, experts_kw = (week.outcome(name) for name in ("came_kw", "told_kw", "experts_kw"))
    assert len(came_kw) > 9_900
    mse = ((told_kw[:, 0] - came_kw) ** 2).mean()
    mae = np.abs(told_kw[:, 1] - came_kw).mean()
    assert mse <= 1.005 * ((experts_kw[:, 0, 0] - came_kw) ** 2).mean()
    assert mae <= 1.005 * np.abs(experts_kw[:, 1, 0] - came_kw).mean()
    assert mse < 0.85 * ((experts_kw[:, 0, -1] - came_kw) ** 2).mean(), "and well below persistence"
    assert mae < np.abs(experts_kw[:, 1, -1] - came_kw).mean()


def test_nine_in_ten_outcomes_are_within_the_bounds(week: Run) -> None:
    told_kw, came_kw = week.outcome("told_kw"), week.outcome("came_kw")
    within = (told_kw[:, 2] <= came_kw) & (came_kw <= told_kw[:, 3])
    assert within.mean() == pytest.approx(0.9, abs=0.03)
    assert (told_kw[:, 2] >= 0).all()
