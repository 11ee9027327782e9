"""From a training run to ``models/<name>``: the file, its card, and proof that both are right."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from edge.core.card import Feature, Golden, ModelCard, Scores, TrainedOn
from edge.core.window import F32
from edge.predictors.baselines import Persistence
from edge.predictors.store import CARD_FILE, MODEL_FILE, REGISTRY_FILE, default_model, load_model, model_names
from edge.predictors.tflite import TflitePredictor
from trainer.cleanfile import Clean
from trainer.convert import N_PARITY, check_batches, check_parity, convert
from trainer.errors import ExportError, RunError
from trainer.families import families
from trainer.files import write_whole
from trainer.run import RUN_FILE, UNKNOWN_COMMIT, Run, git_commit, hyper_from, load_run, now
from trainer.score import score
from trainer.split import Part
from trainer.windows import Examples, examples, shorten

VERSION = "1"
#: Readings that each window of the golden example keeps; the first ones are short and padded.
GOLDEN_KEPT = (2, 3, 10, 30, 30, 30, 30, 30)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and what the checks found (kW)."""

    folder: Path
    card: ModelCard
    parity_kw: float
    agreement_kw: float


def export(
    run_folder: Path,
    clean: Clean,
    models: Path,
    *,
    note: Callable[[str], object] = lambda _: None,
) -> Exported:
    """Convert the run in ``run_folder``, check it, score it, and put it under ``models``.

    ``note`` is told what is being done. Raises :class:`RunError` where the run cannot be used or was
    made from another clean file, :class:`ExportError` where a check fails; then nothing under
    ``models`` has changed.
    """
    run, weights = load_run(run_folder)
    if run.clean_sha256 != clean.sha256:
        msg = f"{run_folder}: the run was made from another clean file: give that one, or train again"
        raise RunError(msg)
    family = families().get(run.family)
    if family is None:
        msg = f"{run_folder}: there is no family {run.family} in this version: train again"
        raise RunError(msg)
    model = family.build(run.task, hyper_from(family.hyper, run.hyper, str(run_folder / RUN_FILE)))
    try:
        model.set_weights(weights)
    except ValueError as error:
        msg = f"{run_folder}: the weights do not fit family {run.family} of this version: train again"
        raise RunError(msg) from error

    note(f"{run.name}: converting")
    content = convert(model)
    train = examples(clean.series, run.task, run.split, Part.TRAIN)
    golden = golden_windows(train)
    test = examples(clean.series, run.task, run.split, Part.TEST).whole()
    if not len(test):
        msg = f"{run_folder}: the clean file has no windows in the test part to score the model on"
        raise RunError(msg)
    naive = score(Persistence(run.task.window, run.task.lead_times_min), test).for_card()
    draft = _card(run, content, model.count_params(), golden, Scores(model=naive, persistence=naive, skill=0.0))
    predictor = TflitePredictor(content, draft)

    note(f"{run.name}: checking against Keras on {min(N_PARITY, len(train)):,} windows")
    probe = _probe(train)
    parity_kw = check_parity(lambda windows: predictor.predict(windows).mean, model, probe)
    agreement_kw = check_batches(lambda windows: predictor.predict(windows).mean, probe)
    note(f"{run.name}: scoring on {len(test):,} windows")
    measured = score(predictor, test)
    skill = measured.skill(score(Persistence(run.task.window, run.task.lead_times_min), test))
    card = ModelCard.model_validate(
        draft.model_dump()
        | {
            "scores": Scores(model=measured.for_card(), persistence=naive, skill=round(skill, 6)),
            "golden": Golden(window=_shortest(golden), mean=_shortest(predictor.predict(golden).mean)),
        }
    )
    return Exported(_install(content, card, models), card, parity_kw, agreement_kw)


def choose_default(models: Path, name: str | None) -> str:
    """Make ``name`` the model that ``registry.json`` under ``models`` calls the default, and return its name.

    With None the registry stays as it is; where there is none yet, the first model becomes the default.
    Raises :class:`RunError` where there is no model of that name.
    """
    if name is None and (models / REGISTRY_FILE).is_file():
        return default_model(models)
    names = model_names(models)
    chosen = names[0] if name is None else name
    if chosen not in names:
        msg = f"{models}: no model is called {chosen}: there are {', '.join(names)}"
        raise RunError(msg)
    write_whole(models / REGISTRY_FILE, json.dumps({"default": chosen}) + "\n")
    return chosen


def golden_windows(train: Examples) -> F32:
    """Return the golden example's inputs ``[n, context, 1]``: real windows, evenly spread over the training part.

    The first ones are cut short. Each is the one with the widest range of power among a thousand
    neighbours, so that a wrong computation cannot hide in a flat line.
    """
    whole, spec = train.whole(), train.task.window
    n_around = min(1_000, len(whole))
    starts = np.linspace(0, len(whole) - n_around, len(GOLDEN_KEPT)).astype(int)
    chosen = []
    for start, kept in zip(starts, GOLDEN_KEPT, strict=True):
        near = shorten(whole.inputs(start, start + n_around), min(kept, spec.context), spec)
        chosen.append(near[int(np.argmax(np.ptp(near[:, :, 0], axis=1)))])
    return np.stack(chosen)


def _probe(train: Examples) -> F32:
    """Return :data:`N_PARITY` real windows evenly spread over the training part, every third one cut short."""
    places = np.unique(np.linspace(0, len(train) - 1, N_PARITY).astype(np.int64))
    context, count = train.task.window.context, np.arange(places.size)
    kept = np.where(count % 3 == 0, 2 + count % (context - 1), context)
    return shorten(train.take(places).inputs(), kept, train.task.window)


def _card(run: Run, content: bytes, n_parameters: int, golden: F32, scores: Scores) -> ModelCard:
    return ModelCard(
        name=run.name,
        version=VERSION,
        family=run.family,
        sha256=sha256(content).hexdigest(),
        bytes=len(content),
        parameters=n_parameters,
        context=run.context,
        padding=run.padding,
        lead_times_min=list(run.lead_times_min),
        features=[Feature(name="gap_kw", unit="kW")],
        hyper_parameters=run.hyper,
        trained_on=TrainedOn(
            source=run.source,
            sha256=run.source_sha256,
            first=datetime.fromisoformat(run.train_first),
            last=datetime.fromisoformat(run.train_last),
        ),
        split=run.split.for_card(),
        scores=scores,
        git_commit=git_commit() if run.git_commit == UNKNOWN_COMMIT else run.git_commit,
        created_at=datetime.fromisoformat(now()),
        golden=Golden(window=_shortest(golden), mean=np.zeros((len(golden), len(run.lead_times_min))).tolist()),
    )


def _shortest(values: F32) -> Any:
    """Return float32 values as nested lists of the shortest decimals that give them back."""
    shortest = np.array([float(str(value)) for value in values.ravel()], dtype=np.float64)
    return shortest.reshape(values.shape).tolist()


def _one_line_a_field(card: ModelCard) -> str:
    fields = card.model_dump(mode="json", exclude_none=True)
    return "{\n" + ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in fields.items()) + "\n}\n"


def _install(content: bytes, card: ModelCard, models: Path) -> Path:
    """Write file and card, let the edge's own loader judge them, and only then put them in place."""
    models.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".export-", dir=models) as staging:
        staged = Path(staging) / card.name
        staged.mkdir()
        (staged / MODEL_FILE).write_bytes(content)
        (staged / CARD_FILE).write_text(_one_line_a_field(card), encoding="utf-8")
        loaded = load_model(staged)
        if loaded.card != card:
            msg = f"model {card.name}: the card reads back as another one"
            raise ExportError(msg)
        folder = models / card.name
        folder.mkdir(exist_ok=True)
        for name in (MODEL_FILE, CARD_FILE):
            (staged / name).replace(folder / name)
    return folder
