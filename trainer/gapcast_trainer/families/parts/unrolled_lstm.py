"""An LSTM with separate operators for each step, and only the operators that its results need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


class UnrolledLstm(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """An LSTM with forget gates (Gers, Schmidhuber and Cummins 2000), with the weights and results of Keras's own.

    Unlike :class:`keras.layers.LSTM` with ``unroll=True``, it multiplies the inputs of all steps at once, and
    multiplies no zeros in the first step of a sequence without initial state. A file thus has fewer operators, and none
    that reads the batch size, which the runtime's fast kernels do not support.
    """

    def __init__(self, units: int, name: str) -> None:
        super().__init__(name=name)
        self.units = units

    def build(self, steps_shape: tuple[int | None, ...], *_: Any) -> None:
        """Create the weights for steps of the shape ``[N, T, C]``."""
        units = self.units

        def bias(shape: Sequence[int], dtype: str | None = None) -> Any:
            values = np.repeat((0.0, 1.0, 0.0), (units, units, 2 * units))  # forget gates are open at first
            return ops.convert_to_tensor(values, dtype=dtype)

        self.kernel = self.add_weight(
            shape=(steps_shape[-1], 4 * units), initializer="glorot_uniform", name="kernel"
        )  # fmt: skip
        self.recurrent_kernel = self.add_weight(
            shape=(units, 4 * units), initializer="orthogonal", name="recurrent_kernel"
        )  # fmt: skip
        self.bias = self.add_weight(shape=(4 * units,), initializer=bias, name="bias")

    def call(
        self, steps: keras.KerasTensor, state: Sequence[keras.KerasTensor] | None = None
    ) -> tuple[list[keras.KerasTensor], keras.KerasTensor]:
        """Return the hidden state after each of ``steps`` ``[N, T, C]``, and the last cell state, ``[N, units]`` each.

        ``state`` is the hidden and the cell state before the first step; without it both are zero.
        """
        n_steps, n_channels = steps.shape[1:]
        from_inputs = ops.matmul(ops.reshape(steps, (-1, n_channels)), self.kernel) + self.bias
        width = 4 * self.units
        rows = ops.reshape(from_inputs, (-1, n_steps * width))
        hidden, cell = (None, None) if state is None else state
        found = []
        for step in range(n_steps):
            total = rows[:, step * width : (step + 1) * width]
            if hidden is not None:
                total = total + ops.matmul(hidden, self.recurrent_kernel)
            input_gate, forget_gate, _, output_gate = ops.split(ops.sigmoid(total), 4, axis=1)
            added = input_gate * ops.tanh(total[:, 2 * self.units : 3 * self.units])
            cell = added if cell is None else forget_gate * cell + added
            hidden = output_gate * ops.tanh(cell)
            found.append(hidden)
        return found, cell
