"""Published powers: the path follows the ensemble's mean; the library computes the same as numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.forecasts.forecast import DECIMALS
from gapcast.core.forecasts.forecast_range import ForecastRange
from gapcast.core.forecasts.published_powers import N_POWERS, PublishedPowers, rounded
from tests.support.library_choice import build

RANGE = ForecastRange(-120.0, 120.0)
LOW_KW = np.array([RANGE.low_kw])
POWERS = st.one_of(st.floats(-150, 150), st.floats(-1e-5, 1e-5), st.floats())


def bits(powers_kw: F64) -> bytes:
    """The values with a single NaN representation, and with the sign of zeros."""
    return np.where(np.isnan(powers_kw), np.nan, powers_kw).tobytes()


@st.composite
def batches(draw: st.DrawFn, n_leads: int) -> tuple[F64, F32, F64]:
    n = draw(st.integers(1, 5))
    values = draw(st.lists(POWERS, min_size=n * (N_POWERS + n_leads), max_size=n * (N_POWERS + n_leads)))
    kw = np.array(values).reshape(n, -1)
    floor_kw = np.array(draw(st.lists(st.sampled_from((-150.0, -100.0, -0.03, 0.0)), min_size=n, max_size=n)))
    with np.errstate(over="ignore"):
        return kw[:, :N_POWERS].copy(), kw[:, N_POWERS:].astype(np.float32), floor_kw


@pytest.mark.compiled
@given(st.data(), st.sampled_from([(), (5,), (1, 2, 3, 4, 5), (1, 15, 60)]))
def test_library_computes_the_powers_of_numpy(data: st.DataObject, leads_min: tuple[int, ...]) -> None:
    n_weights = data.draw(st.sampled_from([0, 6]))
    powers = PublishedPowers(leads_min, RANGE, n_weights)
    for _ in range(3):
        kw, path_kw, floor_kw = data.draw(batches(len(leads_min)))
        path = path_kw if leads_min else None
        shares = data.draw(st.lists(st.floats(0, 1), min_size=n_weights, max_size=n_weights))
        weights = np.array([shares] * len(kw)) if n_weights else None
        with np.errstate(all="ignore"):
            assert bits(powers.compute_numbers(kw, path, floor_kw, weights)) == bits(
                powers.by_numpy(kw, path, floor_kw, weights)
            )


@pytest.mark.parametrize("compiled", [True, False])
def test_path_is_moved_by_the_correction_in_proportion(compiled: bool) -> None:
    powers = build(PublishedPowers, (1, 2, 4), RANGE, compiled=compiled)
    path_kw = np.array([[1.0, 2.0, 3.0], [1.0, 119.9, 0.0]], dtype=np.float32)
    found = powers.compute_numbers(
        np.array([[4.0, 3.5, 3.0, 5.0], [1.23456789, 0.0, 0.0, 0.0]]), path_kw, LOW_KW.repeat(2)
    )
    assert found[0].tolist() == [4.0, 3.5, 3.0, 5.0, 1.25, 2.5, 4.0]
    assert found[1, N_POWERS:].tolist() == [1.308642, 120.0, 1.234568]


@pytest.mark.parametrize("compiled", [True, False])
def test_path_is_not_below_the_floor_of_its_window(compiled: bool) -> None:
    """The correction lowers the path: to 0 in a house that never exported, as far as it goes in one that does."""
    powers = build(PublishedPowers, (1, 2, 4), RANGE, compiled=compiled)
    kw, path_kw = np.array([[0.25, 0.25, 0.0, 1.0]] * 4), np.array([[0.25, 0.25, 2.25]] * 4, dtype=np.float32)
    found = powers.compute_numbers(kw, path_kw, np.array([0.0, -0.03, -100.0, -150.0]))
    assert found[:, :N_POWERS].tolist() == kw.tolist()
    assert found[:, N_POWERS:].tolist() == [
        [0.0, 0.0, 0.25], [-0.03, -0.03, 0.25], [-0.25, -0.75, 0.25], [-0.25, -0.75, 0.25]
    ]  # fmt: skip


@pytest.mark.parametrize("compiled", [True, False])
def test_powers_without_a_path_are_rounded(compiled: bool) -> None:
    powers = build(PublishedPowers, (), RANGE, compiled=compiled)
    assert powers.compute_numbers(np.array([[1.23456789, -0.0, 1e-9, 100.0]]), None, LOW_KW).tolist() == [
        [1.234568, -0.0, 0.0, 100.0]
    ]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_rounded_is_numpys_round(values: list[float]) -> None:
    kw = np.array(values, dtype=np.float32)
    with np.errstate(over="ignore"):
        assert bits(rounded(kw)) == bits(kw.astype(np.float64).round(DECIMALS))


def test_powers_of_a_batch_stay_after_the_next() -> None:
    powers = PublishedPowers((1, 5), RANGE)
    first = powers.compute_numbers(np.ones((1, N_POWERS)), np.ones((1, 2), dtype=np.float32), LOW_KW)
    powers.compute_numbers(np.zeros((1, N_POWERS)), np.zeros((1, 2), dtype=np.float32), LOW_KW)
    assert first.tolist() == [[1.0] * 6]
