"""Keras to TFLite, and the checks that a file must pass before it is shipped."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.python.convert_phase import ConverterError

from gapcast.core.predictor import Prediction
from gapcast.core.window import F32
from gapcast_trainer.errors import ExportError

#: Largest difference from Keras that is allowed, kW.
PARITY_KW = 1e-5
#: Real windows that parity is checked on.
N_PARITY = 1_000
#: Batches that must agree row by row, and by how much, kW.
AGREEING = (1, 7, 256)
AGREEMENT_KW = 1e-5

Predict = Callable[[F32], Prediction]


def convert(model: keras.Model) -> bytes:
    """Return ``model`` as a TFLite file of builtins alone, for any number of windows at once."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        with redirect_stdout(io.StringIO()):  # it tells of a temporary folder that is gone when one reads of it
            content: bytes = converter.convert()
    except ConverterError as error:
        msg = f"model {model.name} does not convert to builtins alone: {str(error).splitlines()[0]}"
        raise ExportError(msg) from error
    check_builtins(content)
    return content


def check_builtins(content: bytes) -> None:
    """Raise :class:`ExportError` where a file asks for an operator that not every runtime has."""
    graph = schema.Model.GetRootAs(content, 0)
    codes = [graph.OperatorCodes(place) for place in range(graph.OperatorCodesLength())]
    custom = sorted({(code.CustomCode() or b"?").decode() for code in codes if _is_custom(code)})
    if custom:
        msg = f"the file needs operators that are no builtins: {', '.join(custom)}"
        raise ExportError(msg)


def _is_custom(code: schema.OperatorCode) -> bool:
    return code.BuiltinCode() == schema.BuiltinOperator.CUSTOM or code.CustomCode() is not None


def check_parity(predict: Predict, model: keras.Model, windows: F32) -> float:
    """Return the largest difference (kW) between a file's outputs and Keras's on ``windows`` ``[N, context, F]``.

    Raises :class:`ExportError` where it is more than :data:`PARITY_KW`, or no number.
    """
    expected = model.predict(windows, batch_size=len(windows), verbose=0)
    found = predict(windows)
    differences = [np.ravel(found.mean - expected["mean"])]
    if found.quantiles is not None:
        differences.append(np.ravel(found.quantiles - expected["quantiles"]))
    return _largest(np.concatenate(differences), PARITY_KW, "the file and Keras differ")


def check_batches(predict: Predict, windows: F32) -> float:
    """Return the largest difference (kW) between batches of :data:`AGREEING` sizes on ``windows``.

    Raises :class:`ExportError` where it is more than :data:`AGREEMENT_KW`: the file would forecast
    differently in company than alone.
    """
    found = [
        np.concatenate([_flat(predict(windows[first : first + size])) for first in range(0, len(windows), size)])
        for size in AGREEING
    ]
    again = _flat(predict(windows[: AGREEING[1]])) - found[0][: AGREEING[1]]  # keeps state? it answers otherwise now
    differences = [other - found[0] for other in found[1:]] + [again]
    return _largest(np.concatenate(differences), AGREEMENT_KW, f"batches of {AGREEING} differ")


def _flat(found: Prediction) -> F32:
    """Return all outputs of each window side by side."""
    if found.quantiles is None:
        return found.mean
    return np.concatenate((found.mean, found.quantiles.reshape(len(found.mean), -1)), axis=1)


def _largest(difference: F32, allowed_kw: float, what: str) -> float:
    largest = float(np.max(np.abs(difference)))
    if not largest <= allowed_kw:
        msg = f"{what} by {largest:.3g} kW (at most {allowed_kw:g} is allowed)"
        raise ExportError(msg)
    return largest
