"""Situations: from constant power to many kilowatts, without jumps, in units of the device's scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.learning.ensemble import situations

SCALE_KW = np.array([0.2])


def window(
    *newest_kw: float, context: int = 180, level_kw: float = 0.3
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return a constant window that ends with ``newest_kw``, ``[1, context]``."""
    kw = np.full((1, context), level_kw, dtype=np.float32)
    kw[0, context - len(newest_kw) :] = newest_kw
    return kw


def test_activity_and_rise_of_a_constant_window_are_zero() -> None:
    assert situations.of_windows(window()).tolist() == [[0.0, 0.0]]
    assert situations.levels(np.zeros((1, 2)), np.zeros(1), SCALE_KW).tolist() == [[0.0, 0.0, 0.0]]


def test_activity_decays_and_rise_lasts_while_an_appliance_is_on() -> None:
    """Half of the activity remains after seven minutes."""
    just_on, on_for_a_while = situations.of_windows(window(2.3))[0], situations.of_windows(window(*[2.3] * 8))[0]
    assert just_on[1] == on_for_a_while[1] == pytest.approx(2.0)
    assert on_for_a_while[0] == pytest.approx(just_on[0] / 2)


@pytest.mark.parametrize("context", [2, 30, 60, 61, 300])
def test_windows_of_any_length_have_a_situation(context: int) -> None:
    activity_kw, rise_kw = situations.of_windows(window(1.3, context=context))[0]
    assert 0 < activity_kw < 1
    assert rise_kw == pytest.approx(1.0)


def test_levels_multiply_by_four() -> None:
    """A quantity four times as large is one level higher, from the lowest level to the third above it."""
    found = [situations.levels(np.full((1, 2), kw), np.array([-kw]), SCALE_KW)[0] for kw in (0.08, 0.32)]
    assert found[1] - found[0] == pytest.approx([1, 1, 1])
    assert situations.levels(np.full((1, 2), 1e9), np.array([1e9]), SCALE_KW).tolist() == [[3.0, 3.0, 3.0]]


@given(st.lists(st.floats(0, 3), min_size=3, max_size=3))
def test_memberships_of_each_quantity_sum_to_one(levels: list[float]) -> None:
    (found,) = situations.memberships(np.array([levels]))
    assert found[:-1].reshape(3, 4).sum(-1) == pytest.approx([1, 1, 1])
    assert found[-1] == 1, "any situation"
    assert (found >= 0).all()
    assert (found > 0).sum() <= 7, "at most two levels of each quantity, and any"
