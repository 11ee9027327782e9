"""The card of an exported model before its scores and golden outputs are known."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.card import CompactHistory, Feature, ModelCard
from gapcast.core.models.card_provenance import ModelScore, ModelScores, TrainedOn
from gapcast.core.models.golden_example import Golden
from gapcast.core.windows.features import UNITS
from gapcast_trainer.export.exported_folder import shortest_decimals, training_record
from gapcast_trainer.git_commit import UNKNOWN_COMMIT, git_commit
from gapcast_trainer.training.run import Run, utc_now


def draft_card(
    run: Run,
    content: bytes,
    n_parameters: int,
    windows: F32,
    history: F32 | None = None,
) -> ModelCard:
    """Return the card of the file ``content``, with placeholders for the outputs of the golden example and the scores.

    Its inputs are ``windows`` ``[n, context, F]``, and ``history`` ``[n, steps]`` if the model has a compact history.
    """
    experiment, task = run.experiment, run.design.task
    levels = experiment.outputs.quantile_levels
    none = ModelScore(n=1, mse_kw2=0, mae_kw=0)
    return ModelCard(
        name=run.name,
        version=experiment.version,
        family=experiment.family,
        sha256=sha256(content).hexdigest(),
        bytes=len(content),
        parameters=n_parameters,
        context=task.window.context,
        padding=task.window.padding,
        lead_times_min=list(task.lead_times_min),
        features=[Feature(name=name, unit=UNITS[name]) for name in task.features],
        history=None if history is None else CompactHistory(steps=history.shape[1]),
        quantile_levels=None if levels is None else list(levels),
        experiment=training_record(run),
        trained_on=TrainedOn(
            source=run.source,
            sha256=run.source_sha256,
            first=datetime.fromisoformat(run.train_first),
            last=datetime.fromisoformat(run.train_last),
            houses=list(run.others) or None,
        ),
        split=experiment.split().for_card(),
        scores=ModelScores(model=none, persistence=none, skill=0.0),
        git_commit=git_commit() if run.git_commit == UNKNOWN_COMMIT else run.git_commit,
        created_at=datetime.fromisoformat(utc_now()),
        golden=_golden(windows, history, len(task.lead_times_min), None if levels is None else len(levels)),
    )


def _golden(windows: F32, history: F32 | None, n_leads: int, n_levels: int | None) -> Golden:
    """Return the golden example with outputs of zero; a model with a history also forecasts means until lead times."""
    mean = np.zeros((len(windows), n_leads)).tolist()
    quantiles = None if n_levels is None else np.zeros((len(windows), n_leads, n_levels)).tolist()
    golden = Golden(window=shortest_decimals(windows), mean=mean, quantiles=quantiles)
    if history is None:
        return golden
    return golden.model_copy(update={"history": shortest_decimals(history), "mean_to": mean, "quantiles_to": quantiles})
