"""Minutes between lead times are on straight lines, which do not cross."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gapcast.core.outlook.correction.reconciliation import minutes_of_leads, times
from gapcast.core.outlook.interpolation import interpolate

LEADS_MIN = (1, 2, 3, 4, 5, 10, 15, 20, 30, 45, 60)
MINUTES = range(1, 61)
VALUES = arrays.arrays(np.float64, (2, 11, 4), elements=st.floats(-20, 20, width=32))


@given(VALUES)
def test_interpolation_is_exact_at_lead_times_and_on_the_outlooks_lines(kw: np.ndarray) -> None:
    found = interpolate(LEADS_MIN, kw, MINUTES)
    assert np.array_equal(found[:, np.array(LEADS_MIN) - 1], kw)
    for column in range(4):
        lines = times(kw[..., column], minutes_of_leads(LEADS_MIN))
        np.testing.assert_allclose(found[..., column], lines, rtol=0, atol=1e-12)


@given(VALUES)
def test_interpolated_columns_do_not_cross(kw: np.ndarray) -> None:
    kw.sort(axis=-1)
    assert (np.diff(interpolate(LEADS_MIN, kw, MINUTES), axis=-1) >= 0).all()


def test_interpolation_beyond_the_lead_times_is_constant() -> None:
    kw = np.array([[[1.0], [2.0]]])
    assert interpolate((5, 10), kw, [1, 5, 6, 10, 20])[0, :, 0].tolist() == pytest.approx([1.0, 1.0, 1.2, 2.0, 2.0])
    assert interpolate((5,), kw[:, :1], [1, 9])[0, :, 0].tolist() == [1.0, 1.0]
