"""The compiled step and numpy from the same state, drawn where constants matter: limits, minima, shares and rates.

Houses would need months to reach them, so the state is set. All of it is compared, element by element.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.ensemble_state import LOG_WIDTH, LOWEST, N_OUTCOMES, SCALE
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.online_model.packed_covariance import columns_of, pack, unpack
from gapcast.core.models.predictor import Prediction, Predictor
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Trend
from tests.support.houses import FIRST, LEAD_MIN, Smooth
from tests.support.library_choice import build

pytestmark = pytest.mark.compiled

N = 96
#: Tolerance for the last digits of exp and log in double, and for values stored in single precision.
F64_DIGITS, F32_DIGITS = 1e-9, 3e-7


def drawn_state(shapes: dict[str, tuple[int, ...]], draw: np.random.Generator) -> dict[str, NDArray[np.floating]]:
    """Return the state of N devices where limits apply."""
    seen = np.empty((N, 4))
    seen[:, SCALE] = draw.choice([0.005, 0.0051, 0.2, 1.0, 20.0], N)
    seen[:, N_OUTCOMES] = draw.choice([0, 50, 950, 1_500, 30_000, 99_350, 99_450, 3e5], N)
    seen[:, LOG_WIDTH] = draw.choice([-5.0, -4.9995, 0.0, 4.9995, 5.0, np.nan], N)
    seen[:, LOWEST] = draw.choice([-1.0, -0.055, -0.05, -0.045, -0.01, 0.0], N)
    memory = draw.normal(0, 10.0 ** draw.integers(-8, 4, shapes["memory"]), shapes["memory"])
    memory[:, 1:] = np.abs(memory[:, 1:]) * 10.0 ** draw.integers(-12, 1, memory[:, 1:].shape)
    memory[::4] = 0.0
    usual = draw.gamma(1.0, 1.0, shapes["usual"])
    usual[:, 1] = draw.choice([0, 1, 598, 599, 600], usual[:, 1].shape)
    covariance = draw.normal(0, 1e-5, shapes["covariance"]).astype(np.float32)
    n_columns, blocks = columns_of(covariance), unpack(covariance)
    n_blocks, size, _ = blocks.shape[1:]
    for i in range(size):  # the diagonal of the first block of each row
        blocks[:, :, i, i] = draw.choice([0.0019, 0.002, 0.00201, 0.00202, 0.00203, 0.003], (N, n_blocks))
    return {
        "seen": seen,
        "memory": memory,
        "usual": usual,
        "covariance": pack(blocks, n_columns),
        "coefficients": draw.normal(0, draw.choice([0.01, 0.1, 3.0], (N, 1, 1)), shapes["coefficients"]),
        "inside": draw.choice([0.0, 0.0199, 0.0205, 0.5, 1.0], N),
    }


def pair(draw: np.random.Generator, context: int) -> tuple[Ensemble, Ensemble]:
    models: list[Predictor] = [Smooth(WindowSpec(context)), Trend()]
    models += [Smooth(WindowSpec(context), name=f"other {i}") for i in range(6)]
    options = EnsembleOptions(refits=True, min_kw=-0.5, max_kw=30.0, forgetting=0.999)
    compiled, numpy = (build(Ensemble, models, options, compiled=chosen) for chosen in (True, False))
    assert compiled.compiled_step is not None
    assert len(compiled.members) >= 8  # numpy adds eight or more in another order
    for one in (compiled, numpy):
        one.state.index(np.array([N]))
    state = drawn_state({name: (N, *array.shape[1:]) for name, array in compiled.state.arrays.items()}, draw)
    for one in (compiled, numpy):
        for name, values in state.items():
            one.state.arrays[name][1 : N + 1] = values
        damage_elements(one)
    return compiled, numpy


def damage_elements(ensemble: Ensemble) -> None:
    """Damage single elements of the state of some devices; the other members and columns are sound."""
    arrays = ensemble.state.arrays
    arrays["specialists"][2:5, 0, -1, 2] = -0.5, np.nan, 1e30  # a negative share, none, and one that is nearly all
    arrays["coefficients"][6:9, 0, 0] = 1e30, np.nan, -1e30  # of the mean alone
    arrays["coefficients"][10:12, 1, 0] = 1e30, np.nan  # of the median alone
    arrays["covariance"][13:16, 0] = -1e3, np.nan, 1e30
    arrays["inside"][17:19] = np.nan, -1.0


def windows_of(context: int, draw: np.random.Generator) -> NDArray[np.float32]:
    """Return windows that are flat, export a little, step up and down, or have absurd powers."""
    kw = draw.choice([0.0, -0.045, -0.055, 0.3, 0.301, 0.35, 2.4], (N, context))
    kw[: N // 4] = kw[: N // 4, :1]
    kw[N // 4 : N // 2] += draw.normal(0, 0.02, (N // 4, context))
    kw[-8:, -2:] = draw.choice([29.0, 3_000.0], (8, 2))
    return kw.astype(np.float32)


def predictions_of(ensemble: Ensemble, windows: NDArray[np.float32], draw: np.random.Generator) -> Iterator[Prediction]:
    for model in ensemble.models:
        made = model.predict(windows[:, :, np.newaxis])
        mean = made.mean + draw.normal(0, draw.choice([0.001, 5.0], (N, 1)), made.mean.shape).astype(np.float32)
        if made.quantiles is None:
            yield Prediction(mean)
            continue
        spread = draw.choice([0.0, 0.0005, 0.00105, 0.4, 3.0], (N, 1, 1)).astype(np.float32)
        yield Prediction(mean, mean[:, :, np.newaxis] + np.array([-1.0, 0.0, 1.0], dtype=np.float32) * spread)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("context", [30, 111, 112, 181, 200])
def test_compiled_formulas_any_state_equals_numpy(context: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    compiled, numpy = pair(draw, context)
    rows, n_outcomes, n_replaced = np.arange(N), 0, 0
    for minute in (FIRST, FIRST + 1, FIRST + LEAD_MIN, FIRST + LEAD_MIN + 1, FIRST + 2 * LEAD_MIN):
        windows = windows_of(context, draw)
        predictions = list(predictions_of(compiled, windows, draw))
        forests_kw = draw.normal(0, 1, (N, 2))
        forests_kw[::3] = np.nan
        filled = [5, 17] if minute == FIRST + LEAD_MIN else []
        with np.errstate(all="ignore"):
            found, expected = (
                one.forecast(rows, np.full(N, minute), windows, predictions, filled, forests_kw)
                for one in (compiled, numpy)
            )
            outcomes = [one.learn() for one in (compiled, numpy)]
        np.testing.assert_allclose(found.kw, expected.kw, rtol=F64_DIGITS, atol=F64_DIGITS)
        np.testing.assert_allclose(found.shares, expected.shares, rtol=F64_DIGITS, atol=1e-15)
        assert [place for place, _ in found.replaced] == [place for place, _ in expected.replaced]
        n_outcomes += sum(map(len, outcomes[0]))
        n_replaced += len(found.replaced)
        assert sum(map(len, outcomes[0])) == sum(map(len, outcomes[1]))
        assert_same_state(compiled, numpy)
    assert n_outcomes > 2 * N
    assert n_replaced > 0


def assert_same_state(compiled: Ensemble, numpy: Ensemble) -> None:
    for name, expected in numpy.state.arrays.items():
        found = compiled.state.arrays[name]
        if expected.dtype.kind != "f":
            np.testing.assert_array_equal(found, expected, err_msg=name)
            continue
        digits = F64_DIGITS if expected.dtype == np.float64 else F32_DIGITS
        # Sums of terms of both signs lose digits: as many as they are smaller than the row's largest.
        largest = np.abs(np.nan_to_num(expected)).reshape(len(expected), -1).max(axis=1)
        small = largest.reshape(-1, *[1] * (expected.ndim - 1)) * (1e-12 if name == "memory" else 1e-9)
        apart = np.abs(found - expected)
        is_same = (apart <= digits * np.abs(expected) + small) | (found == expected)
        is_same |= np.isnan(found) & np.isnan(expected)
        assert is_same.all(), f"{name} {np.argwhere(~is_same)[:5].tolist()} {found[~is_same][:5]}"
