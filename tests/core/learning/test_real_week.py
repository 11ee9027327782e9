"""The bundled week of one household: no worse than the best model, and 90 % coverage."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import DAY_MIN
from gapcast.predictors.models_folder.store import load_model
from gapcast.recordings.recording import read_recording
from gapcast.sample import sample_path
from tests.support.houses import EngineRun, ensemble_engine
from tests.support.models import default_name, shipped_models, shipped_names

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def week() -> EngineRun:
    """All shipped models without a history, the default first, over the week."""
    names = sorted(shipped_names(), key=lambda name: name != default_name())
    models = [load_model(shipped_models() / name) for name in names]
    engine = ensemble_engine(*(model for model in models if not model.history_steps), min_kw=0.0)
    minutes = read_recording(sample_path()).minutes()
    return EngineRun(engine).process([Reading("home", minute, kw) for minute, kw, _ in minutes], at_a_time=256)


def test_ensemble_is_no_worse_than_the_best_model(week: EngineRun) -> None:
    """The best model was trained on this very house and has a week to prove it: at most half a percent is lost."""
    actual_kw, published_kw, members_kw = (week.outcome(name) for name in ("actual_kw", "published_kw", "members_kw"))
    assert len(actual_kw) > 9_900
    mse = ((published_kw[:, 0] - actual_kw) ** 2).mean()
    mae = np.abs(published_kw[:, 1] - actual_kw).mean()
    assert mse <= 1.005 * ((members_kw[:, 0, 0] - actual_kw) ** 2).mean()
    assert mae <= 1.005 * np.abs(members_kw[:, 1, 0] - actual_kw).mean()
    assert mse < 0.85 * ((members_kw[:, 0, -1] - actual_kw) ** 2).mean(), "and well below persistence"
    assert mae < np.abs(members_kw[:, 1, -1] - actual_kw).mean()


def test_interval_covers_90_percent_of_outcomes(week: EngineRun) -> None:
    published_kw, actual_kw = week.outcome("published_kw"), week.outcome("actual_kw")
    inside = (published_kw[:, 2] <= actual_kw) & (actual_kw <= published_kw[:, 3])
    assert inside.mean() == pytest.approx(0.9, abs=0.03)
    assert (published_kw[:, 2] >= 0).all()


def test_ensemble_loses_nothing_against_any_member(week: EngineRun) -> None:
    """At most 1 % above the best single member in hindsight, and no day more than 2 % above persistence."""
    actual_kw, published_kw, members_kw = (week.outcome(name) for name in ("actual_kw", "published_kw", "members_kw"))
    losses = np.stack(
        (
            (members_kw[:, 0] - actual_kw[:, np.newaxis]) ** 2,
            np.abs(members_kw[:, 1] - actual_kw[:, np.newaxis]),
        )
    )
    published = np.stack(((published_kw[:, 0] - actual_kw) ** 2, np.abs(published_kw[:, 1] - actual_kw)))
    assert (published.mean(1) <= 1.01 * losses.mean(1).min(-1)).all()
    days = week.outcome("minutes") // DAY_MIN
    for day in np.unique(days):
        which = days == day
        assert (published[:, which].mean(1) <= 1.02 * losses[:, which, -1].mean(1)).all(), f"day {day}"
