"""Exports a training run to ``models/<name>``: model file and card, both checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.card import ModelCard
from gapcast.core.models.card_provenance import ModelScores
from gapcast.core.models.golden_example import Golden
from gapcast.core.time_grid import minute_label
from gapcast.predictors.baselines import Persistence
from gapcast.predictors.models_folder.files import REGISTRY_FILE, read_registry
from gapcast.predictors.models_folder.store import default_model, model_names
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.data.windows import Examples, cut_examples, cut_test
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.export.card_draft import draft_card
from gapcast_trainer.export.exported_folder import NO_TEST, ExportedModel, install, shortest_decimals
from gapcast_trainer.export.outlook import export_outlook
from gapcast_trainer.export.score import score
from gapcast_trainer.families import find_family
from gapcast_trainer.files import write_atomically
from gapcast_trainer.tflite.convert import N_PARITY, check_batches, check_parity, convert
from gapcast_trainer.training.run import load_run, set_run_weights
from gapcast_trainer.training_data.training_set import TrainingSet, TrainingSetPart

#: Numbers of readings in the windows of the golden example: short ones are padded, None means the whole window.
GOLDEN_KEPT = (2, 5, 20, None, None, None)
#: Maximum number of windows from a part of a training set; they are sampled over all its houses.
N_SAMPLED = 500_000
_NO_TEST = {
    CleanFile: NO_TEST,
    TrainingSet: "no house is left out of the training set, so that there is none to score the model on: "
    "prepare it with --leave-out",
}


def export(
    run_folder: Path,
    readings: CleanFile | TrainingSet,
    models: Path,
    *,
    show: Callable[[str], object] = lambda _: None,
) -> ExportedModel:
    """Convert the run in ``run_folder``, check and score it, and install it under ``models``.

    ``readings`` are its training data. It is scored on the test part of a clean file, or on the houses that a training
    set leaves out. ``show`` is called with progress messages. Raises :class:`RunError` if the run is unusable or from
    other readings, :class:`ExportError` if a check fails; ``models`` is then unchanged.
    """
    run, weights = load_run(run_folder)
    if run.clean_sha256 != readings.sha256:
        made, option = ("training set", "--from") if run.houses else ("clean file", "--clean")
        another = "another" if isinstance(readings, TrainingSet) is bool(run.houses) else "a"
        msg = f"{run_folder}: the run was made from {another} {made}: pass that one by {option}, or train again"
        raise RunError(msg)
    experiment, design = run.experiment, run.design
    family, hyper = find_family(experiment.family, experiment.hyper)
    model = family.build(design, hyper)
    set_run_weights(model, run, weights, run_folder)
    if family.takes_history and isinstance(readings, CleanFile):
        return export_outlook(run, model, readings, models, show=show)

    test = _part(readings, experiment, SplitPart.TEST)
    if not len(test):
        msg = f"{run_folder}: {_NO_TEST[type(readings)]}"
        raise RunError(msg)
    show(f"{run.name}: converting")
    content = convert(model)
    train = _part(readings, experiment, SplitPart.TRAIN)
    golden = golden_windows(train)
    naive = score(Persistence(design.task.window, design.task.lead_times_min[-1:]), test)
    draft = draft_card(run, content, model.count_params(), golden)
    predictor = TflitePredictor(content, draft)

    show(f"{run.name}: checking against Keras on {min(N_PARITY, len(train)):,} windows")
    probe = _probe(train)
    parity_kw = check_parity(predictor.predict, model, probe)
    agreement_kw = check_batches(predictor.predict, probe)
    show(f"{run.name}: scoring on {len(test):,} windows")
    measured = score(predictor, test)
    scores = ModelScores(model=measured.for_card(), persistence=naive.for_card(), skill=round(measured.skill(naive), 6))
    measurements: dict[str, Any] = {"scores": scores, "golden": _golden(predictor, golden)}
    if isinstance(readings, TrainingSet):
        measurements["experiment"] = {**(draft.experiment or {}), "tested": _period(test)}
    card = ModelCard.model_validate(draft.model_dump() | measurements)
    return ExportedModel(install(content, card, models), card, parity_kw, agreement_kw)


def _part(readings: CleanFile | TrainingSet, experiment: Experiment, part: SplitPart) -> Examples:
    """Return the windows of ``part``; for the test part, only whole windows with an outcome at the horizon."""
    task = experiment.task()
    if isinstance(readings, TrainingSet):
        found = TrainingSetPart(readings, part, task).sample(N_SAMPLED)
        return found.whole() if part is SplitPart.TEST else found
    if part is SplitPart.TRAIN:
        return cut_examples(readings.series, task, experiment.split(), part)
    return cut_test(readings.series, task, experiment.split())


def _period(test: Examples) -> dict[str, str]:
    """Return the first and the last minute of ``test``, RFC 3339."""
    observed_minute = test.observed_minute
    last = int(observed_minute.max()) + test.task.horizon_min
    return {"first": minute_label(int(observed_minute.min())), "last": minute_label(last)}


def choose_default(models: Path, name: str | None) -> str:
    """Make ``name`` the default model in ``registry.json`` under ``models``, and return its name.

    None leaves the registry unchanged; without a registry, the first model becomes the default.
    Names of optional ensemble members in the registry are kept.
    Raises :class:`RunError` if there is no model of that name.
    """
    if name is None and (models / REGISTRY_FILE).is_file():
        return default_model(models)
    names = model_names(models)
    chosen = names[0] if name is None else name
    if chosen not in names:
        msg = f"{models}: no model is called {chosen}: there are {', '.join(names)}"
        raise RunError(msg)
    optional = read_registry(models).optional if (models / REGISTRY_FILE).is_file() else ()
    document = {"default": chosen} | ({"optional": [*optional]} if optional else {})
    write_atomically(models / REGISTRY_FILE, json.dumps(document) + "\n")
    return chosen


def golden_windows(train: Examples) -> F32:
    """Return the golden example's inputs ``[n, context, F]``: real windows, evenly spread over the training part.

    The first windows are shortened. Each is the window with the widest range of power among a thousand neighbours, so
    that constant power hides no errors. They end with 30 consecutive readings, if any window does.
    """
    whole, context = train.whole(), train.task.window.context
    whole = whole if len(whole) else train
    n_around = min(1_000, len(whole))
    starts = np.linspace(0, len(whole) - n_around, len(GOLDEN_KEPT)).astype(int)
    chosen = []
    for start, kept in zip(starts, GOLDEN_KEPT, strict=True):
        near = whole.inputs(start, start + n_around, n_kept=min(kept or context, context))
        chosen.append(near[int(np.argmax(np.ptp(near[:, :, 0], axis=1)))])
    return np.stack(chosen)


def _probe(train: Examples) -> F32:
    """Return :data:`N_PARITY` real windows evenly spread over the training part, every third one shortened."""
    places = np.unique(np.linspace(0, len(train) - 1, N_PARITY).astype(np.int64))
    context, count = train.task.window.context, np.arange(places.size)
    kept = np.where(count % 3 == 0, 2 + count % (context - 1), context)
    return train.inputs_at(places, kept)


def _golden(predictor: TflitePredictor, windows: F32) -> Golden:
    found = predictor.predict(windows)
    quantiles = None if found.quantiles is None else shortest_decimals(found.quantiles)
    return Golden(window=shortest_decimals(windows), mean=shortest_decimals(found.mean), quantiles=quantiles)
