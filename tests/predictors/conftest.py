"""All predictors, found by reflection. Imports only modules that the environments of both TFLite runtimes have."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import numpy as np
import pytest

import gapcast.predictors
from gapcast.core.arrays.array_types import F32
from gapcast.core.models.predictor import Prediction, Predictor, history_steps_of, run_model
from gapcast.predictors.models_folder.store import load_model
from gapcast.predictors.tflite.tflite import TflitePredictor
from tests.support.models import ModelCopy, every_feature_model, history_model, shipped_models, shipped_names


def history_for(model: Predictor, windows: F32) -> F32 | None:
    """Return histories ``[N, steps]`` that depend on the windows' newest powers; None for a model without history."""
    steps = history_steps_of(model)
    if not steps:
        return None
    usual_kw = 1 + np.sin(np.arange(steps, dtype=np.float32) * np.float32(2 * np.pi / 96))
    history: F32 = (usual_kw + np.float32(0.1) * windows[:, -1, :1]).astype(np.float32)
    return history


def predict(model: Predictor, windows: F32) -> Prediction:
    """Predict ``windows``, with histories if the model has a history input."""
    return run_model(model, windows, history_for(model, windows))


def predictor_classes() -> list[type]:
    """Every public class in ``gapcast.predictors`` that can predict."""
    names = [module.name for module in walk_packages(gapcast.predictors.__path__, "gapcast.predictors.")]
    modules = [import_module(name) for name in names]
    return [
        member
        for module in modules
        for _, member in inspect.getmembers(module, inspect.isclass)
        if member.__module__ == module.__name__ and hasattr(member, "predict") and not member.__name__.startswith("_")
    ]


def _makers() -> dict[str, Callable[[], Predictor]]:
    """Return makers by name: each class without arguments, and for model files each shipped file.

    A new class that needs arguments fails here until a fixture creates it.
    """
    makers: dict[str, Callable[[], Predictor]] = {
        f"model {name}": partial(load_model, shipped_models() / name) for name in shipped_names()
    }
    makers["model every-feature"] = lambda: load_model(every_feature_model())
    makers["model with-history"] = lambda: load_model(history_model())
    makers |= {made.__name__: made for made in predictor_classes() if made is not TflitePredictor}
    return makers


_MAKERS = _makers()


@pytest.fixture(params=sorted(_MAKERS), scope="session")
def predictor(request: pytest.FixtureRequest) -> Predictor:
    """Each predictor in turn."""
    return _MAKERS[request.param]()


@pytest.fixture(params=shipped_names(), scope="session")
def model(request: pytest.FixtureRequest) -> TflitePredictor:
    """Each shipped model in turn."""
    return load_model(shipped_models() / request.param)


@pytest.fixture
def copy(tmp_path: Path) -> ModelCopy:
    """A copy of a model of only power, one lead time and no quantiles, for alterations."""
    return ModelCopy(tmp_path / "models", "lstm-5-3")
