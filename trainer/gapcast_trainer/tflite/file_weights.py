"""Reads the weights of a Keras model back from its TFLite file.

The converter folds layers and drops names, but equal graphs give files of equal structure. A copy of the model with
random weights is converted; the wanted weights are in the given file where the copy's constants appear in its file.
"""

from __future__ import annotations

import keras
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from gapcast.core.arrays.array_types import F32
from gapcast_trainer.errors import RunError
from gapcast_trainer.tflite.convert import convert

#: Maximum relative difference between a weight and a folded constant, which was multiplied in float32.
_FOLDED = 1e-5


def set_file_weights(model: keras.Model, content: bytes) -> None:
    """Set ``model`` to the weights of the TFLite file ``content``, which was converted from the same graph.

    Raises :class:`RunError` if the file is of another graph.
    """
    rng = np.random.default_rng(0)
    drawn = [rng.normal(0, 0.1, weight.shape).astype(np.float32) for weight in model.weights]
    model.set_weights(drawn)
    known, wanted = _constants(convert(model)), _constants(content)
    if [part.shape for part in known] != [part.shape for part in wanted]:
        msg = f"the file is of another graph than {model.name}: its constants have other shapes"
        raise RunError(msg)
    model.set_weights([_found(weight, known, wanted) for weight in drawn])


def _constants(content: bytes) -> list[F32]:
    """Return the float32 constants of a file in the order in which operators read them; the tensors' order varies."""
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    tensors, operators = graph.subgraphs[0].tensors, graph.subgraphs[0].operators
    found = []
    for place in dict.fromkeys(int(place) for op in operators for place in op.inputs if place >= 0):
        tensor = tensors[place]
        data = graph.buffers[tensor.buffer].data
        if data is not None and tensor.type == schema.TensorType.FLOAT32:
            found.append(np.frombuffer(bytes(data), np.float32).reshape(tensor.shape))
    return found


def _found(weight: F32, known: list[F32], wanted: list[F32]) -> F32:
    """Return the counterpart in ``wanted`` of ``weight``, found in ``known``, transposed or multiplied by a factor.

    Factors arise where a rescaling was folded into a layer.
    """
    for its, other in zip(known, wanted, strict=True):
        if its.size != weight.size:
            continue
        for turned in (False, True):
            if turned and weight.ndim == 1:
                continue
            flat = (weight.T if turned else weight).ravel()
            factor = float(its.ravel()[0] / flat[0])
            if np.allclose(its.ravel(), factor * flat, rtol=_FOLDED, atol=0):
                shape = weight.shape[::-1] if turned else weight.shape
                values = (other.reshape(shape) / np.float32(factor)).astype(np.float32)
                return np.ascontiguousarray(values.T if turned else values)
    msg = f"a weight of shape {weight.shape} is not among the constants of the file"
    raise RunError(msg)
