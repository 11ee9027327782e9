"""Export: the exported model, and its checks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.predictor import Prediction
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.models_folder.store import load_model, model_names
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.data.windows import WindowTask, cut_examples
from gapcast_trainer.errors import ExportError, RunError
from gapcast_trainer.export.score import score
from gapcast_trainer.families import find_family
from gapcast_trainer.families.parts.base import Design, Scale
from gapcast_trainer.training.outlook.house_windows import HouseWindows
from gapcast_trainer.training.run import RUN_FILE, load_run
from tests.trainer import synthetic
from tests.trainer.cards import card_for
from tests.trainer.synthetic import SPLIT

#: A test part within the gap of 90 minutes from 04:00 on.
IN_A_GAP = {"validate_until": "2020-01-05T04:10Z", "test_until": "2020-01-05T04:50Z"}


@pytest.fixture(scope="module")
def shipped(linear_run: Path, small: CleanFile, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A models folder that the linear run was exported to, and what was found."""
    from gapcast_trainer.export.export import choose_default, export

    models = tmp_path_factory.mktemp("models")
    done = export(linear_run, small, models)
    choose_default(models, None)
    return models, done


@pytest.fixture(scope="module")
def windows(small: CleanFile) -> F32:
    return cut_examples(small.series, WindowTask(), SPLIT, SplitPart.TRAIN).inputs(0, 300)


def predictor_of(model: Any) -> TflitePredictor:
    from gapcast_trainer.tflite.convert import convert

    content = convert(model)
    return TflitePredictor(content, card_for(content))


def closed(change: Any, window: Any) -> Any:
    import keras

    return keras.Model(window, {"mean": keras.layers.Add()([change, window[:, -1, :]])})


def test_export_gives_a_model_that_the_edge_loads(shipped: tuple[Path, Any], small: CleanFile) -> None:
    models, done = shipped
    assert sorted(path.name for path in models.iterdir()) == ["linear", "registry.json"]
    assert sorted(path.name for path in (models / "linear").iterdir()) == ["card.json", "model.tflite"]
    assert json.loads((models / "registry.json").read_text()) == {"default": "linear"}
    predictor = load_model(models / "linear")
    card = predictor.card
    assert card == done.card
    assert (card.family, card.version, card.parameters) == ("linear", "1", 31)
    assert card.trained_on.sha256 == small.report.sha256
    assert card.trained_on.last == SPLIT.train_until.replace(hour=17, minute=59)
    assert card.experiment is not None
    assert (card.experiment["augment"]["short_share"], card.experiment["seed"]) == (0.5, 1)
    assert card.experiment["hyper"] == {"ridge": 1e-4}
    assert done.parity_kw <= 1e-5
    assert done.agreement_kw <= 1e-5


def test_export_card_scores_equal_the_files(shipped: tuple[Path, Any], small: CleanFile) -> None:
    predictor = load_model(shipped[0] / "linear")
    test = cut_examples(small.series, WindowTask(), SPLIT, SplitPart.TEST).whole()
    found, stated = score(predictor, test), predictor.card.scores
    assert stated.model.n == len(test)
    assert found.mse_kw2 == pytest.approx(stated.model.mse_kw2, abs=1e-6)
    assert found.mae_kw == pytest.approx(stated.model.mae_kw, abs=1e-6)
    naive = test.inputs()[:, -1, 0].astype(np.float64) - test.target_kw[:, 0]
    assert np.mean(naive**2) == pytest.approx(stated.persistence.mse_kw2, abs=1e-6)
    assert stated.skill == pytest.approx(1 - stated.model.mse_kw2 / stated.persistence.mse_kw2, abs=1e-4)


def test_export_golden_example_is_of_the_training_part(shipped: tuple[Path, Any], small: CleanFile) -> None:
    golden = np.asarray(shipped[1].card.golden.window, dtype=np.float32)[:, :, 0]
    assert (golden[0, :29] == golden[0, 0]).all()  # two readings, the older one padded
    assert np.ptp(golden, axis=1).min() > 0.1
    train = {
        row.tobytes()
        for row in cut_examples(small.series, WindowTask(), SPLIT, SplitPart.TRAIN).whole().inputs()[:, :, 0]
    }
    assert all(row.tobytes() in train for row in golden[3:])


def sparse(small: CleanFile) -> Series:
    """The household with every 20th reading missing: no window ends with 30 readings in a row."""
    kw = small.series.gap_kw.copy()
    kw[::20] = np.nan
    return Series(small.series.first_minute, kw)


def test_golden_windows_of_a_sparse_meter_are_those_there_are(small: CleanFile) -> None:
    from gapcast_trainer.export.export import GOLDEN_KEPT, golden_windows

    train = cut_examples(sparse(small), WindowTask(), SPLIT, SplitPart.TRAIN)
    assert (len(train.whole()), len(train) > 1_000) == (0, True)
    golden = golden_windows(train)
    assert golden.shape == (len(GOLDEN_KEPT), 30, 1)
    assert np.ptp(golden[:, :, 0], axis=1).min() > 0.1


def test_export_outlook_rows_of_a_sparse_meter_are_all(small: CleanFile) -> None:
    from gapcast_trainer.export.outlook import training_rows

    whole, few = (
        HouseWindows.from_series(series.first_minute, series.gap_kw, WindowSpec())
        for series in (small.series, sparse(small))
    )
    assert training_rows(whole, SPLIT).size == whole.whole(training_rows(whole, SPLIT)).size > 1_000
    assert training_rows(few, SPLIT).size == np.count_nonzero(SPLIT.holds(SplitPart.TRAIN, few.observed_minute)) > 1_000


@pytest.mark.parametrize("off", [2e-5, np.nan, 1e22])
def test_parity_check_catches_another_model(off: float, windows: F32) -> None:
    """A file converted from other weights, and one that returns non-finite values."""
    import keras

    from gapcast_trainer.tflite.convert import check_parity

    window = keras.Input((30, 1), name="window")
    layer = keras.layers.Dense(1)
    model = closed(layer(keras.layers.Flatten()(window)), window)
    predictor = predictor_of(model)
    assert check_parity(predictor.predict, model, windows) <= 1e-5
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias + np.float32(off)])
    with pytest.raises(ExportError, match="the file and Keras differ by"):
        check_parity(predictor.predict, model, windows)


def test_parity_check_of_small_changes_of_the_voltage() -> None:
    import keras

    from gapcast_trainer.tflite.convert import check_parity, convert

    keras.utils.set_random_seed(3)
    task = WindowTask(WindowSpec(6), features=("gap_kw", "voltage_v"))
    family, hyper = find_family("lstm", {"units": [4]})
    model = family.build(Design(task, None, Scale(1.0, 1.0)), hyper)
    steps = np.random.default_rng(1).integers(-2, 3, (500, 6, 2))
    values = (np.array([1, 232]) + 0.1 * steps).astype(np.float32)
    content = convert(model)
    assert check_parity(TflitePredictor(content, card_for(content, task)).predict, model, values) < 1e-6


def test_batch_check_catches_dependent_rows(windows: F32) -> None:
    import keras

    from gapcast_trainer.tflite.convert import check_batches

    window = keras.Input((30, 1), name="window")
    predictor = predictor_of(closed(keras.ops.mean(window[:, 0, :], axis=0, keepdims=True), window))
    with pytest.raises(ExportError, match=r"batches of \(1, 7, 256\) differ by"):
        check_batches(predictor.predict, windows)


def test_batch_check_catches_a_stateful_model(windows: F32) -> None:
    from gapcast_trainer.tflite.convert import check_batches

    n_calls = 0

    def predict(rows: F32) -> Prediction:
        nonlocal n_calls
        n_calls += 1
        return Prediction(rows[:, -1] + np.float32(1e-3 * (n_calls > 300 + 43 + 2)))  # differs from the last call on

    with pytest.raises(ExportError, match=r"differ by 0\.001"):
        check_batches(predict, windows)


def test_builtin_check_catches_other_operators() -> None:
    """By the conversion, which allows builtins alone, and in a file converted without this check."""
    import keras
    import tensorflow as tf

    from gapcast_trainer.tflite.convert import check_builtins, convert

    class Spectrum(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return tf.math.real(tf.signal.fft(tf.complex(x, x)))

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    window = keras.Input((30, 1), name="window")
    model = closed(Spectrum()(window[:, 0, :]), window)
    with pytest.raises(ExportError, match="does not convert to builtins alone"):
        convert(model)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    with pytest.raises(ExportError, match="not TFLite builtins: FlexComplex, FlexFFT"):
        check_builtins(converter.convert())


@pytest.mark.parametrize("check", ["export.check_parity", "export.check_batches", "exported_folder.load_model"])
def test_export_failed_check_changes_nothing(
    check: str, shipped: tuple[Path, Any], linear_run: Path, small: CleanFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gapcast_trainer.export.export import export

    def fail(*_: object) -> None:
        raise ExportError("made up")

    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in shipped[0].rglob("*") if path.is_file()}

    before = content()
    monkeypatch.setattr(f"gapcast_trainer.export.{check}", fail)
    with pytest.raises(ExportError, match="made up"):
        export(linear_run, small, shipped[0])
    assert content() == before
    assert sorted(path.name for path in shipped[0].iterdir()) == ["linear", "registry.json"]


def test_export_run_of_another_clean_file_is_rejected(linear_run: Path, small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.export.export import export

    with pytest.raises(RunError, match="made from another clean file"):
        export(linear_run, replace(small, sha256="0" * 64), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"family": "gone"}, "no family gone"),
        ({"window": {"context": 12}}, "the weights do not fit"),
        ({"hyper": {"speed": 3}}, r"hyper\.speed: "),
        ({"data": {"train_until": "2020-01-04T18:00Z", **IN_A_GAP}}, "has no windows in the test part"),
    ],
)
def test_export_run_that_does_not_match_is_rejected(
    change: dict[str, Any], error: str, linear_run: Path, small: CleanFile, tmp_path: Path
) -> None:
    from gapcast_trainer.export.export import export

    for path in linear_run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    fields = json.loads((tmp_path / RUN_FILE).read_text())
    fields["experiment"] |= change
    (tmp_path / RUN_FILE).write_text(json.dumps(fields))
    load_run(tmp_path)  # well-formed all the same
    with pytest.raises(RunError, match=error):
        export(tmp_path, small, tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.long
def test_export_model_with_quantiles_and_time_of_day(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.export.export import export
    from gapcast_trainer.training.fit import fit

    experiment = synthetic.experiment(
        "multiscale",
        window={"context": 18, "features": ["gap_kw", "tod_sin", "tod_cos"]},
        outputs={"lead_times_min": [1, 5], "quantile_levels": [0.05, 0.5, 0.95]},
        hyper={
            "near_min": 6,
            "near_fold": 2,
            "step_min": 6,
            "near_units": [2],
            "far_units": 2,
            "lags": 3,
            "dense": 4,
            "head": 4,
        },
        descent={"epochs": 1, "batch_size": 512, "average": 0.9},
    )
    fit(experiment, small, tmp_path / "run")
    done = export(tmp_path / "run", small, tmp_path / "models")
    card = load_model(done.folder).card
    assert [feature.name for feature in card.features] == ["gap_kw", "tod_sin", "tod_cos"]
    assert card.quantile_levels == [0.05, 0.5, 0.95]
    assert np.array(card.golden.quantiles).shape == (len(card.golden.window), 2, 3)
    assert card.experiment is not None
    assert len(card.experiment["history"]) == 1
    assert done.parity_kw <= 1e-5
    assert card.scores.model.n == len(cut_examples(small.series, WindowTask(), SPLIT, SplitPart.TEST).whole())


def test_export_keeps_the_default_until_another_is_named(shipped: tuple[Path, Any], tmp_path: Path) -> None:
    from gapcast_trainer.export.export import choose_default

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "card.json").write_text("{}")
    assert model_names(tmp_path) == ["a", "b"]
    assert choose_default(tmp_path, None) == "a"
    assert choose_default(tmp_path, "b") == "b"
    assert choose_default(tmp_path, None) == "b"
    (tmp_path / "registry.json").write_text('{"default": "b", "optional": ["a"]}')
    assert choose_default(tmp_path, "a") == "a"
    assert json.loads((tmp_path / "registry.json").read_text()) == {"default": "a", "optional": ["a"]}
    with pytest.raises(RunError, match="no model is called c: there are a, b"):
        choose_default(tmp_path, "c")
