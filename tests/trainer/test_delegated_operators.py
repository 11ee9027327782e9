"""Operators that the delegate takes: the same outputs, bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from gapcast_trainer.tflite.delegated_operators import MAX_CONCATENATED, write_delegated
from gapcast_trainer.tflite.fixed_shapes import fix_shapes
from tests.trainer.test_fixed_shapes import converted, graph_of, outputs

MODELS = Path(__file__).parents[2] / "models"
_CODE = schema.BuiltinOperator


def operators(graph: Any, code: int, n_graph: int) -> list[Any]:
    """Return the operators of a kind that take floats."""
    subgraph = graph.subgraphs[n_graph]
    found = [op for op in subgraph.operators if graph.operatorCodes[op.opcodeIndex].builtinCode == code]
    return [op for op in found if subgraph.tensors[int(op.inputs[0])].type == schema.TensorType.FLOAT32]


def cube(x: Any) -> Any:
    return tf.reshape(tf.exp(x), [-1, 3, 2])


def columns(x: Any) -> Any:
    """Columns, rows and parts of rows, from the front and from the back."""
    y = cube(x)
    parts = [y[:, :, 0], y[:, -1, :], y[:, 1, -1:], y[:, -2:, 1], tf.reshape(y[:, :-1, 1:], [-1, 2])]
    return tf.concat([tf.sin(part) for part in parts], axis=1)


def many(x: Any) -> Any:
    """More tensors than the delegate takes at once, one of them twice."""
    parts = [x + float(i) for i in range(MAX_CONCATENATED + 1)]
    return tf.reshape(tf.concat([cube(part) for part in [*parts, parts[0]]], axis=-1), [-1, 3 * 14])


def beyond(x: Any) -> Any:
    """A slice that begins and ends outside of its axis, which has three rows."""
    return tf.reshape(tf.sin(cube(x)[:, -4:9]), [-1, 6])


def turned(x: Any) -> Any:
    """A slice whose last axis is that of the windows: its size in the file, 1, is not its size."""
    return tf.reshape(tf.transpose(tf.sin(tf.transpose(cube(x), [1, 2, 0])[:, 1:, :])), [-1, 3])


@pytest.mark.parametrize(("function", "n_written"), [(columns, 5), (many, 1), (beyond, 1), (turned, 0)])
def test_delegated_operators_leave_the_outputs_as_they_are(function: Callable[[Any], Any], n_written: int) -> None:
    content = converted(function)
    graph = graph_of(content)
    fix_shapes(graph)
    assert write_delegated(graph) == n_written
    assert write_delegated(graph) == 0
    written = bytes(flatbuffer_utils.convert_object_to_bytearray(graph))
    for n in (1, 2, 9):
        assert outputs(written, n) == outputs(content, n)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: tf.exp(x)[1:],
        lambda x: tf.exp(x)[0],
        lambda x: tf.exp(x)[:, ::2],
        lambda x: tf.exp(x)[:, tf.newaxis, 1:],
        lambda x: tf.cast(tf.cast(x, tf.int32)[:, -1], tf.float32),
        lambda x: tf.exp(x)[:, 1:3],
        lambda x: tf.exp(x)[:, 3:3],
    ],
)
def test_delegated_operators_of_another_form_stay(function: Callable[[Any], Any]) -> None:
    graph = graph_of(converted(function))
    n_before = len(graph.subgraphs[0].operators)
    n_written = write_delegated(graph)
    assert (write_delegated(graph), len(graph.subgraphs[0].operators)) == (0, n_before)
    assert n_written <= 1


@pytest.mark.parametrize(("name", "n_graphs"), [("lstm", 1), ("outlook", 2)])
def test_shipped_default_models_have_delegated_operators(name: str, n_graphs: int) -> None:
    graph = graph_of((MODELS / name / "model.tflite").read_bytes())
    assert len(graph.subgraphs) == n_graphs
    for i in range(n_graphs):
        assert all(len(op.inputs) <= MAX_CONCATENATED for op in operators(graph, _CODE.CONCATENATION, i))
        assert not any(op.builtinOptions.shrinkAxisMask for op in operators(graph, _CODE.STRIDED_SLICE, i))


@pytest.mark.parametrize("name", ["lstm", "outlook"])
def test_shipped_default_models_run_in_one_part(name: str) -> None:
    """The delegate takes all operators between its first and last; the runtime would copy values in and out."""
    from gapcast.predictors.tflite.runtime import load_interpreter

    interpreter: Any = load_interpreter()[0](model_path=str(MODELS / name / "model.tflite"))
    interpreter.allocate_tensors()
    names = [operator["op_name"] for operator in interpreter._get_ops_details()]
    assert names.count("DELEGATE") == 1
