"""Exports an outlook model: converts it, checks the file, scores it and writes the folder with its card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from gapcast.core.arrays.array_types import F32, I64
from gapcast.core.models.card import ModelCard
from gapcast.core.models.card_provenance import ModelScores
from gapcast.core.models.golden_example import Golden
from gapcast.core.streams.quarters import STEPS, fill_unknown
from gapcast.core.windows.examples import with_targets
from gapcast.core.windows.features import assemble
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.data.split import MinuteSplit, SplitPart
from gapcast_trainer.errors import ExportError, RunError
from gapcast_trainer.export.card_draft import draft_card
from gapcast_trainer.export.exported_folder import NO_TEST, ExportedModel, install, shortest_decimals
from gapcast_trainer.export.score import card_skill
from gapcast_trainer.tflite.convert import AGREEMENT_KW, BATCH_SIZES, N_PARITY, convert, keras_outputs
from gapcast_trainer.training.outlook.house_windows import HouseWindows
from gapcast_trainer.training.outlook.scores import score_outlook
from gapcast_trainer.training.run import Run

#: Maximum difference from Keras, kW: rounding of sums over several hundred inputs, for houses up to some 10 kW.
PARITY_KW = 1e-4
#: Number of readings in the windows of the golden example, and of known quarters before them; None: all.
_GOLDEN = ((5, 0), (100, 3), (None, 96), (None, None), (None, None), (None, None))


def export_outlook(
    run: Run, model: keras.Model, readings: CleanFile, models: Path, *, show: Callable[[str], object] = lambda _: None
) -> ExportedModel:
    """Convert ``model``, check and score it on the test part of ``readings``, and install it under ``models``.

    Raises :class:`RunError` if there is nothing to score it on, :class:`ExportError` if a check fails; ``models`` is
    then unchanged.
    """
    task, split = run.design.task, run.experiment.split()
    series = readings.series
    house = HouseWindows.from_series(series.first_minute, series.gap_kw, task.window, series.outcome_kw)
    observed = house.observed_minute
    train = training_rows(house, split)
    whole = house.whole(np.flatnonzero(split.holds(SplitPart.TEST, observed)).astype(np.int64))
    test, _ = with_targets(house.windows, whole, house.outcome_kw, (task.horizon_min,))
    if not test.size:
        msg = f"{run.name}: {NO_TEST}"
        raise RunError(msg)
    show(f"{run.name}: converting")
    content = convert(model)
    draft = draft_card(run, content, model.count_params(), *_golden_inputs(house, train, run, readings))
    predictor = TflitePredictor(content, draft)

    show(f"{run.name}: checking against Keras on {N_PARITY:,} windows")
    probe = train[np.linspace(0, train.size - 1, N_PARITY).astype(np.int64)]
    parity_kw, agreement_kw = check_file(predictor, model, *inputs(house, probe, run.design.task.features, readings))
    show(f"{run.name}: scoring on {test.size:,} windows")
    found = score_outlook(predictor, house, test, series.zone)
    at, naive = found.point_at(task.horizon_min)
    scores = ModelScores(model=at, persistence=naive, skill=round(card_skill(at.mse_kw2, naive.mse_kw2), 6))
    golden = _with_outputs(draft.golden, predictor)
    card = ModelCard.model_validate(draft.model_dump() | {"scores": scores, "golden": golden})
    return ExportedModel(install(content, card, models), card, parity_kw, agreement_kw)


def training_rows(house: HouseWindows, split: MinuteSplit) -> I64:
    """Return the rows of the training part that end with 30 consecutive readings, or all rows if none does."""
    rows = np.flatnonzero(split.holds(SplitPart.TRAIN, house.observed_minute)).astype(np.int64)
    whole = house.whole(rows)
    return whole if whole.size else rows


def inputs(
    house: HouseWindows, rows: I64, features: tuple[str, ...], readings: CleanFile, n_known: int = STEPS
) -> tuple[F32, F32]:
    """Return windows ``[n, context, F]`` and histories ``[n, 672]`` of ``rows``, ``n_known`` quarters of each."""
    kw, history = house.windows_kw(rows), house.history_kw(rows)
    history[:, : STEPS - n_known] = np.nan
    zone = readings.series.zone
    windows = assemble(kw[:, :, np.newaxis], house.observed_minute[rows], features, zone)
    return windows, fill_unknown(history, kw.mean(axis=1))


def check_file(predictor: TflitePredictor, model: keras.Model, windows: F32, history: F32) -> tuple[float, float]:
    """Return the largest difference of the file from Keras, and between batch sizes, kW.

    Raises :class:`ExportError` if a difference is too large or not finite.
    """
    expected = keras_outputs(model, [windows, history])
    found = _outputs(predictor, windows, history)
    parity_kw = max(float(np.max(np.abs(found[name] - expected[name]))) for name in found)
    if not parity_kw <= PARITY_KW:
        msg = f"the file and Keras differ by {parity_kw:.3g} kW (at most {PARITY_KW:g} is allowed)"
        raise ExportError(msg)
    agreement_kw = 0.0
    for size in BATCH_SIZES:
        pieces = [
            _outputs(predictor, windows[first : first + size], history[first : first + size])
            for first in range(0, len(windows), size)
        ]
        for name, values in found.items():
            again = np.concatenate([piece[name] for piece in pieces])
            agreement_kw = max(agreement_kw, float(np.max(np.abs(again - values))))
    if not agreement_kw <= AGREEMENT_KW:
        msg = f"batches of {BATCH_SIZES} differ by {agreement_kw:.3g} kW (at most {AGREEMENT_KW:g} is allowed)"
        raise ExportError(msg)
    return parity_kw, agreement_kw


def _outputs(predictor: TflitePredictor, windows: F32, history: F32) -> dict[str, F32]:
    found = predictor.predict(windows, history)
    return {name: getattr(found, name) for name in ("mean", "quantiles", "mean_to", "quantiles_to")}


def _golden_inputs(house: HouseWindows, train: I64, run: Run, readings: CleanFile) -> tuple[F32, F32]:
    """Return windows and histories of the golden example, evenly spread over ``train``.

    Each is the window with the widest range of power among a thousand neighbours. The first windows belong to a device
    that has just begun.
    """
    task = run.design.task
    starts = np.linspace(0, max(train.size - 1_000, 0), len(_GOLDEN)).astype(int)
    windows, histories = [], []
    for start, (n_kept, n_known) in zip(starts, _GOLDEN, strict=True):
        near = train[start : start + 1_000]
        row = near[[int(np.argmax(np.ptp(house.windows_kw(near), axis=1)))]]
        window, history = inputs(house, row, task.features, readings, STEPS if n_known is None else n_known)
        n_lost = 0 if n_kept is None else max(task.window.context - n_kept, 0)
        window[:, :n_lost, 0] = window[:, [n_lost], 0]
        windows.append(window[0])
        histories.append(history[0].round(3))
    return np.stack(windows), np.stack(histories)


def _with_outputs(golden: Golden, predictor: TflitePredictor) -> Golden:
    windows = np.array(golden.window, dtype=np.float32)
    history = np.array(golden.history, dtype=np.float32)
    outputs = _outputs(predictor, windows, history)
    return golden.model_copy(update={name: shortest_decimals(values) for name, values in outputs.items()})
