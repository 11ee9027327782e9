"""The report of an import, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo

from gapcast.backtest.results.report import table
from gapcast.core.learning.scores.summary import MIN_OUTCOMES
from gapcast.core.time_grid import local_label
from gapcast.core.windows.window import MAX_FILL_MIN
from gapcast.history_import.run import ImportResult


def lines(result: ImportResult, zone: tzinfo) -> Iterator[str]:
    """Yield a summary of the import, the scores, and until when learning is warm; times are in ``zone``."""
    first, last = local_label(result.first_minute, zone), local_label(result.last_minute, zone)
    yield f"{result.device}: learned from {result.n_readings:,} readings, {first} to {last} ({zone})"
    yield from table(result.device, result.published_model, result.scores)
    if result.scores.is_sufficient:
        yield f"Learning, scores and the prediction interval are up to date until {last}."
    else:
        yield f"Learning has begun; a first assessment takes {MIN_OUTCOMES} scored forecasts (half a day)."
    continues = local_label(result.last_minute + MAX_FILL_MIN + 1, zone)
    yield (
        f"If live readings resume by {continues}, the input window continues, else it fills again. "
        "Learned parameters remain."
    )
    yield f"Written to {result.folder}. Start the service: it continues from here."
