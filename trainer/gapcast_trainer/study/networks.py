"""The study's two networks and how each was trained."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from gapcast_trainer.errors import RunError


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A network of the study: LSTM, dropout, LSTM, dropout, dense; Adam, squared error, early stopping.

    It takes ``context`` readings in raw kW and returns the power at the study's horizon, kW. ``n_parameters``
    is the number that the study reports.
    """

    number: int
    context: int
    units: tuple[int, int]
    dropout: float = 0.2
    learning_rate: float
    batch_size: int
    epochs: int = 100
    patience: int
    n_parameters: int
    #: Unrolled, training takes half the time on a CPU, but building the graph several times as long.
    unroll: bool = True


MODEL_1 = Recipe(number=1, context=30, units=(5, 3), learning_rate=0.01, batch_size=500, patience=10, n_parameters=252)
MODEL_2 = Recipe(
    number=2, context=60, units=(16, 8), learning_rate=0.0001, batch_size=64, patience=20, n_parameters=1_961
)


def build(recipe: Recipe) -> keras.Model:
    """Build the untrained network.

    Raises :class:`RunError` if its number of parameters differs from the study's.
    """
    first, second = recipe.units
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((recipe.context, 1)),
            layers.LSTM(first, return_sequences=True, unroll=recipe.unroll),
            layers.Dropout(recipe.dropout),
            layers.LSTM(second, unroll=recipe.unroll),
            layers.Dropout(recipe.dropout),
            layers.Dense(1),
        ]
    )
    if model.count_params() != recipe.n_parameters:
        msg = f"model {recipe.number} has {model.count_params()} parameters, not {recipe.n_parameters} as in the study"
        raise RunError(msg)
    return model
