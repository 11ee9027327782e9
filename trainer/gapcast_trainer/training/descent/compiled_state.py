"""Creates the state of a compiled model beside its weights: of its optimiser, losses and metrics."""

from __future__ import annotations

from typing import Any

import keras


def create_state(model: keras.Model, inputs: Any, targets: Any, weights: Any = None) -> None:
    """Create the state of the compiled ``model``, from the first windows of a batch.

    Otherwise Keras creates it in the first step of the training, which TensorFlow then traces a second time; for an
    unrolled LSTM this takes seconds.
    """
    inputs, targets, weights = keras.tree.map_structure(
        lambda values: None if values is None else values[:2], (inputs, targets, weights)
    )
    outputs = model(inputs, training=False)
    model.compute_loss(inputs, targets, outputs, weights)
    model.compute_metrics(inputs, targets, outputs, weights)
    model.reset_metrics()
    model.optimizer.build(model.trainable_variables)
