"""A model file with a second input, the history, and outputs for the mean until each lead time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32
from gapcast.core.errors import ModelError
from gapcast.core.models.predictor import Prediction, run_model
from gapcast.predictors.baselines import Persistence
from gapcast.predictors.models_folder.files import read_model_files
from gapcast.predictors.models_folder.store import load_model
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.predictors.trials.trial import check_batch, probe_history, probe_windows, try_model
from tests.support.models import ModelCopy, history_model, shipped_models

OUTPUTS = ("mean", "quantiles", "mean_to", "quantiles_to")


@pytest.fixture(scope="module")
def model() -> TflitePredictor:
    return load_model(history_model())


@pytest.fixture
def copy(tmp_path: Path) -> ModelCopy:
    return ModelCopy(tmp_path / "models", source=history_model())


def inputs(model: TflitePredictor, n: int) -> tuple[F32, F32]:
    draw = np.random.default_rng(n)
    windows = draw.uniform(0, 3, (n, model.spec.context, len(model.features))).astype(np.float32)
    return windows, draw.uniform(0, 3, (n, model.history_steps)).astype(np.float32)


def arrays(prediction: Prediction) -> list[F32]:
    found = [getattr(prediction, name) for name in OUTPUTS]
    assert all(array is not None for array in found)
    return found


def test_model_with_history_describes_its_inputs_and_outputs(model: TflitePredictor) -> None:
    assert (model.history_steps, model.forecasts_means) == (672, True)
    assert model.card.outputs == OUTPUTS
    lstm = load_model(shipped_models() / "lstm")
    assert (lstm.history_steps, lstm.forecasts_means, lstm.card.outputs) == (0, False, OUTPUTS[:2])


@pytest.mark.parametrize("n", [1, 3, 9, 33, 70])
def test_model_with_history_batch_equals_single_rows(model: TflitePredictor, n: int) -> None:
    windows, history = inputs(model, n)
    batch = arrays(model.predict(windows, history))
    n_leads, n_levels = len(model.lead_times_min), len(model.quantile_levels or ())
    assert [array.shape for array in batch] == [(n, n_leads), (n, n_leads, n_levels)] * 2
    alone = [arrays(model.predict(windows[i : i + 1], history[i : i + 1])) for i in range(n)]
    for array, rows in zip(batch, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(array, np.concatenate(rows), rtol=0, atol=1e-5)


def test_model_with_history_uses_it(model: TflitePredictor) -> None:
    windows, history = inputs(model, 2)
    mean, *_ = arrays(model.predict(windows, history))
    higher, *_ = arrays(model.predict(windows, history + 1))
    assert (higher[:, -1] > mean[:, -1] + 0.5).all()


def test_model_with_history_rejects_another_shape(model: TflitePredictor) -> None:
    windows, history = inputs(model, 2)
    for wrong, found in ((None, "none"), (history[:1], r"\[1, 672\]"), (history[:, 1:], r"\[2, 671\]")):
        with pytest.raises(ModelError, match=rf"takes a history of \[2, 672\] for 2 windows, not {found}"):
            model.predict(windows, wrong)
    lstm = load_model(shipped_models() / "lstm")
    of_lstm = np.zeros((2, lstm.spec.context, len(lstm.features)), dtype=np.float32)
    with pytest.raises(ModelError, match="model lstm takes no history"):
        lstm.predict(of_lstm, history)


def test_model_with_history_warms_up_each_size(model: TflitePredictor) -> None:
    model.release_interpreters()
    model.warm_up((1, 32))
    assert model.sizes == (1, 32)


def test_run_model_gives_the_newest_steps(model: TflitePredictor) -> None:
    windows, history = inputs(model, 2)
    longer = np.concatenate((history[:, :9] * 7, history), axis=1)
    for found, expected in zip(
        arrays(run_model(model, windows, longer)), arrays(model.predict(windows, history)), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ModelError, match="not none"):
        run_model(model, windows, None)
    assert run_model(Persistence(), windows, longer).mean_to is None


@pytest.mark.parametrize("name", OUTPUTS)
def test_model_with_another_golden_output_is_rejected(copy: ModelCopy, name: str) -> None:
    def alter(card: dict[str, Any]) -> None:
        values = card["golden"][name][1]
        inner = values[0] if name.startswith("quantiles") else values
        inner[-1] = 99.0

    copy.alter_card(alter)
    with pytest.raises(ModelError, match=f"{name} of the golden example differs by"):
        load_model(copy.folder)


def test_model_with_another_golden_history_is_rejected(copy: ModelCopy) -> None:
    copy.alter_card(lambda card: card["golden"]["history"].__setitem__(0, [3.0] * 672))
    with pytest.raises(ModelError, match="mean of the golden example differs by"):
        load_model(copy.folder)


def test_card_without_the_files_history_is_rejected(copy: ModelCopy) -> None:
    def alter(card: dict[str, Any]) -> None:
        del card["history"], card["golden"]["history"]

    copy.alter_card(alter)
    with pytest.raises(ModelError, match=r"signature is \['history', 'window'\] -> .*, not \['window'\] -> "):
        load_model(copy.folder)


def test_card_with_another_number_of_steps_is_rejected(copy: ModelCopy) -> None:
    def alter(card: dict[str, Any]) -> None:
        card["history"]["steps"] = 96
        card["golden"]["history"] = [row[:96] for row in card["golden"]["history"]]

    copy.alter_card(alter)
    with pytest.raises(ModelError, match=r"takes histories of \[672\] \(steps\), not \[96\] as its card says"):
        load_model(copy.folder)


def test_card_with_outputs_that_the_file_lacks_is_rejected(tmp_path: Path) -> None:
    copy = ModelCopy(tmp_path / "models", "lstm-5-3")
    copy.alter_card(lambda card: card["golden"].update(mean_to=card["golden"]["mean"]))
    with pytest.raises(ModelError, match=r"not \['window'\] -> \['mean', 'mean_to'\]"):
        load_model(copy.folder)


def test_trial_runs_histories_of_every_batch_size(model: TflitePredictor) -> None:
    try_model(read_model_files(history_model()), history_model())
    shapes = [probe_history(model.card, windows) for windows in probe_windows(model.card)]
    assert [history.shape for history in shapes if history is not None] == [(n, 672) for n in (1, 1, 8, 8, 32, 32)]
    lstm = load_model(shipped_models() / "lstm").card
    assert probe_history(lstm, next(probe_windows(lstm))) is None


def test_trial_rejects_a_wrong_shape_of_a_mean(model: TflitePredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = model.predict

    def cut(windows: F32, history: F32 | None = None) -> Prediction:
        mean, quantiles, mean_to, quantiles_to = arrays(whole(windows, history))
        return Prediction(mean, quantiles, mean_to[:, :2], quantiles_to)

    monkeypatch.setattr(model, "predict", cut)
    windows, history = inputs(model, 1)
    with pytest.raises(ModelError, match=r"a batch gives the shapes .*\(1, 2\).*, not "):
        check_batch(model, windows, lambda: 0.0, history)
