"""Scores models, baselines and optional peers on the same minutes, through the edge's predictors.

The headline scores cover the forecasts after 30 consecutive measured readings with an observed outcome. This rule
applies to models of every context, so that all are scored on the same minutes. A model with a longer context gets the
available history, padded according to its card.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from tqdm import tqdm

from gapcast.core.models.predictor import Predictor, history_steps_of
from gapcast.core.windows.examples import WHOLE_MIN
from gapcast.core.windows.window import MIN_OBSERVED, WindowSpec
from gapcast.predictors.baselines import Persistence, Trend
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.data.windows import Examples
from gapcast_trainer.scores.cost import BATCH, Cost, cost_of
from gapcast_trainer.scores.day import day_of
from gapcast_trainer.scores.evaluation_data import EvaluationData
from gapcast_trainer.scores.model_outputs import predict_windows
from gapcast_trainer.scores.options import DEFAULTS, EvaluationOptions
from gapcast_trainer.scores.result import Evaluation, ForecasterScores, Losses
from gapcast_trainer.scores.sheet import make_sheet, record_of
from gapcast_trainer.scores.span import choose_span
from gapcast_trainer.scores.table import SHOWN

#: Maximum number of windows that are shortened, evenly spread over the headline's windows.
N_SHORTENED = 40_000


def evaluate(
    models: Sequence[TflitePredictor],
    clean: CleanFile,
    options: EvaluationOptions = DEFAULTS,
    *,
    progress: bool = False,
    show: Callable[[str], object] = lambda _: None,
) -> Evaluation:
    """Score ``models`` by ``options`` on the minutes of ``clean`` to which none of them was fitted.

    :func:`choose_span` selects these minutes. With ``progress`` there are progress bars; ``show`` is called with
    progress messages. Raises :class:`RunError` if there are no minutes to score, or to fit peers to, or if the models
    have different horizons.
    """
    peers = options.peers
    span = choose_span([model.card for model in models], clean, options.first, options.until)
    data = EvaluationData.from_clean_file(models, clean, span, 0 if peers is None else peers.n_sampled)
    leads = data.minutes.lead_times_min
    others = None
    if peers is not None:
        from gapcast_trainer.peers.compare import Peers  # noqa: PLC0415 - needs the peers extra

        others = Peers(data, peers.n_rows)  # raises before anything is scored
    baselines = (Persistence(WindowSpec(WHOLE_MIN), leads), Trend(WindowSpec(WHOLE_MIN), leads))
    rows = [_evaluate("baseline", baseline, data, options.brief, progress) for baseline in baselines]
    rows += [_evaluate("model", model, data, options.brief, progress) for model in models]
    sampled: tuple[ForecasterScores, ...] = ()
    if others is not None:
        rows += others.boosted(show)
        sampled = others.sampled(show)
    return Evaluation(span, clean.report, tuple(rows), sampled)


def counts_for(context: int) -> tuple[int, ...]:
    """Return the numbers of observed readings at which a model of ``context`` is scored: all up to 30, then fewer.

    >>> counts_for(60)[-4:]
    (29, 30, 45, 60)
    """
    close = range(MIN_OBSERVED, min(context, WHOLE_MIN) + 1)
    return tuple(sorted({*close, *(n for n in SHOWN if MIN_OBSERVED <= n < context), context}))


def _evaluate(
    kind: Literal["baseline", "model"], model: Predictor, data: EvaluationData, brief: bool, progress: bool
) -> ForecasterScores:
    minutes = data.minutes
    windows = data.windows(model)
    whole = np.flatnonzero(minutes.whole)
    few = whole[:: -(-whole.size // N_SHORTENED)].astype(np.int64)
    counts = () if brief else counts_for(model.spec.context)
    n_windows = len(windows) + few.size * len(counts)
    with tqdm(total=n_windows, unit="window", unit_scale=True, desc=model.name, disable=not progress) as bar:
        outputs = predict_windows(model, windows, advance=bar.update)
        sheets = {lead: make_sheet(outputs, minutes, lead) for lead in model.lead_times_min}
        short, scored = windows.select(few), minutes.select(few)
        for n_kept in counts:
            found = predict_windows(model, short, n_kept=n_kept, advance=bar.update)
            for lead, sheet in sheets.items():
                sheet.by_readings[n_kept] = record_of(found, scored, lead)
    return ForecasterScores(
        name=model.name,
        version=model.version,
        kind=kind,
        context=model.spec.context,
        sheets=sheets,
        crossed_ratio=outputs.crossed_ratio,
        cost=None if brief else _cost(model, windows),
        day=day_of(outputs, minutes, data.day),
        losses=_losses(model),
    )


def _cost(model: Predictor, windows: Examples) -> Cost:
    inputs = windows.inputs(0, BATCH)
    return cost_of(model, inputs, windows.histories(0, len(inputs), inputs, history_steps_of(model)))


def _losses(model: Predictor) -> Losses | None:
    """Return the training history on a model's card, or None."""
    card = getattr(model, "card", None)
    made = (card.experiment or {}) if card is not None else {}
    history = made.get("history") or []
    if not history:
        return None
    return Losses(
        tuple(epoch["train_loss"] for epoch in history),
        tuple(epoch["validate_loss"] for epoch in history),
        made.get("best_epoch"),
    )
