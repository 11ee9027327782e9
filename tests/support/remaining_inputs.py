"""Inputs of the power that remains, of devices with random readings and quantiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gapcast.core.demand.distributions.remaining_inputs import RemainingInputs

LEADS_MIN = (1, 2, 5, 10, 15, 30, 60)
LEVELS_OF_MODEL = (0.05, 0.25, 0.5, 0.75, 0.95)
MONDAY = 29_700_000 // 1_440 * 1_440


def with_next_windows(inputs: RemainingInputs) -> RemainingInputs:
    """Return ``inputs`` of running windows with the next window of 15 minutes of each."""
    left_min = inputs.ahead_to
    return inputs._replace(
        ahead_from=np.stack((np.zeros_like(left_min), left_min)),
        ahead_to=np.stack((left_min, left_min + 15)),
        allowed_kw=np.stack((inputs.allowed_kw, inputs.limit_kw)),
        limit_kw=np.stack((inputs.limit_kw, inputs.limit_kw)),
    )


def random_inputs(rows: Sequence[int], minute: int, seed: int = 0, *, limit_kw: float = 2.5) -> RemainingInputs:
    """Return the inputs of the windows of 15 minutes that run at ``minute``, the newest one."""
    rng = np.random.default_rng((seed, minute))
    n, elapsed = len(rows), (minute + 1) % 15
    quantiles_kw = np.sort(rng.gamma(1.0, 1.5, (n, len(LEADS_MIN), len(LEVELS_OF_MODEL))), axis=-1)
    return RemainingInputs(
        rows=np.array(rows),
        minutes=np.full(n, minute),
        windows=rng.gamma(1.0, 1.5, (n, 180)).astype(np.float32),
        quantiles_kw=quantiles_kw,
        floor_kw=np.zeros(n),
        ahead_from=np.zeros(n, dtype=np.int64),
        ahead_to=np.full(n, 15 - elapsed),
        window_min=np.full(n, 15),
        allowed_kw=np.full(n, limit_kw),
        limit_kw=np.full(n, limit_kw),
        least_kw=np.full(n, -np.inf),
    )
