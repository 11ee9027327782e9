"""Model cards for files without a training run."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from gapcast.core.models.card import Feature, ModelCard
from gapcast.core.models.card_provenance import ModelScore, ModelScores, TrainedOn
from gapcast.core.models.golden_example import Golden
from gapcast.core.windows.features import UNITS
from gapcast_trainer.data.split import MinuteSplit
from gapcast_trainer.data.windows import WindowTask


def card_for(
    content: bytes,
    task: WindowTask | None = None,
    quantile_levels: tuple[float, ...] | None = None,
    name: str = "made-up",
) -> ModelCard:
    """A card that fits ``content``, with invented scores and an invented golden example."""
    task = task or WindowTask()
    context, n_leads, levels = task.window.context, len(task.lead_times_min), list(quantile_levels or ())
    then, score = datetime(2020, 1, 1, tzinfo=UTC), ModelScore(n=1, mse_kw2=1, mae_kw=1)
    return ModelCard(
        name=name,
        version="1",
        family="none",
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        parameters=0,
        context=task.window.context,
        padding=task.window.padding,
        lead_times_min=list(task.lead_times_min),
        features=[Feature(name=name, unit=UNITS[name]) for name in task.features],
        quantile_levels=levels or None,
        trained_on=TrainedOn(source="none", sha256="0" * 64, first=then, last=then),
        split=MinuteSplit().for_card(),
        scores=ModelScores(model=score, persistence=score, skill=0),
        git_commit="unknown",
        created_at=then,
        golden=Golden(
            window=[[[0.0] * len(task.features)] * context],
            mean=[[0.0] * n_leads],
            quantiles=[[[0.0] * len(levels)] * n_leads] if levels else None,
        ),
    )
