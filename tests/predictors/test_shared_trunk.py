"""The outlook's file continues from the trunk that the primary model has computed: the same forecasts, bit for bit."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import numpy as np
import pytest

from gapcast.app.models.shared_trunk import check_shared_trunk
from gapcast.core.arrays.array_types import F32
from gapcast.core.errors import ModelError
from gapcast.core.models.card import ModelCard
from gapcast.core.models.predictor import Prediction, TrunkOutputs, shares_trunk_with, trunk_digest_of
from gapcast.predictors.baselines import Persistence
from gapcast.predictors.models_folder.files import read_model_files
from gapcast.predictors.models_folder.store import load_model
from gapcast.predictors.tflite.head_interpreter import HeadInterpreter
from gapcast.predictors.tflite.model_file import HISTORY, INPUT, ModelContent
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.predictors.trials.trial import check_batch, try_model
from tests.support.models import ModelCopy, history_model, shipped_models

OUTPUTS = ("mean", "quantiles", "mean_to", "quantiles_to")


@pytest.fixture(scope="module")
def lstm() -> TflitePredictor:
    return load_model(shipped_models() / "lstm")


@pytest.fixture(scope="module")
def outlook() -> TflitePredictor:
    return load_model(shipped_models() / "outlook")


def inputs(n: int) -> tuple[F32, F32]:
    draw = np.random.default_rng(n)
    windows, angle = draw.gamma(0.6, 1.0, (n, 180, 3)), draw.uniform(0, 2 * np.pi, (n, 1))
    windows[:, :, 1], windows[:, :, 2] = np.sin(angle), np.cos(angle)
    return windows.astype(np.float32), draw.gamma(0.6, 1.0, (n, 672)).astype(np.float32)


def changed(card: ModelCard, **values: object) -> ModelCard:
    return ModelCard.model_validate(card.model_dump() | values)


def with_card(model: TflitePredictor, **values: object) -> TflitePredictor:
    files = read_model_files(shipped_models() / model.name)
    return TflitePredictor(files.model, changed(model.card, **values))


@pytest.mark.parametrize("n", [1, 3, 8, 20])
def test_continued_outlook_equals_the_whole_one(lstm: TflitePredictor, outlook: TflitePredictor, n: int) -> None:
    windows, history = inputs(n)
    prediction, trunk = lstm.predict_with_trunk(windows)
    for name in OUTPUTS[:2]:
        np.testing.assert_array_equal(getattr(prediction, name), getattr(lstm.predict(windows), name))
    continued, whole = outlook.predict_from_trunk(trunk, history), outlook.predict(windows, history)
    for name in OUTPUTS:
        np.testing.assert_array_equal(getattr(continued, name), getattr(whole, name))


def test_trunk_of_a_large_batch_equals_that_of_its_parts(lstm: TflitePredictor) -> None:
    windows, _ = inputs(70)
    _, whole = lstm.predict_with_trunk(windows)
    parts = [lstm.predict_with_trunk(windows[i : i + 1])[1] for i in range(70)]
    assert len(whole.values) == 4
    for name, values in whole.values.items():
        rows = np.concatenate([part.values[name] for part in parts])
        np.testing.assert_allclose(values, rows, rtol=0, atol=1e-5)


def test_head_keeps_no_rows_of_a_larger_batch(lstm: TflitePredictor, outlook: TflitePredictor) -> None:
    (windows, history), (fewer, its_history) = inputs(8), inputs(5)
    outlook.predict_from_trunk(lstm.predict_with_trunk(windows)[1], history)
    found = outlook.predict_from_trunk(lstm.predict_with_trunk(fewer)[1], its_history)
    outlook.release_interpreters()
    again = outlook.predict_from_trunk(lstm.predict_with_trunk(fewer)[1], its_history)
    assert found.mean.shape == (5, 11)
    np.testing.assert_array_equal(found.mean, again.mean)


def test_cards_say_which_trunk_is_shared(lstm: TflitePredictor, outlook: TflitePredictor) -> None:
    assert lstm.trunk_digest == outlook.trunk_digest
    assert shares_trunk_with(outlook, lstm)
    other = with_card(lstm, body="0" * 64)
    assert not shares_trunk_with(outlook, other)
    assert not shares_trunk_with(outlook, outlook)  # a trunk of a model with a history is none of the windows alone
    assert not shares_trunk_with(Persistence(), lstm)
    assert trunk_digest_of(Persistence()) is None


def test_trunk_check_accepts_the_shipped_models(lstm: TflitePredictor, outlook: TflitePredictor) -> None:
    check_shared_trunk(lstm, outlook)


def test_trunk_check_rejects_another_trunk(
    lstm: TflitePredictor, outlook: TflitePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = lstm.predict_with_trunk

    def disturbed(windows: F32) -> tuple[Prediction, TrunkOutputs]:
        prediction, trunk = plain(windows)
        return prediction, TrunkOutputs(windows, {name: values + 1 for name, values in trunk.values.items()})

    monkeypatch.setattr(lstm, "predict_with_trunk", disturbed)
    with pytest.raises(ModelError, match=r"continued from the trunk of lstm, the golden example differs by"):
        check_shared_trunk(lstm, outlook)


def test_file_without_a_head_cannot_continue(lstm: TflitePredictor) -> None:
    windows, _ = inputs(1)
    _, trunk = lstm.predict_with_trunk(windows)
    with pytest.raises(ModelError, match="model lstm: the runtime cannot continue the file: it has no signature"):
        lstm.predict_from_trunk(trunk)
    assert lstm.zero_trunk_outputs(windows) is None
    assert load_model(history_model()).zero_trunk_outputs(windows) is None


def test_outlook_rejects_a_trunk_with_other_names(lstm: TflitePredictor, outlook: TflitePredictor) -> None:
    windows, history = inputs(1)
    _, trunk = lstm.predict_with_trunk(windows)
    values = {name: rows for name, rows in trunk.values.items() if name != "body_0"}
    for wrong in (values, values | {"body_9": trunk.values["body_0"]}):
        with pytest.raises(
            ModelError, match=r"model outlook: the runtime cannot continue the file: it takes \['body_0'"
        ):
            outlook.predict_from_trunk(trunk._replace(values=wrong), history)


def test_memory_that_runs_out_in_a_head_is_a_model_error(
    lstm: TflitePredictor, outlook: TflitePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows, history = inputs(1)

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(HeadInterpreter, "run", fail)
    with pytest.raises(ModelError, match="model outlook: not enough memory for 1 windows"):
        outlook.predict_from_trunk(lstm.predict_with_trunk(windows)[1], history)


def test_head_with_other_inputs_is_rejected(outlook: TflitePredictor) -> None:
    content = read_model_files(shipped_models() / "outlook").model
    head = HeadInterpreter(ModelContent(content), {"window": (180, 3)}, outlook.card.outputs)
    windows, _ = inputs(1)
    with pytest.raises(ValueError, match=r"its signature after_body takes .*, or lacks outputs"):
        head.run(1, {"window": windows})


def test_trial_runs_the_head(outlook: TflitePredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    windows, history = inputs(8)
    check_batch(outlook, windows, lambda: 0.0, history)

    def broken(*_: object) -> Prediction:
        msg = "model outlook: the runtime cannot continue the file"
        raise ModelError(msg)

    monkeypatch.setattr(outlook, "predict_from_trunk", broken)
    with pytest.raises(ModelError, match="cannot continue"):
        check_batch(outlook, windows, lambda: 0.0, history)


def test_installed_copy_of_the_outlook_passes_its_trial(tmp_path: Path) -> None:
    copy = ModelCopy(tmp_path / "models", "outlook")
    try_model(read_model_files(copy.folder), copy.folder)


def test_head_keeps_the_file_that_its_interpreter_reads(lstm: TflitePredictor, outlook: TflitePredictor) -> None:
    """The model may be packed meanwhile, or its bytes dropped: the runtime would then read freed memory."""
    windows, history = inputs(1)
    _, trunk = lstm.predict_with_trunk(windows)
    content = ModelContent(read_model_files(shipped_models() / "outlook").model)
    head = HeadInterpreter(content, {INPUT: windows.shape[1:], HISTORY: history.shape[1:]}, outlook.card.outputs)
    file = content.head
    n_references = sys.getrefcount(file)
    head.run(1, {INPUT: windows, HISTORY: history, **trunk.values})
    gc.collect()
    assert sys.getrefcount(file) == n_references + 1
    head.release()
    gc.collect()
    assert sys.getrefcount(file) == n_references
