"""The card of an exported model before its scores and golden outputs are known."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from gapcast.core.card import CompactHistory, Feature, Golden, ModelCard, ModelScores, TrainedOn
from gapcast.core.features import UNITS
from gapcast_trainer.exported import training_record
from gapcast_trainer.run import UNKNOWN_COMMIT, Run, git_commit, utc_now


def draft_card(
    run: Run,
    content: bytes,
    n_parameters: int,
    golden: Golden,
    scores: ModelScores,
    *,
    history: CompactHistory | None = None,
) -> ModelCard:
    """Return the card of the file ``content``, with placeholders for the outputs in ``golden`` and for ``scores``.

    ``history`` is the model's input of compact history, if it has one.
    """
    plan, task = run.experiment, run.design.task
    levels = plan.outputs.quantile_levels
    return ModelCard(
        name=run.name,
        version=plan.version,
        family=plan.family,
        sha256=sha256(content).hexdigest(),
        bytes=len(content),
        parameters=n_parameters,
        context=task.window.context,
        padding=task.window.padding,
        lead_times_min=list(task.lead_times_min),
        features=[Feature(name=name, unit=UNITS[name]) for name in task.features],
        history=history,
        quantile_levels=None if levels is None else list(levels),
        experiment=training_record(run),
        trained_on=TrainedOn(
            source=run.source,
            sha256=run.source_sha256,
            first=datetime.fromisoformat(run.train_first),
            last=datetime.fromisoformat(run.train_last),
            houses=list(run.others) or None,
        ),
        split=plan.split().for_card(),
        scores=scores,
        git_commit=git_commit() if run.git_commit == UNKNOWN_COMMIT else run.git_commit,
        created_at=datetime.fromisoformat(utc_now()),
        golden=golden,
    )
