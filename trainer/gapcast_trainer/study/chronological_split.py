"""The study's two models with a chronological split: on one per cent of consecutive rows, and on all rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gapcast_trainer.data.split import SplitPart, minute_at
from gapcast_trainer.data.windows import Examples
from gapcast_trainer.errors import RunError
from gapcast_trainer.study.household import Household, whole_windows
from gapcast_trainer.study.network_training import fit
from gapcast_trainer.study.networks import MODEL_1, MODEL_2, Recipe
from gapcast_trainer.study.original import score_in_order, train_and_score
from gapcast_trainer.study.random_split import Arrays, cut_in_order, windows
from gapcast_trainer.study.settings import HORIZON_MIN, StudySettings

#: Settings for all data, changed only to save time: its 1.3 million windows are 81 times as many as the study's.
#: Batches are larger, so that an epoch takes seconds (model 1) to a minute or two (model 2); the learning rate of model
#: 2 is higher to compensate for fewer steps; there are fewer epochs.
ON_ALL = {
    1: replace(MODEL_1, batch_size=4_096, epochs=8),
    2: replace(MODEL_2, batch_size=1_024, learning_rate=0.001, epochs=3),
}


def contiguous(household: Household, settings: StudySettings, recipe: Recipe) -> dict[str, Any]:
    """Train ``recipe`` as in the study, on as many rows, but consecutive ones at the end of the training part.

    The newest fifth of them is the test set, as in the study; the test part is scored as well.
    """
    until = minute_at(settings.split.train_until) - household.series.first_minute
    n_before = int(np.count_nonzero(~np.isnan(household.series.gap_kw[: max(until, 0)])))
    n_rows = min(round(household.rows_kw.size * settings.share), n_before)
    if n_rows == 0:
        msg = f"no reading before {settings.split.train_until:%Y-%m-%d}: the study needs UCI's household"
        raise RunError(msg)
    rows_kw = cut_in_order(household.rows_kw[n_before - n_rows : n_before])
    train, test = (windows(kw, recipe.context, HORIZON_MIN) for kw in rows_kw)
    scored = train_and_score(f"contiguous-{recipe.number}", recipe, train, test, household, settings)
    return {"n_drawn": n_rows, **scored}


def on_all(household: Household, settings: StudySettings, recipe: Recipe) -> dict[str, Any]:
    """Train ``recipe`` on every whole window of the training part; early stopping on every fifth validation window."""
    every = settings.every(1, 100)
    train, validate = (
        whole_windows(household.series, recipe.context, settings.split, part)
        for part in (SplitPart.TRAIN, SplitPart.VALIDATE)
    )
    x, judged = _arrays(train, every), _arrays(validate, 5 * every)
    changed = ON_ALL[recipe.number]
    changed = replace(changed, epochs=settings.epochs(changed.epochs), unroll=recipe.unroll)
    name = f"ordered-{recipe.number}"
    fitted = fit(changed, x, judged, settings.out / f"{name}.weights.h5", progress=settings.progress)
    return {
        "context": recipe.context,
        "n_parameters": recipe.n_parameters,
        "batch_size": changed.batch_size,
        "learning_rate": changed.learning_rate,
        "train_shape": list(x.x.shape),
        **fitted.as_json(),
        "in_order": score_in_order(fitted, recipe, household, settings),
    }


def _arrays(found: Examples, every: int) -> Arrays:
    chosen = found.select(np.arange(0, len(found), every, dtype=np.int64))
    return Arrays(chosen.inputs(), chosen.target_kw)
