"""What the ensemble costs a reading, beside the models that it hears: ``python -m bench.learning``.

The default engine takes a stream of so many devices at a time, in this process and without a broker. ``told`` is what
comes between the models' words and the forecast, and adds to latency; ``learnt`` is what outcomes teach, scores and
drift included, after the forecast has left. Medians over the batches, microseconds: let nothing else run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gapcast.app.models import engine_of, load_models
from gapcast.config.loader import load
from gapcast.core.engine import Engine
from gapcast.core.learning.ensemble import EnsembleForecasts
from gapcast.core.reading import Reading

FIRST_MINUTE = 21_476_160
BATCHES = (1, 16, 256)
N_MINUTES, N_WARM = 400, 60


class Stopwatch:
    """Sums the time that calls take, µs."""

    def __init__(self) -> None:
        self.us = 0.0

    def over(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``call`` with its time summed."""

        def timed(*arguments: Any) -> Any:
            began_ns = time.perf_counter_ns()
            result = call(*arguments)
            self.us += (time.perf_counter_ns() - began_ns) / 1_000
            return result

        return timed


def measure(engine: Engine, n_devices: int) -> tuple[float, float, float]:
    """Return microseconds a reading: all models, told, learnt."""
    ensemble = engine.ensemble
    if ensemble is None:
        msg = "the default engine has no ensemble"
        raise TypeError(msg)
    reports: Stopwatch = Stopwatch()
    forecast: Callable[..., EnsembleForecasts] = ensemble.forecast
    ensemble.forecast = reports.over(forecast)  # type: ignore[method-assign]
    draw = np.random.default_rng(1)
    taken: list[tuple[float, float, float]] = []
    for minute in range(N_MINUTES):
        kw: Sequence[float] = draw.gamma(1.0, 1.0, n_devices).tolist()
        readings = [Reading(f"d{i}", FIRST_MINUTE + minute, power) for i, power in enumerate(kw)]
        accepted = engine.accept(readings)
        reports.us, began_ns = 0.0, time.perf_counter_ns()
        engine.forecast(accepted, 0)
        between_ns = time.perf_counter_ns()
        engine.learn()
        learnt_us = (time.perf_counter_ns() - between_ns) / 1_000
        rest_us = (between_ns - began_ns) / 1_000 - reports.us
        taken.append((rest_us / n_devices, reports.us / n_devices, learnt_us / n_devices))
    models_us, told_us, learnt_us = (statistics.median(column) for column in zip(*taken[N_WARM:], strict=True))
    return models_us, told_us, learnt_us


def main() -> None:
    """Measure and print."""
    settings = load(None, {}, {})
    models = load_models(settings)
    print("| devices at a time | models and the rest, µs a reading | told | learnt | told and learnt |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for n_devices in BATCHES:
        models_us, told_us, learnt_us = measure(engine_of(settings, models), n_devices)
        print(f"| {n_devices} | {models_us:.1f} | {told_us:.1f} | {learnt_us:.1f} | {told_us + learnt_us:.1f} |")


if __name__ == "__main__":
    main()
