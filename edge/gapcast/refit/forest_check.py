"""Compares a fitted forest on unseen windows with persistence and with the forest in use."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.documents.figures import skill_or_none
from gapcast.core.learning.forests.compiled_forest import evaluation_of
from gapcast.core.learning.forests.forest import Forest
from gapcast.core.learning.forests.house_forests import N_PREDICTED
from gapcast.core.time_grid import DAY_MIN
from gapcast.refit.forest_examples import ForestExamples
from gapcast.refit.forest_file import Skills

#: A new forest may have at most this multiple of the former forest's errors on the windows since that was fitted.
_TOLERANCE = 1.1
#: Squared errors are compared on at least this many windows, two days: on fewer, single minutes decide the result.
_LEAST_FOR_SQUARES = 2 * DAY_MIN


def skills_of(forest: Forest, checked: ForestExamples) -> Skills:
    """Return by how much the errors of ``forest`` on the ``checked`` windows are smaller than persistence's."""
    predicted = evaluation_of(forest, N_PREDICTED)(checked.columns)
    actual = checked.change_kw
    return Skills(
        _skill(np.square(predicted[:, 0] - actual), np.square(actual)),
        _skill(np.abs(predicted[:, 1] - actual), np.abs(actual)),
    )


def problem_beside_persistence(skills: Skills) -> str:
    """Return why a forest with these ``skills`` is rejected; empty if it is used.

    One of mean and median must be better than persistence: the ensemble weights each by its own errors.
    """
    if skills.mse_skill >= 0 or skills.mae_skill >= 0:
        return ""
    return (
        f"its errors on the newest days are above those of persistence: squared by {-skills.mse_skill:.1%}, "
        f"absolute by {-skills.mae_skill:.1%}"
    )


def problem_beside_former(skills: Skills, former: Skills, n_windows: int) -> str:
    """Return why a forest with these ``skills`` does not replace one with the skills ``former``; empty if it does."""
    for what, skill, before in _compared(skills, former, n_windows):
        if 1 - skill > _TOLERANCE * (1 - before):
            return (
                f"its skill by {what} error since the last refit is {skill:.1%}, that of the forest in use {before:.1%}"
            )
    return ""


def _compared(skills: Skills, others: Skills, n_windows: int) -> Iterator[tuple[str, float, float]]:
    """Yield the names and values of the skills that can be compared on ``n_windows``."""
    yield "absolute", skills.mae_skill, others.mae_skill
    if n_windows >= _LEAST_FOR_SQUARES:
        yield "squared", skills.mse_skill, others.mse_skill


def _skill(errors: F64, of_persistence: F64) -> float:
    return skill_or_none(float(errors.mean()), float(of_persistence.mean())) or 0.0
