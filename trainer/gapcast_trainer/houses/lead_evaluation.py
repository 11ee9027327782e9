"""Scores models on several houses by kind and lead time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.evaluation.lead_evaluation import check_lead_times, score_leads
from gapcast_trainer.houses.evaluation import HousesOptions, data_of
from gapcast_trainer.houses.lead_result import HousesLeadEvaluation
from gapcast_trainer.scores.options import PeerOptions


def evaluate_house_leads(
    models: Sequence[TflitePredictor],
    houses: Mapping[str, CleanFile],
    lead_times_min: Sequence[int],
    options: HousesOptions,
    show: Callable[[str], object] = lambda _: None,
) -> HousesLeadEvaluation:
    """Score ``models`` at ``lead_times_min`` on each of ``houses``, on the minutes that ``options`` select.

    Peers are boosted trees of the house's own first part, a pair for each kind and lead time. ``show`` is called with
    progress messages. Raises :class:`~gapcast_trainer.errors.RunError` if a model lacks a lead time, or if a house has
    no minutes to score or too few to fit to.
    """
    for model in models:
        check_lead_times(model.name, model.lead_times_min, lead_times_min)
    data = {name: data_of(name, models, clean, options) for name, clean in houses.items()}
    if options.peers:
        from gapcast_trainer.peers.compare import require_outcomes  # noqa: PLC0415 - needs the peers extra

        for name, of_house in data.items():  # before the first fit, which takes minutes
            require_outcomes(of_house, lead_times_min, name)
    peers, found = PeerOptions(options.fit_rows) if options.peers else None, {}
    for name, of_house in data.items():
        found[name] = score_leads(models, of_house, lead_times_min, peers, show=show)
        show(f"{name}: {found[name].n:,} windows")
    return HousesLeadEvaluation(found)
