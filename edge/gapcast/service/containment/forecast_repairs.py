"""Counts and logs forecasts that were replaced because their values were impossible."""

from __future__ import annotations

import structlog

from gapcast.core.forecasts.forecast_range import Repairs
from gapcast.core.monitoring.statistics import Statistics

log = structlog.get_logger(__name__)


def record_repairs(statistics: Statistics, repairs: Repairs) -> None:
    """Count and log the repairs to the forecasts of one batch; the log is rate-limited by event."""
    if repairs.models:
        statistics.n_model_failures += 1
        problem = "the model returned a non-finite or out-of-range value; persistence was published instead"
        log.error("model.failed", models=", ".join(repairs.models), problem=problem)
    for replacement in repairs.replaced:
        cause = replacement.cause
        statistics.forecasts_replaced[cause] += 1
        log.warning(
            "forecast.replaced", device=replacement.device, cause=cause, value_kw=str(replacement.value_kw),
            published="persistence",
        )  # fmt: skip
