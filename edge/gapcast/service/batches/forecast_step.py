"""Makes the forecasts and outlooks of a batch, even if models fail, and records replaced forecasts."""

from __future__ import annotations

import time

import structlog

from gapcast.core.errors import ModelError
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.forecasts.forecast_range import ForecastReplacements
from gapcast.core.isolation import forecast_with_bisection
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.outlook.outlook import Outlooks
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.service.containment import PROPAGATED_ERRORS, record_internal_error
from gapcast.service.running_engine import RunningEngine

log = structlog.get_logger(__name__)


class ForecastStep:
    """Calls the models of the running engine, and counts failed calls in ``statistics``.

    The caller holds the engine's lock.
    """

    def __init__(self, running: RunningEngine, statistics: Statistics) -> None:
        self._running = running
        self._statistics = statistics

    def forecast(self, accepted: AcceptedBatch) -> tuple[AcceptedBatch, Forecasts]:
        """Forecast the accepted readings; return them with the added failures, and the forecasts."""
        now_ms = time.time_ns() // 1_000_000
        engine = self._running.engine
        try:
            return accepted, engine.forecast(accepted, now_ms)
        except ModelError as error:  # the readings stay in the windows; the next batch may succeed
            self._count_failure(error)
            return accepted, self.none_made()
        except PROPAGATED_ERRORS:
            raise
        except BaseException as error:
            first = error
        try:
            return forecast_with_bisection(engine, accepted, now_ms)
        except PROPAGATED_ERRORS:
            raise
        except BaseException:
            record_internal_error(self._statistics, "forecast", first)
            return accepted, self.none_made()

    def none_made(self) -> Forecasts:
        """Return the forecasts of a batch without any."""
        return Forecasts(self._running.engine.published_model, time.time_ns() // 1_000_000, [], [], [], [])

    def outlook(self, accepted: AcceptedBatch, forecasts: Forecasts) -> Outlooks | None:
        """Return the outlooks of the devices that have outlooks; None if there are none."""
        if not len(forecasts):
            return None
        try:
            return self._running.engine.outlook(accepted, forecasts)
        except ModelError as error:
            self._count_failure(error)
            return None

    def _count_failure(self, error: ModelError) -> None:
        self._statistics.n_model_failures += 1
        log.exception("model.failed", problem=str(error))


def record_replacements(statistics: Statistics, replacements: ForecastReplacements) -> None:
    """Count and log the forecasts of one batch that were replaced because their values were impossible.

    The log is rate-limited by event.
    """
    if replacements.models:
        statistics.n_model_failures += 1
        problem = "the model returned a non-finite or out-of-range value; persistence was published instead"
        log.error("model.failed", models=", ".join(replacements.models), problem=problem)
    for replacement in replacements.replaced:
        cause = replacement.cause
        statistics.forecasts_replaced[cause] += 1
        log.warning(
            "forecast.replaced", device=replacement.device, cause=cause, value_kw=str(replacement.value_kw),
            published="persistence",
        )  # fmt: skip
