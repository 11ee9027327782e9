"""Models beside persistence and trend, and peers where asked, on the same minutes, through the edge's predictors.

The headline is over the forecasts made after 30 real readings in a row whose outcome was read: one
rule for models of every context, so that all stand on the same minutes. A model that looks further
back sees what history there is, padded as its card says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

import numpy as np
from tqdm import tqdm

from gapcast.core.examples import WHOLE_MIN
from gapcast.core.predictor import Predictor
from gapcast.core.window import MIN_OBSERVED, WindowSpec
from gapcast.predictors.baselines import Persistence, Trend
from gapcast.predictors.tflite import TflitePredictor
from gapcast_trainer.cleanfile import Clean
from gapcast_trainer.scores.cost import BATCH, cost_of
from gapcast_trainer.scores.day import day_of
from gapcast_trainer.scores.ground import Ground
from gapcast_trainer.scores.model_outputs import ask
from gapcast_trainer.scores.result import Evaluated, Evaluation, Losses
from gapcast_trainer.scores.sheet import make_sheet, record_of
from gapcast_trainer.scores.span import choose_span
from gapcast_trainer.scores.table import SHOWN

#: Windows that are cut short, evenly spread over the headline's.
N_SHORTENED = 40_000


def evaluate(  # noqa: PLR0913 - what there is to choose
    models: Sequence[TflitePredictor],
    clean: Clean,
    *,
    first: datetime | None = None,
    until: datetime | None = None,
    peers: bool = False,
    peers_rows: int | None = None,
    n_sampled: int = 300,
    brief: bool = False,
    progress: bool = False,
    note: Callable[[str], object] = lambda _: None,
) -> Evaluation:
    """Score ``models`` on the minutes of ``clean`` that are fair to them all (:func:`choose_span`).

    ``first`` and ``until`` (exclusive) ask for other minutes. With ``peers`` others' methods are fitted
    and scored too: boosted trees, fitted to at most ``peers_rows`` windows, and classical methods on
    ``n_sampled`` of the headline's; ``note`` is told of each. ``brief``
    leaves out shortened windows and times. Raises :class:`RunError` where there are no minutes to
    score, or none to fit peers to.
    """
    span = choose_span([model.card for model in models], clean, first, until)
    ground = Ground.of(models, clean, span, n_sampled if peers else 0)
    leads = ground.minutes.lead_times_min
    others = None
    if peers:
        from gapcast_trainer.peers.compare import Peers  # noqa: PLC0415 - needs the peers extra

        others = Peers(ground, peers_rows)  # refuses before anything is scored
    baselines = (Persistence(WindowSpec(WHOLE_MIN), leads), Trend(WindowSpec(WHOLE_MIN), leads))
    rows = [_evaluate("baseline", baseline, ground, brief, progress) for baseline in baselines]
    rows += [_evaluate("model", model, ground, brief, progress) for model in models]
    sampled: tuple[Evaluated, ...] = ()
    if others is not None:
        rows += others.boosted(note)
        sampled = others.sampled(note)
    return Evaluation(span, clean.report, tuple(rows), sampled)


def counts_for(context: int) -> tuple[int, ...]:
    """Return the numbers of readings that a model of ``context`` is scored at: all to 30, then ever wider apart.

    >>> counts_for(60)[-4:]
    (29, 30, 45, 60)
    """
    close = range(MIN_OBSERVED, min(context, WHOLE_MIN) + 1)
    return tuple(sorted({*close, *(n for n in SHOWN if MIN_OBSERVED <= n < context), context}))


def _evaluate(
    kind: Literal["baseline", "model"], model: Predictor, ground: Ground, brief: bool, progress: bool
) -> Evaluated:
    minutes = ground.minutes
    windows = ground.windows(model)
    whole = np.flatnonzero(minutes.whole)
    few = whole[:: -(-whole.size // N_SHORTENED)].astype(np.int64)
    counts = () if brief else counts_for(model.spec.context)
    n_windows = len(windows) + few.size * len(counts)
    with tqdm(total=n_windows, unit="window", unit_scale=True, desc=model.name, disable=not progress) as bar:
        answers = ask(model, windows, advance=bar.update)
        sheets = {lead: make_sheet(answers, minutes, lead) for lead in model.lead_times_min}
        short, scored = windows.take(few), minutes.take(few)
        for n_kept in counts:
            found = ask(model, short, n_kept=n_kept, advance=bar.update)
            for lead, sheet in sheets.items():
                sheet.by_readings[n_kept] = record_of(found, scored, lead)
    return Evaluated(
        name=model.name,
        version=model.version,
        kind=kind,
        context=model.spec.context,
        sheets=sheets,
        crossed_ratio=answers.crossed_ratio,
        cost=None if brief else cost_of(model, windows.inputs(0, BATCH)),
        day=day_of(answers, minutes, ground.day),
        losses=_losses(model),
    )


def _losses(model: Predictor) -> Losses | None:
    """Return the course of the training that a model's card records, or None where it records none."""
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
