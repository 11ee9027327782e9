"""Starts a training from the weights of another run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras

from gapcast.core.arrays.array_types import F32
from gapcast_trainer.errors import RunError
from gapcast_trainer.families import find_family
from gapcast_trainer.training.run import Run, load_run, set_run_weights


@dataclass(frozen=True, slots=True)
class StartWeights:
    """The run from which a training starts, and the weights of those of its layers that fit the model, by name."""

    run: Run
    layers: Mapping[str, list[F32]]

    def __str__(self) -> str:
        """Return the run's name, the version of its model and the hash of its weights."""
        return f"{self.run.name} {self.run.experiment.version} {self.run.weights_sha256}"

    def freeze(self, model: keras.Model) -> None:
        """Keep these layers of ``model`` unchanged in training."""
        for name in self.layers:
            model.get_layer(name).trainable = False

    def average_into(self, model: keras.Model, share: float) -> None:
        """Set these layers of ``model`` to the average of the start, weighted by ``share``, and their trained weights.

        The average preserves the accuracy of the start, and most of what the training improved (Wortsman et al. 2022,
        Robust fine-tuning of zero-shot models).
        """
        for name, weights in self.layers.items():
            trained = model.get_layer(name).get_weights()
            averaged = [share * old + (1 - share) * new for old, new in zip(weights, trained, strict=True)]
            model.get_layer(name).set_weights(averaged)


def set_start_weights(model: keras.Model, folder: Path) -> StartWeights:
    """Set the layers of ``model`` to the weights of the layers with the same name and shapes in the run in ``folder``.

    Raises :class:`RunError` if there is no finished run of this version, or no layer fits.
    """
    run, weights = load_run(folder)
    family, hyper = find_family(run.experiment.family, run.experiment.hyper)
    start = family.build(run.design, hyper)
    set_run_weights(start, run, weights, folder)
    given = {layer.name: layer.get_weights() for layer in start.layers if layer.weights}
    fitting = {}
    for layer in model.layers:
        own = [tuple(weight.shape) for weight in layer.weights]
        if own and own == [weight.shape for weight in given.get(layer.name, [])]:
            layer.set_weights(given[layer.name])
            fitting[layer.name] = given[layer.name]
    if not fitting:
        msg = f"{folder}: no layer of its family {family.name} fits the model: start from a run of the same family"
        raise RunError(msg)
    return StartWeights(run, fitting)
