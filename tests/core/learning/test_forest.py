"""Regression trees as flat arrays: their predictions, and the arrays that are rejected."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gapcast.core.errors import StateError
from gapcast.core.learning.forests.forest import MAX_DEPTH, Forest, ForestBuilder

NAN = math.nan


def small_forest() -> Forest:
    """Two outputs: the first has a tree on ``a`` and a single leaf; the second a tree on ``b``, then one on ``a``."""
    builder = ForestBuilder(("a", "b"))
    builder.begin_output()
    left, right = builder.split(builder.begin_tree(), 0, 1.0, nan_left=False)
    builder.leaf(left, 1.0)
    builder.leaf(right, 2.0)
    builder.leaf(builder.begin_tree(), 10.0)
    builder.begin_output()
    left, right = builder.split(builder.begin_tree(), 1, 0.0, nan_left=True)
    builder.leaf(right, 5.0)
    below, above = builder.split(left, 0, 3.0, nan_left=True)
    builder.leaf(below, 3.0)
    builder.leaf(above, 4.0)
    return builder.build()


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((1.0, 1.0), (11.0, 5.0)),  # a threshold belongs to the left
        ((1.5, -1.0), (12.0, 3.0)),
        ((3.5, 0.0), (12.0, 4.0)),
        ((NAN, 1.0), (12.0, 5.0)),
        ((NAN, NAN), (12.0, 3.0)),
        ((4.0, NAN), (12.0, 4.0)),
    ],
)
def test_forest_adds_the_leaves_that_a_row_reaches(row: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert small_forest().predict(np.array([row])).tolist() == [list(expected)]


def test_many_rows_are_predicted_like_single_ones() -> None:
    """There are more pairs of row and tree than are evaluated at a time."""
    forest = small_forest()
    rows = np.random.default_rng(1).normal(size=(50_000, 2)).astype(np.float32)
    many = forest.predict(rows)
    assert many[[0, 30_000, 49_999]].tolist() == [forest.predict(rows[[i]])[0].tolist() for i in (0, 30_000, 49_999)]
    assert forest.predict(rows[:0]).shape == (0, 2)


def test_forest_is_restored_from_its_arrays() -> None:
    forest = small_forest()
    restored = Forest.from_arrays(forest.arrays())
    assert (restored.features, restored.depth) == (("a", "b"), 2)
    assert restored.arrays().keys() == forest.arrays().keys()
    rows = np.array([[1.5, -1.0], [NAN, NAN]])
    assert restored.predict(rows).tolist() == forest.predict(rows).tolist()


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("roots", None),
        ("value", [1.0, 2.0]),
        ("value", [NAN] * 9),
        ("feature", [2] * 9),
        ("feature", [-1] * 9),
        ("feature", [0.0] * 9),
        ("threshold", [1] * 9),
        ("left", [0, 0, 0, 0, 0, 0, 0, 0, 0]),  # a circle
        ("left", [8, 1, 2, 3, 4, 5, 6, 7, 8]),  # the right child would be behind the last node
        ("threshold", [1.0, 1.0, 2.0, math.inf, 0.0, 3.0, math.inf, math.inf, math.inf]),  # of a leaf
        ("nan_left", [0] * 9),
        ("first_trees", [1, 2]),
        ("first_trees", [0, 0]),
        ("first_trees", np.array([0, 2, 1], dtype=np.uint32)),
        ("roots", np.empty(0, dtype=np.int32)),
    ],
)
def test_damaged_arrays_are_refused(name: str, damaged: Any) -> None:
    arrays = dict(small_forest().arrays())
    if damaged is None:
        del arrays[name]
    else:
        arrays[name] = np.asarray(damaged)
    with pytest.raises(StateError, match="the forest"):
        Forest.from_arrays(arrays)


def test_last_node_as_a_left_child_is_refused_in_any_type() -> None:
    n = np.iinfo(np.int8).max + 1
    left = np.arange(n, dtype=np.int8)
    left[0] = n - 1  # one more overflows
    leaves = {"threshold": np.full(n, math.inf), "nan_left": np.ones(n, np.uint8), "value": np.zeros(n)}
    tree = {"roots": np.zeros(1, np.int8), "first_trees": np.zeros(1, np.int8), "feature": np.zeros(n, np.int8)}
    with pytest.raises(StateError, match="damaged"):
        Forest.from_arrays({"features": np.array(["a"]), "left": left, **leaves, **tree})


def test_tree_that_is_too_deep_is_refused() -> None:
    builder = ForestBuilder(("a",))
    builder.begin_output()
    node = builder.begin_tree()
    for _ in range(MAX_DEPTH + 1):
        left, node = builder.split(node, 0, 0.0, nan_left=False)
        builder.leaf(left, 0.0)
    builder.leaf(node, 0.0)
    with pytest.raises(StateError, match="damaged"):
        builder.build()


def test_forest_without_trees_is_refused() -> None:
    with pytest.raises(StateError, match="1 to 200,000"):
        ForestBuilder(("a",)).build()
