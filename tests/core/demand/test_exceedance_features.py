"""The features on which the log-odds of exceedances depend."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.demand.distributions.distribution import scaled, unscaled
from gapcast.core.demand.distributions.exceedance_features import (
    N_LINES,
    NODE_LINES,
    WIDTH,
    features_of,
    lines_of,
    log_odds_of,
    reading_features_of,
)
from gapcast.core.demand.distributions.model_quantiles import NODES


@pytest.mark.parametrize("context", [1, 5, 60, 180])
def test_powers_of_a_constant_window_are_it(context: int) -> None:
    readings = reading_features_of(np.array([0]), np.full((1, context), 2.0, dtype=np.float32), scaled(np.array([2.0])))
    np.testing.assert_allclose(unscaled(readings.powers), 2.0)


def test_highest_span_is_before_the_newest_one() -> None:
    kw = np.zeros((1, 180), dtype=np.float32)
    kw[0, -15:], kw[0, -45:-30] = 5.0, 3.0
    found = unscaled(reading_features_of(np.array([0]), kw, np.zeros(1)).powers)[0]
    np.testing.assert_allclose(found, [5.0, 5.0, 5.0, 5.0, 0.0, 2.0, 3.0, 0.0], atol=1e-6)


def test_features_of_a_limit_rise_with_the_powers_and_fall_with_it() -> None:
    rng = np.random.default_rng(2)
    windows = rng.gamma(1.0, 1.0, (2, 180)).astype(np.float32)
    readings = reading_features_of(np.array([600, 90]), windows, rng.normal(size=2))
    nodes_z = np.sort(rng.normal(2.0, 2.0, (2, len(NODES))), axis=1)
    features = features_of(readings, NODE_LINES, nodes_z)
    assert features.shape == (2, WIDTH, len(NODES))
    assert (features[:, 0] == 1.0).all()
    assert features[:, 1:4].sum(axis=1) == pytest.approx(np.tile(NODES, (2, 1)))
    assert features[:, N_LINES] == pytest.approx(
        np.sin([[np.pi * 600 / 720], [np.pi * 90 / 720]]).repeat(len(NODES), axis=1)
    )
    assert (np.diff(features[:, N_LINES + 2 : -1], axis=2) <= 0).all()
    assert (np.diff(features[:, -1], axis=1) >= 0).all()


def test_log_odds_are_the_features_times_the_coefficients() -> None:
    rng = np.random.default_rng(2)
    features, coefficients = rng.normal(size=(3, WIDTH, 5)), rng.normal(size=(3, WIDTH))
    np.testing.assert_allclose(log_odds_of(features, coefficients), np.einsum("ndm,nd->nm", features, coefficients))


def test_triangle_is_highest_at_even_odds() -> None:
    triangle = lines_of(np.array([[-9.0, -2.0, -1.0, 0.0, 0.5, 2.0, 9.0]]))[0, N_LINES - 1]
    np.testing.assert_allclose(triangle, [0.0, 0.0, 0.5, 1.0, 0.75, 0.0, 0.0])
