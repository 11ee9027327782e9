"""The trees of the nightly refit, evaluated by the compiled library: the digits of :meth:`.Forest.predict`, faster."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.compiled.functions import POINTERS, Function, ResizableArrays, load_function, set_pointers
from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.learning.forests.forest import Forest

#: Returns the first outputs of a forest ``[N, outputs]``, kW, for feature columns ``[N, F]``.
Evaluation = Callable[[F32], F64]

#: Number of windows evaluated at a time: their columns are copied.
_ROWS_AT_ONCE = 32


class _ForestStruct(ctypes.Structure):
    """``struct forest`` of ``forest.c``."""

    _fields_ = (
        ("feature", POINTERS["i4"]), ("threshold", POINTERS["f8"]), ("left", POINTERS["i4"]),
        ("nan_left", POINTERS["u1"]), ("value", POINTERS["f8"]), ("roots", POINTERS["i4"]),
        ("first_trees", POINTERS["i4"]), ("leaves", POINTERS["f8"]), ("columns", POINTERS["f8"]),
        ("outputs", POINTERS["f8"]), ("n_features", ctypes.c_int64), ("n_trees", ctypes.c_int64),
        ("n_outputs", ctypes.c_int64), ("depth", ctypes.c_int64),
    )  # fmt: skip


def evaluation_of(forest: Forest, n_outputs: int) -> Evaluation:
    """Return the evaluation of the first ``n_outputs`` of ``forest``: compiled, if this machine has a library."""
    evaluate = load_function("gapcast_evaluate_forest")
    if evaluate is None:
        return partial(forest.predict, n_outputs=n_outputs)
    return CompiledForest(forest, n_outputs, evaluate).predict


class CompiledForest:
    """A forest evaluated by ``gapcast_evaluate_forest``."""

    def __init__(self, forest: Forest, n_outputs: int, evaluate: Function) -> None:
        """Evaluate the first ``n_outputs`` of ``forest`` with the function ``evaluate``."""
        self._n_outputs, self._evaluate = n_outputs, evaluate
        n_trees, n_features = forest.n_trees_of(n_outputs), len(forest.features)
        self._arrays: dict[str, NDArray[Any]] = {
            "feature": forest.feature, "threshold": forest.threshold, "left": forest.left,
            "nan_left": forest.nan_left.view(np.uint8), "value": forest.value, "roots": forest.roots,
            "first_trees": forest.first_trees, "leaves": np.empty(n_trees),
        }  # fmt: skip
        self._struct = _ForestStruct(n_features=n_features, n_trees=n_trees, n_outputs=n_outputs, depth=forest.depth)
        self._address = ctypes.addressof(self._struct)
        set_pointers(self._struct, **self._arrays)
        rows = {"columns": ("f8", (n_features,)), "outputs": ("f8", (n_outputs,))}
        self._rows = ResizableArrays(self._struct, rows)

    def predict(self, columns: F32) -> F64:
        """Return the first outputs ``[N, n_outputs]``, kW, for feature ``columns`` ``[N, F]``; NaN if missing."""
        outputs = np.empty((len(columns), self._n_outputs))
        for first in range(0, len(columns), _ROWS_AT_ONCE):
            some = columns[first : first + _ROWS_AT_ONCE]
            if len(some) != self._rows.n:
                self._rows.resize(len(some))
            self._rows.views["columns"][...] = some
            self._evaluate(self._address, len(some))
            outputs[first : first + _ROWS_AT_ONCE] = self._rows.views["outputs"]
        return outputs
