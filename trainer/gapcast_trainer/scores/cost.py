"""Size and run time of a model, measured through the edge's predictor."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.predictor import Predictor, run_model

BATCH = 256
_N_SINGLE, _N_BATCHES = 1_000, 50
_N_WARM = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """Parameters and bytes (None without a file), microseconds for a single window and per row in a batch of 256."""

    parameters: int | None
    bytes: int | None
    single_us: float
    row_us: float

    def fields(self) -> dict[str, Any]:
        """Return the cost for a JSON file."""
        return {
            "parameters": self.parameters,
            "bytes": self.bytes,
            "single_us": round(self.single_us, 2),
            "row_us": round(self.row_us, 3),
        }


def cost_of(predictor: Predictor, windows: F32, history: F32 | None = None) -> Cost:
    """Measure ``predictor`` on real ``windows`` ``[n, context, features]``, n >= 1, on one thread.

    ``history`` ``[n, steps]`` belongs to the windows, for a model with a history. Times are medians of many calls after
    a warm-up.
    """
    card = getattr(predictor, "card", None)
    batch, past = _batch(windows), None if history is None else _batch(history)
    return Cost(
        parameters=None if card is None else card.parameters,
        bytes=None if card is None else card.bytes,
        single_us=_median_us(predictor, batch[:1], None if past is None else past[:1], _N_SINGLE),
        row_us=_median_us(predictor, batch, past, _N_BATCHES) / BATCH,
    )


def _batch(values: F32) -> F32:
    return values.repeat(-(-BATCH // len(values)), axis=0)[:BATCH]


def _median_us(predictor: Predictor, windows: F32, history: F32 | None, n_times: int) -> float:
    taken = []
    for count in range(_N_WARM + n_times):
        started = perf_counter()
        run_model(predictor, windows, history)
        if count >= _N_WARM:
            taken.append(perf_counter() - started)
    return median(taken) * 1e6
