"""Both implementations of the compiled library's computations, and a run of a load that switches."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.houses import EngineRun, Smooth, ensemble_engine, stream


@pytest.fixture(scope="module", params=[True, False], ids=["compiled", "numpy"])
def compiled(request: pytest.FixtureRequest) -> bool:
    """Whether to use the compiled library."""
    return bool(request.param)


@pytest.fixture(scope="session")
def compressor() -> EngineRun:
    """Four days of a compressor, on for 14 to 16 minutes and off for 20 to 24.

    It is forecast by the compiled library, if that is built: numpy computes the same bits in ten times as long.
    """
    draw = np.random.default_rng(4)
    cycles = [[1.5] * int(draw.integers(14, 17)) + [0.1] * int(draw.integers(20, 25)) for _ in range(160)]
    power_kw = np.concatenate(cycles) + draw.normal(0, 0.01, sum(map(len, cycles)))
    return EngineRun(ensemble_engine(Smooth())).process(stream(power_kw))
