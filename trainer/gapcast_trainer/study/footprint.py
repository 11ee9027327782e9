"""Measures the cost of one model on this machine; run as a separate process, it prints JSON.

``python -m gapcast_trainer.study.footprint models/lstm-5-3``
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gapcast.predictors.models_folder.store import load_model
from gapcast.predictors.tflite.runtime import load_interpreter

_STATM = Path("/proc/self/statm")
_PAGE_BYTES = 4_096
_LARGE_BATCH = 256
_REPEATS, _CALLS = 15, 40


def measure(folder: Path) -> dict[str, Any]:
    """Return milliseconds to load and self-test the model, its memory in megabytes, and microseconds per forecast.

    Memory is the growth of the process from the imported runtime to a model with every interpreter in use, MB of 10^6
    bytes; None without /proc. Times are the minimum of several rounds, because other work on the machine can only add
    to them.
    """
    load_interpreter()
    before = _resident_bytes()
    started = time.perf_counter()
    model = load_model(folder)
    load_ms = (time.perf_counter() - started) * 1e3
    golden = np.asarray(model.card.golden.window, dtype=np.float32)
    large = np.resize(golden, (_LARGE_BATCH, *golden.shape[1:]))
    model.warm_up()
    one_us = _fastest_us(lambda: model.predict(large[:1]))
    row_us = _fastest_us(lambda: model.predict(large)) / _LARGE_BATCH
    after = _resident_bytes()
    return {
        "load_ms": load_ms,
        "rss_grown_mb": None if before is None or after is None else (after - before) / 1e6,
        "batch_1_us": one_us,
        "row_at_256_us": row_us,
    }


def _fastest_us(call: Callable[[], object]) -> float:
    rounds = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        for _ in range(_CALLS):
            call()
        rounds.append((time.perf_counter() - started) / _CALLS * 1e6)
    return min(rounds)


def _resident_bytes() -> int | None:
    return int(_STATM.read_text().split()[1]) * _PAGE_BYTES if _STATM.is_file() else None


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
