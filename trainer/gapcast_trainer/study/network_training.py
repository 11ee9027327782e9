"""Training as in the study: Adam, early stopping on the validation loss, checkpoint of the best epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from gapcast.core.arrays.array_types import F32
from gapcast_trainer.errors import RunError
from gapcast_trainer.study.networks import Recipe, build
from gapcast_trainer.study.random_split import Arrays
from gapcast_trainer.study.settings import SEED
from gapcast_trainer.training.descent.compiled_state import create_state

_ROWS_AT_ONCE = 8_192
#: Share of the training windows, the last ones, that the study uses for early stopping.
VALIDATION_SPLIT = 0.05


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained network with its best weights, the losses (kW²) of each epoch, and the seconds it took."""

    model: keras.Model
    loss: list[float]
    val_loss: list[float]
    seconds: float

    @property
    def best_epoch(self) -> int:
        """The epoch (from 1) whose weights are stored."""
        return int(np.argmin(self.val_loss)) + 1

    def as_json(self) -> dict[str, Any]:
        """Return the training history."""
        return {
            "loss": self.loss,
            "val_loss": self.val_loss,
            "best_epoch": self.best_epoch,
            "best_val_loss": min(self.val_loss),
            "seconds": round(self.seconds, 1),
        }


def fit(recipe: Recipe, train: Arrays, validate: Arrays | None, weights: Path, *, progress: bool) -> Fitted:
    """Train ``recipe``'s network on ``train``; write the best epoch's weights to ``weights``.

    Without ``validate`` the last :data:`VALIDATION_SPLIT` of ``train`` are held back, as in the study.
    """
    n_held = int(np.ceil(len(train) * VALIDATION_SPLIT)) if validate is None else 0
    if n_held >= len(train):
        msg = f"{len(train)} windows are too few for training and validation: use a larger --share"
        raise RunError(msg)
    keras.utils.set_random_seed(SEED)
    model = compiled(
        build(recipe),
        (recipe.number, recipe.unroll),
        lambda: keras.optimizers.Adam(recipe.learning_rate),
    )
    model.optimizer.learning_rate = recipe.learning_rate
    weights.parent.mkdir(parents=True, exist_ok=True)
    callbacks = [
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=recipe.patience),
        keras.callbacks.ModelCheckpoint(str(weights), monitor="val_loss", save_best_only=True, save_weights_only=True),
    ]
    started = time.monotonic()
    create_state(model, train.x, train.y)
    with tqdm(total=recipe.epochs, unit="epoch", desc=f"model {recipe.number}", disable=not progress) as bar:
        history = model.fit(
            train.x,
            train.y,
            batch_size=recipe.batch_size,
            epochs=recipe.epochs,
            validation_split=VALIDATION_SPLIT if validate is None else 0.0,
            validation_data=None if validate is None else (validate.x, validate.y),
            validation_batch_size=_ROWS_AT_ONCE,
            callbacks=[*callbacks, _bar_callback(bar)],
            verbose=0,
        ).history
    if not np.isfinite(history["val_loss"]).any():
        msg = f"model {recipe.number}: the loss was not a number from the first epoch on: lower the learning rate"
        raise RunError(msg)
    model.load_weights(str(weights))
    return Fitted(model, history["loss"], history["val_loss"], time.monotonic() - started)


#: Compiled networks by their graph.
_compiled: dict[Hashable, keras.Model] = {}


def compiled(network: keras.Model, graph: Hashable, optimiser: Callable[[], keras.optimizers.Optimizer]) -> keras.Model:
    """Return the untrained ``network``, compiled; or an earlier one of the same ``graph`` that is reset to its weights.

    TensorFlow traces the functions of each compiled network, which takes seconds. The earlier network must not be in
    use any more.
    """
    found = _compiled.get(graph)
    if found is None:
        network.compile(optimiser(), loss="mse", jit_compile=False)
        _compiled[graph] = network
        return network
    for variable, initial in zip(found.variables, network.variables, strict=True):
        variable.assign(initial)
    for variable in found.optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))
    return found


def forecast(model: keras.Model, x: F32) -> F32:
    """Return the model's forecasts for ``x`` ``[N, context, 1]``, kW, ``[N]``."""
    forecast_kw: F32 = model.predict(x, batch_size=_ROWS_AT_ONCE, verbose=0)[:, 0]
    return forecast_kw


def _bar_callback(bar: Any) -> keras.callbacks.Callback:
    def update(epoch: int, logs: dict[str, float]) -> None:
        del epoch
        bar.update()
        bar.set_postfix(loss=f"{logs['loss']:.4f}", val_loss=f"{logs['val_loss']:.4f}")

    return keras.callbacks.LambdaCallback(on_epoch_end=update)
