"""Compares models: each alone, on the same readings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.loaded_models import Models
from gapcast.app.models.models import load_models
from gapcast.app.models.primary_model import lead_times_text
from gapcast.backtest.inputs.engine_settings import with_outlooks, without_queries
from gapcast.backtest.inputs.houses import FilePart, minutes_of
from gapcast.backtest.inputs.training_overlap import training_notes
from gapcast.backtest.results.report import HEAD, row
from gapcast.backtest.run import read_houses, run_houses
from gapcast.config.settings import Settings
from gapcast.core.forecasts.outcomes import PERSISTENCE
from gapcast.core.learning.scores.summary import Summary
from gapcast.core.windows.features import measured_in
from gapcast.recordings.text.layout import FileFormat


@dataclass(frozen=True, slots=True)
class ModelResult:
    """The scores of a model's forecasts, over all houses, and how far ahead it forecasts."""

    name: str
    horizon_min: int
    scored: Summary


@dataclass(frozen=True, slots=True)
class Comparison:
    """The results of all models on the same houses; ``skipped`` has a sentence for each model without a result.

    ``notes`` has one for each model that was trained on data of the same time.
    """

    houses: tuple[str, ...]
    results: tuple[ModelResult, ...]
    skipped: tuple[str, ...]
    notes: tuple[str, ...] = ()


def run_comparison(
    settings: Settings,
    files: Sequence[Path],
    form: FileFormat,
    part: FilePart,
    *,
    show: Callable[[str], object] | None = None,
) -> Comparison:
    """Run each available model alone over ``files``, as the service would with ``forecast.blend = false``.

    Models that have the main forecast's horizon are scored at it. If ``forecast.horizon_min`` is set, other models are
    skipped; else they are scored at their own horizon. ``show`` is called with a description of each file. Raises the
    errors of :func:`~gapcast.backtest.processes.run_files`.
    """
    scored_from = part.first_scored_minute
    recordings = read_houses(settings, files, form, part, show)
    settings = with_outlooks(without_queries(settings), 0)
    forecast = settings.forecast.model_copy(update={"blend": False, "experts": None})
    alone, loaded = settings.model_copy(update={"forecast": forecast}), load_models(settings)
    configured_min = settings.forecast.horizon_min
    main_min = configured_min or loaded.primary.lead_times_min[-1]
    results, skipped = [], []
    for name, model in sorted(loaded.by_name.items()):
        further = measured_in(model.features)[1:]
        if further:
            skipped.append(f"{name}: not scored, it also needs {', '.join(further)}, which a back-test does not read")
            continue
        leads_min = model.lead_times_min
        if configured_min is not None and configured_min not in leads_min:
            skipped.append(
                f"{name}: not scored, it forecasts {lead_times_text(leads_min)} min ahead, not {configured_min}"
            )
            continue
        horizon_min = main_min if main_min in leads_min else leads_min[-1]
        engine = engine_of(alone, Models(loaded.by_name, model, horizon_min=horizon_min))
        houses = {house: minutes_of(recording, part) for house, recording in recordings.items()}
        found = run_houses(engine, houses, scored_from, quiet=show is None)
        results.append(ModelResult(name, horizon_min, found.scored))
        model.release_interpreters()
    spans = [minutes_of(recording, part).bounds for recording in recordings.values()]
    notes = training_notes(loaded.cards, {result.name for result in results}, spans, scored_from)
    return Comparison(tuple(recordings), tuple(results), tuple(skipped), notes)


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """Yield one table for each horizon: the models in order of their MSE, and persistence."""
    houses = ", ".join(comparison.houses)
    for horizon_min in sorted({result.horizon_min for result in comparison.results}):
        results = [result for result in comparison.results if result.horizon_min == horizon_min]
        first = results[0].scored
        yield f"{houses}: {first.n:,} forecasts scored of each model alone, {horizon_min} minutes ahead"
        if not first.n:
            yield "  nothing to score: no forecast has an outcome"
            continue
        base_mse, base_mae = first.persistence_mse_kw2, first.persistence_mae_kw
        yield f"{HEAD} {'coverage':>9}"
        for result in sorted(results, key=_mse_kw2):
            scored = result.scored
            coverage = "-" if scored.coverage is None else f"{scored.coverage:.1%}"
            yield f"{row(result.name, scored.mse_kw2, scored.mae_kw, base_mse, base_mae)} {coverage:>9}"
        yield f"{row(PERSISTENCE, base_mse, base_mae, base_mse, base_mae)} {'-':>9}"
    yield from comparison.skipped
    yield from comparison.notes


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Return all results as a JSON document."""
    return {
        "houses": list(comparison.houses),
        "models": {
            result.name: {"horizon_min": result.horizon_min, "scored": result.scored.document()}
            for result in comparison.results
        },
        "skipped": list(comparison.skipped),
    }


def _mse_kw2(result: ModelResult) -> float:
    return float("inf") if result.scored.mse_kw2 is None else result.scored.mse_kw2
