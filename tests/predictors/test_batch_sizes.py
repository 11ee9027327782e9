"""Which interpreters run a batch: the largest whose rows are not mostly padding."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.predictors.models_folder.store import load_model
from tests.support.models import shipped_models


@pytest.mark.parametrize(
    ("n", "sizes"),
    [(1, (1,)), (2, (1,)), (3, (8,)), (8, (8,)), (10, (1, 8)), (16, (8,)), (17, (32,)), (40, (8, 32)), (49, (32,))],
)
def test_batch_runs_by_the_sizes_that_take_least_time(n: int, sizes: tuple[int, ...]) -> None:
    model = load_model(shipped_models() / "lstm-5-3")
    model.release_interpreters()
    windows = np.random.default_rng(n).random((n, model.spec.context, len(model.features))).astype(np.float32)
    together = model.predict(windows).mean
    assert model.sizes == sizes
    np.testing.assert_allclose(together, np.concatenate([model.predict(one[None]).mean for one in windows]), atol=1e-5)
