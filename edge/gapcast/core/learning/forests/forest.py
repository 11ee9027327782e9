"""Evaluates ensembles of regression trees (gradient boosting) in numpy: the forecasts of the nightly refit.

The trees are fitted elsewhere (:mod:`gapcast.refit`, with LightGBM); here they are flat arrays, so that the running
gateway needs no tree library. The result equals the result of LightGBM, up to the order of summation.
:mod:`.compiled_forest` computes the same digits faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.errors import StateError

#: The outputs of a forest, in this order: the bounds are those of the 90 % interval.
OUTPUTS = ("mean", "median", "lower", "upper")
#: Largest number of nodes of all trees together, and largest depth: larger values are damaged state.
MAX_NODES, MAX_DEPTH = 200_000, 64
#: Number of pairs of row and tree evaluated at a time, so that intermediate arrays stay in the processor's cache.
_PAIRS = 1 << 16
_ARRAYS = ("feature", "threshold", "left", "nan_left", "value", "roots", "first_trees")
#: Types of the checked arrays: sums and differences of smaller and of unsigned integers overflow.
_WIDEST: Mapping[str, type[np.generic]] = {"i": np.int64, "u": np.int64, "f": np.float64}


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees for several outputs, as flat arrays over all M nodes of all T trees.

    A window goes from a node to ``left`` if the value of its ``feature`` is at most ``threshold``, or is NaN and
    ``nan_left`` is set, else to the node after ``left``. A leaf leads to itself for any value (its threshold is
    infinite), and has a ``value``, kW. ``roots``
    ``[T]`` are the trees' first nodes, ``first_trees`` ``[outputs]`` the index of the first tree of each output; the
    value of an output is the sum of its trees. ``depth`` is the largest number of steps to a leaf. ``features`` names
    the columns that ``feature`` refers to.
    """

    features: tuple[str, ...]
    feature: NDArray[np.int32]
    threshold: F64
    left: NDArray[np.int32]
    nan_left: NDArray[np.bool_]
    value: F64
    roots: NDArray[np.int32]
    first_trees: NDArray[np.int32]
    depth: int

    def n_trees_of(self, n_outputs: int) -> int:
        """Return the number of trees of the first ``n_outputs``."""
        return int(self.first_trees[n_outputs]) if n_outputs < len(self.first_trees) else len(self.roots)

    def predict(self, columns: F32 | F64, n_outputs: int | None = None) -> F64:
        """Return the outputs ``[N, outputs]``, kW, for feature ``columns`` ``[N, F]``; NaN is a missing value.

        ``n_outputs``: only the first ones.
        """
        n_rows, n_features = columns.shape
        first_trees = self.first_trees[:n_outputs]
        roots = self.roots[: self.n_trees_of(len(first_trees))]
        n_at_once = max(1, _PAIRS // len(roots))
        values = np.empty((n_rows, len(first_trees)))
        has_nan = bool(np.isnan(columns).any())
        for first in range(0, n_rows, n_at_once):
            some = np.ascontiguousarray(columns[first : first + n_at_once], dtype=np.float64)
            flat, begins = some.ravel(), (np.arange(len(some)) * n_features)[:, np.newaxis]
            at = np.repeat(roots[np.newaxis], len(some), axis=0)
            for _ in range(self.depth):
                found = flat.take(begins + self.feature.take(at))
                goes_right = ~(found <= self.threshold.take(at))
                if has_nan:
                    goes_right &= ~(np.isnan(found) & self.nan_left.take(at))
                at = self.left.take(at) + goes_right
            np.add.reduceat(self.value.take(at), first_trees, axis=1, out=values[first : first + n_at_once])
        return values

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that :meth:`from_arrays` restores."""
        return {
            "features": np.array(self.features),
            **{name: getattr(self, name) for name in _ARRAYS},
            "nan_left": self.nan_left.astype(np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Forest:
        """Return the forest of ``arrays``; raise :class:`StateError` if they are not the arrays of a forest."""
        missing = [name for name in ("features", *_ARRAYS) if name not in arrays or arrays[name].ndim != 1]
        if missing:
            msg = f"the forest has no list of its {missing[0]}"
            raise StateError(msg)
        arrays = {name: array.astype(_WIDEST.get(array.dtype.kind, array.dtype)) for name, array in arrays.items()}
        features = tuple(arrays["features"].tolist())
        node = {name: arrays[name] for name in _ARRAYS[:5]}
        n_nodes = len(node["value"])
        if not 0 < n_nodes <= MAX_NODES or any(len(array) != n_nodes for array in node.values()):
            msg = f"the forest's nodes do not fit each other, or are not 1 to {MAX_NODES:,}"
            raise StateError(msg)
        roots, first_trees = arrays["roots"], arrays["first_trees"]
        sound = (
            all(arrays[name].dtype.kind in "iu" for name in ("feature", "left", "roots", "first_trees"))
            and all(arrays[name].dtype.kind == "f" for name in ("threshold", "value"))
            and _is_within(node["feature"], len(features))
            and _is_within(node["left"], n_nodes)
            and _is_within(roots, n_nodes)
            and _is_within(first_trees, len(roots))
            and bool(np.isfinite(node["value"]).all())
            and first_trees[0] == 0
            and bool((np.diff(first_trees) > 0).all())
        )
        depth = _depth_of(node["left"]) if sound else None
        if depth is None or not _keep_to_leaves(node):
            msg = "the forest's nodes are damaged"
            raise StateError(msg)
        return cls(
            features,
            node["feature"].astype(np.int32),
            node["threshold"],
            node["left"].astype(np.int32),
            node["nan_left"].astype(bool),
            node["value"],
            roots.astype(np.int32),
            first_trees.astype(np.int32),
            depth,
        )


class ForestBuilder:
    """Collects trees, output by output, into a :class:`Forest`."""

    def __init__(self, features: Sequence[str]) -> None:
        """Collect trees over the columns named ``features``."""
        self._features = tuple(features)
        self._nodes: list[tuple[int, float, int, bool, float]] = []  # feature, threshold, left, nan_left, value
        self._roots: list[int] = []
        self._first_trees: list[int] = []

    def begin_output(self) -> None:
        """Begin the next output; the following trees belong to it."""
        self._first_trees.append(len(self._roots))

    def begin_tree(self) -> int:
        """Begin a tree; return its root, which :meth:`leaf` or :meth:`split` must define."""
        self._roots.append(self._new_node())
        return self._roots[-1]

    def leaf(self, node: int, value: float) -> None:
        """Define ``node`` as a leaf with a ``value``, kW."""
        self._nodes[node] = (0, np.inf, node, True, value)

    def split(self, node: int, feature: int, threshold: float, *, nan_left: bool) -> tuple[int, int]:
        """Define ``node`` as a split; return its left and right child, which must be defined next."""
        left = self._new_node()
        right = self._new_node()
        self._nodes[node] = (feature, threshold, left, nan_left, 0.0)
        return left, right

    def build(self) -> Forest:
        """Return the forest; raise :class:`StateError` if it is empty or too large."""
        feature, threshold, left, nan_left, value = zip(*self._nodes, strict=True) if self._nodes else ((),) * 5
        return Forest.from_arrays(
            {
                "features": np.array(self._features),
                "feature": np.array(feature, dtype=np.int32),
                "threshold": np.array(threshold, dtype=np.float64),
                "left": np.array(left, dtype=np.int32),
                "nan_left": np.array(nan_left, dtype=bool),
                "value": np.array(value, dtype=np.float64),
                "roots": np.array(self._roots, dtype=np.int32),
                "first_trees": np.array(self._first_trees, dtype=np.int32),
            }
        )

    def _new_node(self) -> int:
        self._nodes.append((0, np.inf, len(self._nodes), True, 0.0))
        return len(self._nodes) - 1


def _is_within(indices: NDArray[Any], end: int) -> bool:
    """Return whether ``indices`` is not empty and each index is from 0 to below ``end``."""
    return indices.size > 0 and bool(indices.min() >= 0) and bool(indices.max() < end)


def _keep_to_leaves(node: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether each leaf leads to itself for any value: the evaluation goes on until all trees are at a leaf."""
    is_leaf = node["left"] == np.arange(len(node["left"]))
    return bool((node["threshold"][is_leaf] == np.inf).all() and (node["nan_left"][is_leaf] != 0).all())


def _depth_of(left: NDArray[Any]) -> int | None:
    """Return the largest number of steps to a leaf; None if children do not follow their parents, or if too deep."""
    nodes = np.arange(len(left))
    inner = left != nodes
    if (left[inner] <= nodes[inner]).any() or (left[inner] + 1 >= len(left)).any():
        return None
    depth = 0
    at = nodes[inner]
    level = np.zeros(len(left), dtype=np.int64)
    for node, child in zip(at.tolist(), left[inner].tolist(), strict=True):
        level[child] = level[child + 1] = level[node] + 1
        depth = max(depth, int(level[child]))
    return depth if depth <= MAX_DEPTH else None
