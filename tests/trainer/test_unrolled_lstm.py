"""The unrolled LSTM: the results and the weights of Keras's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gapcast_trainer.tflite.convert import convert

N, STEPS, CHANNELS, UNITS = 7, 5, 3, 4


@pytest.fixture(scope="module")
def steps() -> Any:
    return np.random.default_rng(1).normal(size=(N, STEPS, CHANNELS)).astype(np.float32)


def keras_lstm(weights: list[Any]) -> Any:
    import keras

    lstm = keras.layers.LSTM(UNITS, return_sequences=True, return_state=True)
    lstm.build((None, STEPS, CHANNELS))
    lstm.set_weights(weights)
    return lstm


def test_unrolled_lstm_equals_keras_with_and_without_state(steps: Any) -> None:
    from gapcast_trainer.families.parts.unrolled_lstm import UnrolledLstm

    draw = np.random.default_rng(2)
    ours = UnrolledLstm(UNITS, "lstm")
    ours(steps)
    ours.set_weights([draw.normal(0, 0.5, weight.shape) for weight in ours.get_weights()])
    theirs = keras_lstm(ours.get_weights())
    for state in (None, [draw.normal(size=(N, UNITS)).astype(np.float32) for _ in range(2)]):
        hidden, cell = ours(steps, state)
        expected, last, last_cell = theirs(steps, initial_state=state)
        np.testing.assert_allclose(np.stack([np.asarray(one) for one in hidden], axis=1), expected, atol=1e-6)
        np.testing.assert_allclose(hidden[-1], last, atol=1e-6)
        np.testing.assert_allclose(cell, last_cell, atol=1e-6)


def test_unrolled_lstm_begins_with_open_forget_gates_as_keras_does(steps: Any) -> None:
    import keras

    from gapcast_trainer.families.parts.unrolled_lstm import UnrolledLstm

    ours, theirs = UnrolledLstm(UNITS, "lstm"), keras.layers.LSTM(UNITS)
    ours(steps)
    theirs.build((None, STEPS, CHANNELS))
    assert [tuple(weight.shape) for weight in ours.weights] == [tuple(weight.shape) for weight in theirs.weights]
    assert [weight.name for weight in ours.weights] == [weight.name.split("/")[-1] for weight in theirs.weights]
    np.testing.assert_array_equal(ours.get_weights()[2], theirs.get_weights()[2])
    assert np.abs(ours.get_weights()[0]).max() > 0
    recurrent = ours.get_weights()[1]
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(UNITS), atol=1e-5)


def test_unrolled_lstm_file_multiplies_all_inputs_at_once() -> None:
    """One multiplication of the inputs, and of the state from the second step on; all gates of a step at once."""
    import keras
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    from gapcast_trainer.families.parts.unrolled_lstm import UnrolledLstm

    window = keras.Input((STEPS, CHANNELS), name="window")
    hidden, _ = UnrolledLstm(UNITS, "lstm")(window)
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(convert(keras.Model(window, hidden[-1]))))
    codes = [graph.operatorCodes[op.opcodeIndex].builtinCode for op in graph.subgraphs[0].operators]
    assert codes.count(schema.BuiltinOperator.FULLY_CONNECTED) == 1 + (STEPS - 1)
    assert codes.count(schema.BuiltinOperator.LOGISTIC) == STEPS
    assert schema.BuiltinOperator.SHAPE not in codes
