"""Outcomes in a compiled step's arrays: read in place by scores and drift, and copied to stay valid."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.learning.ensemble.step_outcomes import KINDS, StepOutcomes
from gapcast.core.learning.scores.drift import Drift
from gapcast.core.learning.scores.scores import Scores
from tests.core.learning.outcomes import MEMBERS, START, outcomes


def in_step(n: int, n_members: int = len(MEMBERS)) -> StepOutcomes:
    """Return the first ``n`` of five outcomes in the arrays of a step."""
    rng = np.random.default_rng(4)
    arrays = {
        "rows": np.arange(5), "minutes": START + np.arange(5) * 2_000, "actual_kw": rng.normal(1, 1, 5),
        "last_kw": rng.normal(1, 1, 5), "members_kw": rng.normal(1, 1, (5, 2, n_members)),
        "published_kw": rng.normal(1, 1, (5, 4)),
    }  # fmt: skip
    return StepOutcomes.from_arrays(arrays, n)


@pytest.mark.parametrize("n", [1, 3, 5])
def test_step_outcomes_are_scored_like_copied_ones(n: int) -> None:
    in_place, copied = Scores(MEMBERS, 10), Scores(MEMBERS, 10)
    drift, drift_of_copied = Drift(10, 1), Drift(10, 1)
    for added, subject in ((in_step(n), (in_place, drift)), (in_step(n).copied(), (copied, drift_of_copied))):
        for one in subject:
            one.add(added)
    for found, expected in ((in_place, copied), (drift, drift_of_copied)):
        columns = expected.columns(range(5))
        assert all((values == columns[name]).all() for name, values in found.columns(range(5)).items())
    assert [summary.n for summary in in_place.overall().values()][-1] == n


def test_step_outcomes_when_overwritten_leave_their_copy_as_it_was() -> None:
    made = in_step(2)
    copied = made.copied()
    for name in KINDS:
        getattr(made, name)[...] = 7
    assert type(copied) is not StepOutcomes
    assert not any((getattr(copied, name) == 7).any() for name in KINDS)


@pytest.mark.compiled
def test_step_outcomes_of_other_members_are_not_scored() -> None:
    """Compiled scores must not read an array of another shape in place."""
    scores = Scores(MEMBERS, 10)
    with pytest.raises(ValueError, match="broadcast"):
        scores.add(in_step(2, len(MEMBERS) + 2))
    scores.add(outcomes([0], START, 1.0))
    assert [summary.n for summary in scores.overall().values()][-1] == 1
