"""Model selection for a gateway: accuracy, warm-up, time, size and memory of each model, and a recommendation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from gapcast.core.windows.window import MIN_OBSERVED
from gapcast.predictors.baselines import Persistence
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast_trainer.data.windows import Examples, WindowTask
from gapcast_trainer.errors import RunError
from gapcast_trainer.study.contenders import load_models
from gapcast_trainer.study.household import Household, scored_minutes
from gapcast_trainer.study.settings import StudySettings
from gapcast_trainer.study.study_errors import errors_of

#: Numbers of observed readings at which the warm-up is scored.
WARM_UP = (2, 5, 10, 30)
#: Limits for the recommended model: bytes of the file, microseconds at batch size 1 and per row at 256.
MAX_BYTES, MAX_ONE_US, MAX_ROW_US = 400_000, 120.0, 12.0
_ROWS_AT_ONCE = 16_384
_MEDIAN = 0.5
_TIMEOUT_S = 120


def compare(household: Household, settings: StudySettings) -> dict[str, Any]:
    """Score and measure every model under ``settings.models``, and recommend one.

    The recommended model has the lowest squared error among the models within the limits that are no worse than
    persistence at each number of readings in :data:`WARM_UP`. Raises :class:`RunError` if there is no model.
    """
    models, left_out = load_models(settings.models)
    if not models:
        msg = f"{settings.models}: holds no model to choose from: make one with `gapcast-trainer export`"
        raise RunError(msg)
    rows = [
        {
            **_accuracy(model, household, settings),
            **_footprint(settings.models / model.name),
            "bytes": model.card.bytes,
            "parameters": model.card.parameters,
            "context": model.card.context,
        }
        for model in tqdm(models, desc="choice", unit="model", disable=not settings.progress)
    ]
    minutes = scored_minutes(household.series, settings.split, every=settings.every(1, 50))
    naive = errors_of(minutes.inputs()[:, -1, 0], minutes.target_kw[:, -1])
    thin = scored_minutes(household.series, settings.split, every=_warm_up_every(settings))
    thin_naive = errors_of(thin.inputs()[:, -1, 0], thin.target_kw[:, -1])
    return {
        "models": rows,
        "persistence": {"name": Persistence().name, **naive, "warm_up_mse_kw2": thin_naive["mse_kw2"]},
        "answer": answer(rows, thin_naive["mse_kw2"]),
        "left_out": left_out,
    }


def answer(rows: list[dict[str, Any]], persistence_mse_kw2: float) -> str | None:
    """Return the name of the recommended model, or None if no model satisfies the limits."""
    fit = [
        row
        for row in rows
        if row["bytes"] <= MAX_BYTES
        and row["batch_1_us"] <= MAX_ONE_US
        and row["row_at_256_us"] <= MAX_ROW_US
        and max(row["warm_up"].values()) <= persistence_mse_kw2
    ]
    return min(fit, key=lambda row: row["mse_kw2"])["name"] if fit else None


def _accuracy(model: TflitePredictor, household: Household, settings: StudySettings) -> dict[str, Any]:
    task = WindowTask(model.spec, model.lead_times_min, model.features)
    found = scored_minutes(household.series, settings.split, task, settings.every(1, 50))
    thin = scored_minutes(household.series, settings.split, task, _warm_up_every(settings))
    mean, median = _forecasts(model, found, None)
    counts = [n for n in WARM_UP if MIN_OBSERVED <= n <= model.spec.context]
    return {
        "name": model.name,
        **errors_of(mean, found.target_kw[:, -1]),
        "mae_median_kw": None if median is None else errors_of(median, found.target_kw[:, -1])["mae_kw"],
        "warm_up": {str(n): errors_of(_forecasts(model, thin, n)[0], thin.target_kw[:, -1])["mse_kw2"] for n in counts},
    }


def _forecasts(model: TflitePredictor, found: Examples, n_kept: int | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return means and, if the model has them, medians at its longest lead time, ``[N]``, kW."""
    parts = [model.predict(window) for window, _ in found.batches(_ROWS_AT_ONCE, n_kept=n_kept)]
    mean = np.concatenate([part.mean[:, -1] for part in parts])
    levels = model.quantile_levels or ()
    if _MEDIAN not in levels:
        return mean, None
    at = levels.index(_MEDIAN)
    return mean, np.concatenate([part.quantiles[:, -1, at] for part in parts if part.quantiles is not None])


def _warm_up_every(settings: StudySettings) -> int:
    return settings.every(10, 100)


def _footprint(folder: Path) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603 - this interpreter and this package
        [sys.executable, "-m", "gapcast_trainer.study.footprint", str(folder.resolve())],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    if done.returncode:
        msg = f"{folder}: could not be measured: {done.stderr.strip().splitlines()[-1]}"
        raise RunError(msg)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured
