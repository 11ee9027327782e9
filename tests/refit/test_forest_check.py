"""Which forests are used, by their skills on windows that they were not fitted to."""

from __future__ import annotations

import math

import pytest

from gapcast.refit.forest_check import problem_beside_former, problem_beside_persistence
from gapcast.refit.forest_file import Skills


@pytest.mark.parametrize("skills", [Skills(0.3, -0.5), Skills(-0.1, 0.2), Skills(0.0, -1.0), Skills(0.2, 0.3)])
def test_forest_better_than_persistence_by_one_error_is_used(skills: Skills) -> None:
    """In a young house the median of trees is often worse than persistence, while their mean is much better."""
    assert not problem_beside_persistence(skills)


@pytest.mark.parametrize("skills", [Skills(-0.01, -0.28), Skills(math.nan, -0.1), Skills(math.nan, math.nan)])
def test_forest_worse_than_persistence_by_both_errors_is_not_used(skills: Skills) -> None:
    assert "above those of persistence" in problem_beside_persistence(skills)


def test_rejection_states_both_errors() -> None:
    expected = "its errors on the newest days are above those of persistence: squared by 1.0%, absolute by 28.0%"
    assert problem_beside_persistence(Skills(-0.01, -0.28)) == expected


def test_forest_clearly_worse_than_the_former_one_does_not_replace_it() -> None:
    """Squared errors are compared on two days of windows or more."""
    former, worse = Skills(0.5, 0.5), Skills(0.4, 0.5)
    assert not problem_beside_former(worse, former, 2_879)
    assert "squared error" in problem_beside_former(worse, former, 2_880)
    assert "absolute error" in problem_beside_former(Skills(0.5, 0.4), former, 720)
