"""Cost of the ensemble and of online learning per reading: ``python -m bench.learning``.

The default engine processes a stream in batches of several devices, in this process and without a broker. The
ensemble runs between the models' predictions and the forecast, and adds to latency; learning from outcomes, with scores
and drift detection, runs after publishing. Medians over the batches, in microseconds; run nothing else meanwhile.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.config.loader import load
from gapcast.core.engine import Engine
from gapcast.core.learning.ensemble.member_combination import EnsembleForecasts
from gapcast.core.readings.reading import Reading

FIRST_MINUTE = 21_476_160
BATCHES = (1, 16, 256)
N_MINUTES, N_WARM = 400, 60


class Stopwatch:
    """Accumulates the duration of calls, µs."""

    def __init__(self) -> None:
        self.us = 0.0

    def over(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``call``, timed."""

        def timed(*arguments: Any) -> Any:
            began_ns = time.perf_counter_ns()
            result = call(*arguments)
            self.us += (time.perf_counter_ns() - began_ns) / 1_000
            return result

        return timed


def measure(engine: Engine, n_devices: int) -> tuple[float, float, float]:
    """Return microseconds per reading: models and everything else, ensemble, learning."""
    combined = engine.ensemble
    if combined is None:
        msg = "the default engine has no ensemble"
        raise TypeError(msg)
    ensemble = Stopwatch()
    forecast: Callable[..., EnsembleForecasts] = combined.forecast
    combined.forecast = ensemble.over(forecast)  # type: ignore[method-assign]  # measured in place
    draw = np.random.default_rng(1)
    taken: list[tuple[float, float, float]] = []
    for minute in range(N_MINUTES):
        kw: Sequence[float] = draw.gamma(1.0, 1.0, n_devices).tolist()
        readings = [Reading(f"d{i}", FIRST_MINUTE + minute, power) for i, power in enumerate(kw)]
        accepted = engine.accept(readings)
        ensemble.us, began_ns = 0.0, time.perf_counter_ns()
        engine.forecast(accepted, 0)
        between_ns = time.perf_counter_ns()
        engine.learn()
        learning_us = (time.perf_counter_ns() - between_ns) / 1_000
        rest_us = (between_ns - began_ns) / 1_000 - ensemble.us
        taken.append((rest_us / n_devices, ensemble.us / n_devices, learning_us / n_devices))
    columns = zip(*taken[N_WARM:], strict=True)
    models_us, ensemble_us, learning_us = (statistics.median(column) for column in columns)
    return models_us, ensemble_us, learning_us


def main() -> None:
    """Measure and print."""
    settings = load(None, {}, {})
    models = load_models(settings)
    print("| devices per batch | models and the rest, µs per reading | ensemble | learning | ensemble and learning |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for n_devices in BATCHES:
        models_us, ensemble_us, learning_us = measure(engine_of(settings, models), n_devices)
        figures = (models_us, ensemble_us, learning_us, ensemble_us + learning_us)
        print(f"| {n_devices} | {' | '.join(f'{us:.1f}' for us in figures)} |")


if __name__ == "__main__":
    main()
