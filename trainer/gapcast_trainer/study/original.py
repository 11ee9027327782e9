"""The original study: its rows, windows, two models and figures, and the scores of its models on the test part."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np

from gapcast_trainer.files import write_atomically
from gapcast_trainer.study.household import Household, scored_minutes
from gapcast_trainer.study.network_training import Fitted, fit, forecast
from gapcast_trainer.study.networks import MODEL_1, Recipe
from gapcast_trainer.study.random_split import Arrays, check_shapes, draw, windows
from gapcast_trainer.study.settings import HORIZON_MIN, SHARE, StudySettings, study_task
from gapcast_trainer.study.study_errors import errors_of

#: Number of the last predictions that the study plots with their outcomes.
N_SHOWN = 500


def reproduce(household: Household, settings: StudySettings, recipe: Recipe) -> dict[str, Any]:
    """Train ``recipe`` as in the study and score it on the study's test windows, and on the test part.

    Writes the predictions as CSV and the best weights beside the result.
    """
    rows_kw = draw(household.rows_kw, settings.share)
    train, test = (windows(kw, recipe.context, HORIZON_MIN) for kw in rows_kw)
    if household.is_whole_set and settings.share == SHARE and recipe.context == MODEL_1.context:
        check_shapes(train, test, recipe.context)
    return {
        "n_rows": int(household.rows_kw.size),
        "n_drawn": sum(map(len, rows_kw)),
        **train_and_score(f"study-{recipe.number}", recipe, train, test, household, settings),
    }


def train_and_score(
    name: str, recipe: Recipe, train: Arrays, test: Arrays, household: Household, settings: StudySettings
) -> dict[str, Any]:
    """Train ``recipe``; return shapes, losses, and errors on ``test`` and on the test part.

    Writes all predictions on ``test`` to ``name``.predictions.csv, and the best weights.
    """
    recipe = replace(recipe, epochs=settings.epochs(recipe.epochs))
    fitted = fit(recipe, train, None, settings.out / f"{name}.weights.h5", progress=settings.progress)
    forecast_kw, actual_kw = forecast(fitted.model, test.x), test.y[:, 0]
    text = io.StringIO()
    text.write("window,actual_kw,forecast_kw\n")
    text.writelines(f"{i},{a:.3f},{f:.6f}\n" for i, (a, f) in enumerate(zip(actual_kw, forecast_kw, strict=True)))
    write_atomically(settings.out / f"{name}.predictions.csv", text.getvalue())
    return {
        "context": recipe.context,
        "n_parameters": recipe.n_parameters,
        "batch_size": recipe.batch_size,
        "learning_rate": recipe.learning_rate,
        "train_shape": list(train.x.shape),
        "test_shape": list(test.x.shape),
        **fitted.as_json(),
        "test": errors_of(forecast_kw, actual_kw),
        "test_persistence": errors_of(test.x[:, -1, 0], actual_kw),
        "test_mean": errors_of(np.full(len(test), train.y.mean(), dtype=np.float32), actual_kw),
        "forecast_sd_kw": float(forecast_kw.std()),
        "last_actual_kw": [round(float(kw), 3) for kw in actual_kw[-N_SHOWN:]],
        "last_forecast_kw": [round(float(kw), 4) for kw in forecast_kw[-N_SHOWN:]],
        "in_order": score_in_order(fitted, recipe, household, settings),
    }


def score_in_order(fitted: Fitted, recipe: Recipe, household: Household, settings: StudySettings) -> dict[str, Any]:
    """Return the errors on the test part, with persistence's on the same minutes."""
    task = study_task(recipe.context)
    found = scored_minutes(household.series, settings.split, task, settings.every(1, 50))
    seen, actual_kw = found.inputs(), found.target_kw[:, 0]
    return {
        "model": errors_of(forecast(fitted.model, seen), actual_kw),
        "persistence": errors_of(seen[:, -1, 0], actual_kw),
        "variance_kw2": float(np.var(actual_kw, dtype=np.float64)),
    }
