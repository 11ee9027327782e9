"""Starts a training from the weights of another run."""

from __future__ import annotations

from pathlib import Path

import keras

from gapcast_trainer.errors import RunError
from gapcast_trainer.families import find_family
from gapcast_trainer.run import Run, load_run


def set_start_weights(model: keras.Model, folder: Path) -> Run:
    """Give the layers of ``model`` the weights of those of the same name and shapes in the run in ``folder``.

    Returns that run. Raises :class:`RunError` if there is no finished run, or no layer fits.
    """
    run, weights = load_run(folder)
    family, hyper = find_family(run.experiment.family, run.experiment.hyper)
    start = family.build(run.design, hyper)
    start.set_weights(weights)
    given = {layer.name: layer.get_weights() for layer in start.layers if layer.weights}
    n_set = 0
    for layer in model.layers:
        own = [tuple(weight.shape) for weight in layer.weights]
        if own and own == [weight.shape for weight in given.get(layer.name, [])]:
            layer.set_weights(given[layer.name])
            n_set += 1
    if not n_set:
        msg = f"{folder}: no layer of its family {family.name} fits the model: start from a run of the same family"
        raise RunError(msg)
    return run
