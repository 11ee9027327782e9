"""A model's file is stored in one form, and each use gets the form it needs."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.predictors.models_folder.store import load_model
from gapcast.predictors.tflite.model_file import ModelContent
from tests.support.models import shipped_models

OUTLOOK = (shipped_models() / "outlook" / "model.tflite").read_bytes()
LSTM = (shipped_models() / "lstm" / "model.tflite").read_bytes()


@pytest.mark.parametrize("content", [OUTLOOK, LSTM], ids=["with a head", "without"])
def test_content_in_each_form_returns_the_whole_file(content: bytes) -> None:
    model = ModelContent(content)
    assert model.whole is content
    reduced = model.head
    assert (reduced == content) is (content is LSTM)
    assert model.head is reduced
    assert model.whole == content
    model.pack()
    model.pack()
    assert model.whole == content
    model.pack()
    assert model.head == reduced


def test_packed_content_takes_less_than_the_file() -> None:
    content = (shipped_models() / "lstm-5-3" / "model.tflite").read_bytes()
    model = ModelContent(content)
    model.pack()
    held = [value for value in vars(model).values() if isinstance(value, bytes)]
    assert sum(map(len, held)) < len(content) / 3


def test_unloaded_model_forecasts_the_same_when_it_is_named() -> None:
    model = load_model(shipped_models() / "lstm-5-3")
    windows = (
        np.random.default_rng(1).gamma(0.6, 1.0, (3, model.card.context, len(model.card.features))).astype(np.float32)
    )
    before = model.predict(windows)
    model.unload()
    assert model.sizes == ()
    np.testing.assert_array_equal(model.predict(windows).mean, before.mean)
