"""Scores models by kind and lead time, with the reference forecasts and optional trees, on the same minutes.

The minutes are those of an evaluation: windows that end with 30 measured readings, with an outcome at the models'
longest lead time. The mean of all minutes until a lead time has an outcome if each of these minutes was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from gapcast.core.outlook.scores.reference_forecasts import KINDS, REFERENCES
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.errors import RunError
from gapcast_trainer.scores.evaluation_data import EvaluationData
from gapcast_trainer.scores.lead_minutes import LeadMinutes
from gapcast_trainer.scores.lead_result import LeadEvaluation, LeadRow
from gapcast_trainer.scores.model_outputs import ModelOutputs, predict_windows
from gapcast_trainer.scores.options import DEFAULTS, EvaluationOptions, PeerOptions
from gapcast_trainer.scores.span import choose_span


def evaluate_leads(
    models: Sequence[TflitePredictor],
    clean: CleanFile,
    lead_times_min: Sequence[int],
    options: EvaluationOptions = DEFAULTS,
    *,
    progress: bool = False,
    show: Callable[[str], object] = lambda _: None,
) -> LeadEvaluation:
    """Score ``models`` at ``lead_times_min``, which all of them must have, on minutes that are new to them.

    Of the peers in ``options``, boosted trees are fitted for each kind and lead time. For ``progress`` and ``show`` see
    :func:`~gapcast_trainer.evaluation.evaluate.evaluate`. Raises :class:`RunError` if a model lacks a lead time, or if
    there are no minutes to score or to fit to.
    """
    for model in models:
        check_lead_times(model.name, model.lead_times_min, lead_times_min)
    span = choose_span([model.card for model in models], clean, options.first, options.until)
    data = EvaluationData.from_clean_file(models, clean, span)
    data = replace(data, minutes=data.minutes.select(np.flatnonzero(data.minutes.whole).astype(np.int64)))
    if options.peers is not None:
        from gapcast_trainer.peers.compare import require_outcomes  # noqa: PLC0415 - needs the peers extra

        require_outcomes(data, lead_times_min)
    return score_leads(models, data, lead_times_min, options.peers, progress=progress, show=show)


def score_leads(
    models: Sequence[TflitePredictor],
    data: EvaluationData,
    lead_times_min: Sequence[int],
    peers: PeerOptions | None = None,
    *,
    progress: bool = False,
    show: Callable[[str], object] = lambda _: None,
) -> LeadEvaluation:
    """Score ``models``, which have all ``lead_times_min``, on ``data``, like :func:`evaluate_leads`.

    Raises :class:`RunError` if there are too few minutes to fit peers to.
    """
    leads_min = tuple(sorted({*lead_times_min}))
    leads = LeadMinutes(data.clean.series, data.minutes, leads_min)
    rows = [
        _row(name, "reference", {kind: of_kind[name] for kind, of_kind in leads.references.items()}, leads)
        for name in REFERENCES
    ]
    for model in models:
        with tqdm(
            total=len(data.minutes), unit="window", unit_scale=True, desc=model.name, disable=not progress
        ) as bar:
            outputs = predict_windows(model, data.windows(model), advance=bar.update)
        made = {KINDS[0]: outputs} if outputs.to is None else {KINDS[0]: outputs, KINDS[1]: outputs.to}
        rows.append(_row(model.name, "model", made, leads))
    if peers is not None:
        from gapcast_trainer.peers.leads import boosted_leads  # noqa: PLC0415 - needs the peers extra

        rows.append(boosted_leads(data, leads, peers.n_rows, show))
    return LeadEvaluation(data.span, data.clean.report, len(data.minutes), leads_min, tuple(rows))


def check_lead_times(name: str, possible_min: Sequence[int], wanted_min: Sequence[int]) -> None:
    """Raise :class:`RunError`, which lists ``possible_min``, unless model ``name`` has all ``wanted_min``."""
    unknown = [lead for lead in wanted_min if lead not in possible_min]
    if unknown:
        listed = ", ".join(map(str, possible_min))
        msg = f"--horizons: model {name} has no lead time of {unknown[0]} min; it has {listed}"
        raise RunError(msg)


def _row(name: str, kind_of_row: str, by_kind: Mapping[str, ModelOutputs], leads: LeadMinutes) -> LeadRow:
    row = LeadRow(name, kind_of_row)
    for kind, outputs in by_kind.items():
        for lead_min in leads.lead_times_min:
            leads.add_scores(row, kind, outputs, lead_min)
    return row
