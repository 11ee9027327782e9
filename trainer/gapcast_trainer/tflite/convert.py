"""Converts Keras models to TFLite, and checks the result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.python.convert_phase import ConverterError
from tensorflow.lite.tools import flatbuffer_utils

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.predictor import Prediction
from gapcast_trainer.errors import ExportError
from gapcast_trainer.tflite.fixed_shapes import fix_shapes

#: Maximum difference from Keras, kW.
PARITY_KW = 1e-5
#: Number of real windows for the parity check.
N_PARITY = 1_000
#: Batch sizes whose outputs must agree row by row, and the tolerance, kW.
BATCH_SIZES = (1, 7, 256)
AGREEMENT_KW = 1e-5

Predict = Callable[[F32], Prediction]


def convert(model: keras.Model) -> bytes:
    """Return ``model`` as a TFLite file of builtin operators, for any batch size."""
    with TemporaryDirectory() as folder:
        _save_graph(model, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            content: bytes = converter.convert()
        except ConverterError as error:
            msg = f"model {model.name} does not convert to builtins alone: {str(error).splitlines()[0]}"
            raise ExportError(msg) from error
    content = simplify(content)
    check_builtins(content)
    return content


def _save_graph(model: keras.Model, folder: str) -> None:
    """Write the graph of ``model`` and its weights to ``folder``, for the converter.

    The converter would also save the layers, for which it would build the graph three times.
    """
    inputs = [tf.TensorSpec(one.shape, one.dtype, one.name) for one in model.inputs]
    serve = tf.function(
        partial(model, training=False), input_signature=inputs if len(inputs) == 1 else [inputs], autograph=False
    )
    module = tf.Module()
    module.weights = [weight.value for weight in model.variables]
    tf.saved_model.save(module, folder, signatures=serve.get_concrete_function())


def simplify(content: bytes) -> bytes:
    """Return the file with constant shapes, and without the names of its tensors: its signature has its own names.

    The outputs are the same, bit by bit.
    """
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    fix_shapes(graph)
    for subgraph in graph.subgraphs:
        for tensor in subgraph.tensors:
            tensor.name = b""
    return bytes(flatbuffer_utils.convert_object_to_bytearray(graph))


def check_builtins(content: bytes) -> None:
    """Raise :class:`ExportError` if the file needs operators that some runtimes lack."""
    graph = schema.Model.GetRootAs(content, 0)
    codes = [graph.OperatorCodes(place) for place in range(graph.OperatorCodesLength())]
    custom = sorted({(code.CustomCode() or b"?").decode() for code in codes if _is_custom(code)})
    if custom:
        msg = f"the file needs operators that are not TFLite builtins: {', '.join(custom)}"
        raise ExportError(msg)


def _is_custom(code: schema.OperatorCode) -> bool:
    return code.BuiltinCode() == schema.BuiltinOperator.CUSTOM or code.CustomCode() is not None


def check_parity(predict: Predict, model: keras.Model, windows: F32) -> float:
    """Return the largest difference (kW) between a file's outputs and Keras's on ``windows`` ``[N, context, F]``.

    Raises :class:`ExportError` if it exceeds :data:`PARITY_KW`, or is not finite.
    """
    expected = keras_outputs(model, windows)
    found = predict(windows)
    differences = [np.ravel(found.mean - expected["mean"])]
    if found.quantiles is not None:
        differences.append(np.ravel(found.quantiles - expected["quantiles"]))
    return _largest(np.concatenate(differences), PARITY_KW, "the file and Keras differ")


def keras_outputs(model: keras.Model, inputs: F32 | list[F32]) -> dict[str, F32]:
    """Return the outputs of ``model`` by name, without a graph: tracing it takes longer than computing one batch."""
    return {name: np.asarray(values) for name, values in model(inputs, training=False).items()}


def check_batches(predict: Predict, windows: F32) -> float:
    """Return the largest difference (kW) between batches of :data:`BATCH_SIZES` sizes on ``windows``.

    Raises :class:`ExportError` if it exceeds :data:`AGREEMENT_KW`: forecasts would depend on the batch.
    """
    found = [
        np.concatenate([_flat(predict(windows[first : first + size])) for first in range(0, len(windows), size)])
        for size in BATCH_SIZES
    ]
    again = _flat(predict(windows[: BATCH_SIZES[1]])) - found[0][: BATCH_SIZES[1]]  # differs if the model keeps state
    differences = [other - found[0] for other in found[1:]] + [again]
    return _largest(np.concatenate(differences), AGREEMENT_KW, f"batches of {BATCH_SIZES} differ")


def _flat(found: Prediction) -> F32:
    """Return all outputs of each window as one row."""
    if found.quantiles is None:
        return found.mean
    return np.concatenate((found.mean, found.quantiles.reshape(len(found.mean), -1)), axis=1)


def _largest(difference: F32, allowed_kw: float, what: str) -> float:
    largest = float(np.max(np.abs(difference)))
    if not largest <= allowed_kw:
        msg = f"{what} by {largest:.3g} kW (at most {allowed_kw:g} is allowed)"
        raise ExportError(msg)
    return largest
