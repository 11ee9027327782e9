"""The interpreters that a hot reload creates before the new models are used."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.app.engines.engine import warm_up_like
from gapcast.app.models.loaded_models import Models
from gapcast.app.models.models import load_models
from gapcast.config.settings import Settings
from gapcast.predictors.tflite.tflite import TflitePredictor
from tests.support.models import shipped_models


def loaded(**sections: object) -> Models:
    return load_models(Settings.model_validate({"models": {"path": shipped_models()}, **sections}))


def outlook_of(models: Models) -> TflitePredictor:
    assert models.outlook is not None
    return models.outlook


@pytest.fixture(scope="module")
def in_use() -> Models:
    """Models whose stream has had batches of up to 8 devices."""
    models = loaded()
    windows, history = np.ones((5, 180, 3), dtype=np.float32), np.ones((5, 672), dtype=np.float32)
    outlook_of(models).predict_from_trunk(models.primary.predict_with_trunk(windows)[1], history)
    return models


def test_warm_up_creates_only_the_head_of_an_outlook(in_use: Models) -> None:
    models = loaded()
    assert models.continued is models.outlook
    warm_up_like(models, in_use.by_name.values())
    assert models.primary.sizes == in_use.primary.sizes == (1, 8)
    assert outlook_of(models).head_sizes == (1, 8)
    assert outlook_of(models).sizes == ()


def test_warm_up_creates_all_of_an_outlook_that_continues_nothing(in_use: Models) -> None:
    models = loaded(forecast={"model": "lstm-5-3"})
    assert models.continued is None
    warm_up_like(models, in_use.by_name.values())
    assert outlook_of(models).sizes == (1, 8)
    assert outlook_of(models).head_sizes == ()
