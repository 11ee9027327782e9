"""The named inputs of an interpreter: what is set for full and for smaller batches."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32
from gapcast.predictors.tflite.input_batch import InputBatch


class Inputs:
    """A batch of two rows of the inputs ``a`` and ``b``, and the values that were set."""

    def __init__(self) -> None:
        self.found: dict[str, F32] = {}
        setters = {name: lambda rows, name=name: self.found.update({name: rows.copy()}) for name in ("b", "a")}
        self.batch = InputBatch(2, {"a": (1,), "b": (3,)}, setters)


def rows(n: int, width: int, first: float) -> F32:
    return np.arange(first, first + n * width, dtype=np.float32).reshape(n, width)


def test_input_batch_sets_each_input_to_its_rows() -> None:
    inputs = Inputs()
    assert inputs.batch.set_rows({"b": rows(2, 3, 5), "a": rows(2, 1, 0)}) == 2
    assert {name: found.tolist() for name, found in inputs.found.items()} == {
        "b": [[5, 6, 7], [8, 9, 10]],
        "a": [[0], [1]],
    }


def test_input_batch_fills_a_smaller_batch_with_stale_rows() -> None:
    inputs = Inputs()
    assert inputs.batch.set_rows({"a": rows(1, 1, 4), "b": rows(1, 3, 1)}) == 1
    assert inputs.found["a"].tolist() == [[4], [0]]
    assert inputs.batch.arrays()["b"].tolist() == [[1, 2, 3], [0, 0, 0]]


def test_input_batch_converts_doubles() -> None:
    inputs = Inputs()
    inputs.batch.set_rows({"a": rows(2, 1, 4).astype(np.float64), "b": rows(2, 3, 1)})
    assert inputs.found["a"].dtype == np.float32
    assert inputs.found["a"].tolist() == [[4], [5]]


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c"), ("a", "c")])
def test_input_batch_rejects_other_inputs(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"it takes \['a', 'b'\], not \['a'"):
        Inputs().batch.set_rows(dict.fromkeys(names, rows(1, 1, 0)))
