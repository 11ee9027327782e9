"""Constant shapes in TFLite files: the same outputs, bit by bit, by fewer operators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils

from gapcast.predictors.tflite.runtime import load_interpreter
from gapcast_trainer.tflite.convert import simplify
from gapcast_trainer.tflite.fixed_shapes import fix_shapes

MODELS = Path(__file__).parents[2] / "models"


def converted(function: Callable[[Any], Any]) -> bytes:
    """Return a file of ``function`` of windows ``[N, 6]``, with its shapes as TensorFlow computes them."""
    module = tf.Module()
    module.run = tf.function(function, input_signature=[tf.TensorSpec([None, 6], tf.float32)])
    concrete = module.run.get_concrete_function()
    made: bytes = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()
    return made


def outputs(content: bytes, n: int) -> bytes:
    """Return the bytes of the output for ``n`` windows."""
    interpreter_class, _ = load_interpreter()
    interpreter = interpreter_class(model_content=content)
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, [n, 6])
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, np.random.default_rng(n).normal(size=(n, 6)).astype(np.float32))
    interpreter.invoke()
    found: bytes = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tobytes()
    return found


def graph_of(content: bytes) -> Any:
    return flatbuffer_utils.read_model_from_bytearray(bytearray(content))


def in_pairs(x: Any) -> Any:
    """Reshape by N twice to one shape, and to another."""
    n = tf.shape(x)[0]
    pairs = tf.tanh(tf.reshape(tf.sin(x), [n, 3, 2])) + tf.reshape(tf.exp(x), [n, 3, 2])
    return tf.reshape(tf.tanh(tf.transpose(pairs, [0, 2, 1])), [tf.shape(pairs)[0], 6])


def test_fixed_shapes_leave_the_outputs_as_they_are() -> None:
    content = converted(in_pairs)
    graph = graph_of(content)
    n_operators = len(graph.subgraphs[0].operators)
    assert fix_shapes(graph) == 3
    assert len(graph.subgraphs[0].operators) <= n_operators - 5
    assert fix_shapes(graph) == 0
    for n in (1, 2, 9):
        assert outputs(simplify(content), n) == outputs(content, n)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: tf.reshape(x, [tf.shape(x)[0] * 2, 3]),
        lambda x: tf.reshape(x, [2, tf.shape(x)[0], 3]),
        lambda x: tf.reshape(x, [-1, 3]),
        lambda x: tf.reshape(x, tf.shape(tf.transpose(x))),
    ],
)
def test_fixed_shapes_of_other_sizes_stay(function: Callable[[Any], Any]) -> None:
    content = converted(function)
    assert fix_shapes(graph_of(content)) == 0
    assert outputs(simplify(content), 4) == outputs(content, 4)


@pytest.mark.parametrize("name", ["lstm", "outlook"])
def test_shipped_default_models_have_constant_shapes(name: str) -> None:
    content = (MODELS / name / "model.tflite").read_bytes()
    assert simplify(content) == content
