"""The compiled evaluation of trees gives the digits of the evaluation in numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.compiled.functions import load_function
from gapcast.core.learning.forests import compiled_forest
from gapcast.core.learning.forests.compiled_forest import CompiledForest, evaluation_of
from gapcast.core.learning.forests.forest import OUTPUTS, Forest, ForestBuilder
from tests.support.examples import examples

N_FEATURES = 6
#: Numbers of trees of the outputs: fewer and more than descend together, and than numpy adds in one loop.
N_TREES = (1, 2, 8, 9, 17, 137, 300)


def random_forest(draw: np.random.Generator, n_trees: tuple[int, ...], depth: int) -> Forest:
    """A forest whose outputs have ``n_trees``, of at most ``depth`` steps, with ties and missing values."""
    builder = ForestBuilder([f"column {i}" for i in range(N_FEATURES)])
    for n in n_trees:
        builder.begin_output()
        for _ in range(n):
            waiting = [(builder.begin_tree(), depth)]
            while waiting:
                node, left_over = waiting.pop()
                if left_over == 0 or draw.random() < 0.2:
                    builder.leaf(node, float(draw.normal()))
                    continue
                threshold = float(draw.integers(-3, 4)) / 2
                feature, nan_left = int(draw.integers(N_FEATURES)), bool(draw.integers(2))
                children = builder.split(node, feature, threshold, nan_left=nan_left)
                waiting += [(child, left_over - 1) for child in children]
    return builder.build()


@pytest.mark.compiled
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.sampled_from(N_TREES), min_size=len(OUTPUTS), max_size=len(OUTPUTS)).map(tuple),
    st.integers(0, 6),
    st.integers(0, 70),
    st.integers(1, len(OUTPUTS)),
)
@examples(30)
def test_compiled_forest_equals_numpy(
    seed: int, n_trees: tuple[int, ...], depth: int, n_rows: int, n_outputs: int
) -> None:
    draw = np.random.default_rng(seed)
    forest = random_forest(draw, n_trees, depth)
    columns = (draw.integers(-4, 5, (n_rows, N_FEATURES)) / 2).astype(np.float32)
    columns[draw.random(columns.shape) < 0.1] = np.nan
    evaluate = load_function("gapcast_evaluate_forest")
    assert evaluate is not None
    predicted = CompiledForest(forest, n_outputs, evaluate).predict(columns)
    assert np.array_equal(predicted, forest.predict(columns)[:, :n_outputs])
    assert np.array_equal(predicted, forest.predict(columns, n_outputs))


def test_forest_without_a_library_is_evaluated_in_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    forest = random_forest(np.random.default_rng(1), (3, 2, 1, 1), 3)
    columns = np.random.default_rng(2).normal(size=(5, N_FEATURES)).astype(np.float32)
    usual = evaluation_of(forest, 2)(columns)
    monkeypatch.setattr(compiled_forest, "load_function", lambda _: None)
    assert np.array_equal(evaluation_of(forest, 2)(columns), usual)
    assert usual.shape == (5, 2)
