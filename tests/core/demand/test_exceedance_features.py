"""What log-odds of exceedances depend on."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.demand.exceedance_features import WIDTH, features_of, node_log_odds, situations_of
from gapcast.core.demand.model_quantiles import NODES
from gapcast.core.demand.power_scale import scaled, unscaled


@pytest.mark.parametrize("context", [1, 5, 60, 180])
def test_powers_of_a_constant_window_are_it(context: int) -> None:
    situations = situations_of(np.array([0]), np.full((1, context), 2.0, dtype=np.float32), scaled(np.array([2.0])))
    np.testing.assert_allclose(unscaled(situations.powers), 2.0)


def test_highest_span_is_before_the_newest_one() -> None:
    kw = np.zeros((1, 180), dtype=np.float32)
    kw[0, -15:], kw[0, -45:-30] = 5.0, 3.0
    found = unscaled(situations_of(np.array([0]), kw, np.zeros(1)).powers)[0]
    np.testing.assert_allclose(found, [5.0, 5.0, 5.0, 5.0, 0.0, 2.0, 3.0, 0.0], atol=1e-6)


def test_log_odds_of_nodes_are_the_features_times_the_coefficients() -> None:
    rng = np.random.default_rng(2)
    situations = situations_of(
        np.array([600, 90]), rng.gamma(1.0, 1.0, (2, 180)).astype(np.float32), rng.normal(size=2)
    )
    nodes_z = np.sort(rng.normal(2.0, 2.0, (2, len(NODES))), axis=1)
    coefficients = rng.normal(size=(2, WIDTH))
    features = features_of(situations, np.tile(NODES, (2, 1)), nodes_z)
    expected = (features @ coefficients[:, :, np.newaxis])[..., 0]
    np.testing.assert_allclose(node_log_odds(situations, nodes_z, coefficients), expected)
