"""The study's windows, random draws, networks, line and paddings, each checked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gapcast.core.windows.window import WindowSpec
from gapcast.core.windows.window import pad as pad_window
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.errors import RunError
from gapcast_trainer.study.household import Household, load
from gapcast_trainer.study.line import Line, coefficients
from gapcast_trainer.study.random_split import N_TEST, N_TRAIN, check_shapes, cut_in_order, draw, windows
from gapcast_trainer.study.settings import HORIZON_MIN, StudySettings
from tests.support import uci_files
from tests.trainer import synthetic


@pytest.fixture(scope="module")
def household() -> Household:
    kw = uci_files.household()
    first_minute = int(uci_files.START.timestamp()) // 60
    return Household(kw, Series(first_minute, kw), "0" * 64)


def settings_in(folder: Path) -> StudySettings:
    models = Path(__file__).parents[2] / "models"
    return StudySettings(out=folder, models=models, split=synthetic.SPLIT, share=0.1, quick=True)


def test_study_windows_and_labels() -> None:
    found = windows(np.arange(20.0), 6, 5)
    assert found.x.shape == (9, 6, 1)
    assert found.x.dtype == found.y.dtype == np.float32
    assert found.x[0, :, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert found.y[0, 0] == 10  # 0 + 6 + 5 - 1: five rows after the last one seen
    assert (found.x[-1, -1, 0], found.y[-1, 0]) == (13, 18)


def test_study_too_few_rows_are_named_with_a_fix() -> None:
    with pytest.raises(RunError, match=r"11 rows are too few for a window of 6 and a label 5 rows later.*--share"):
        windows(np.arange(11.0), 6, 5)
    with pytest.raises(RunError, match=r"a share of 0\.01 of 9 rows leaves 0"):
        draw(np.arange(9.0), 0.01)


def test_study_draws_are_shuffled_and_deterministic() -> None:
    rows_kw = np.arange(2_000.0)
    train, test = draw(rows_kw, 0.1)
    assert (train.size, test.size) == (160, 40)
    assert len({*train.tolist(), *test.tolist()}) == 200
    again, _ = draw(rows_kw, 0.1)
    assert train.tolist() == again.tolist()
    assert (np.diff(train) < 0).mean() > 0.4  # as often back in time as forth
    older, newer = cut_in_order(rows_kw[:200])
    assert (older.size, newer.size) == (160, 40)
    assert older[-1] + 1 == newer[0]


def test_study_arrays_of_another_shape_are_rejected() -> None:
    train, test = windows(np.zeros(N_TRAIN + 35), 30, 5), windows(np.zeros(N_TEST + 35), 30, 5)
    check_shapes(train, test, 30)
    with pytest.raises(RunError, match=r"the study's arrays are \(16359, 30, 1\) and \(4064, 30, 1\), but these are"):
        check_shapes(train, windows(np.zeros(N_TEST + 34), 30, 5), 30)


@pytest.mark.wholeset
def test_study_mse_equals_that_of_the_mean(whole_set: Path) -> None:
    """The rows are reproduced exactly, and the best model is no better than one constant."""
    found = load(whole_set)
    assert found.is_whole_set
    train_kw, test_kw = draw(found.rows_kw, 0.01)
    train, test = windows(train_kw, 30, 5), windows(test_kw, 30, 5)
    check_shapes(train, test, 30)
    assert np.mean((test.y - train.y.mean()) ** 2) == pytest.approx(1.1017, abs=5e-5)
    wide = windows(train_kw, 60, 5), windows(test_kw, 60, 5)
    assert [part.x.shape for part in wide] == [(16_329, 60, 1), (4_034, 60, 1)]


@pytest.mark.parametrize(("n", "forgetting"), [(2, 1.0), (5, 1.0), (30, 0.9), (17, 0.5)])
def test_line_incremental_equals_the_weighted_fit(n: int, forgetting: float) -> None:
    kw = uci_files.household(60)
    line = Line(30, forgetting)
    for minute in range(60 - n, 60):
        line.add(minute, float(kw[minute]))
    slope, level = np.polyfit(np.arange(1 - n, 1), kw[-n:], 1, w=np.sqrt(forgetting ** np.arange(n - 1, -1, -1.0)))
    assert line.forecast(HORIZON_MIN) == pytest.approx(level + HORIZON_MIN * slope)
    assert kw[-n:] @ coefficients(n, forgetting, HORIZON_MIN) == pytest.approx(level + HORIZON_MIN * slope)


def test_line_forgets_readings_outside_its_window() -> None:
    line = Line(3)
    line.add(0, 50.0)
    assert line.forecast(5) is None
    for minute, kw in ((1, 9.0), (3, 1.0), (4, 2.0)):  # 2 is missing
        line.add(minute, kw)
    assert line.forecast(5) == pytest.approx(7.0)
    line.add(90, 3.0)
    assert line.forecast(5) is None
    for wrong in ((1, 1.0), (5, 0.0), (5, 1.1)):
        with pytest.raises(ValueError, match="a line needs 2 minutes or more and a forgetting factor"):
            Line(*wrong)


def test_study_networks_have_the_published_sizes() -> None:
    from gapcast_trainer.commands.tensorflow_import import import_tensorflow

    import_tensorflow()
    from dataclasses import replace

    from gapcast_trainer.study.networks import MODEL_1, MODEL_2, build

    assert (build(MODEL_1).count_params(), MODEL_1.n_parameters) == (252, 252)
    assert (build(replace(MODEL_2, context=2)).count_params(), MODEL_2.n_parameters) == (1_961, 1_961)
    with pytest.raises(RunError, match="model 1 has 252 parameters, not 253 as in the study"):
        build(replace(MODEL_1, context=2, n_parameters=253))


def test_study_model_writes_predictions_and_history(household: Household, tmp_path: Path) -> None:
    from gapcast_trainer.commands.tensorflow_import import import_tensorflow

    import_tensorflow()
    from gapcast_trainer.study.networks import Recipe
    from gapcast_trainer.study.original import reproduce

    small = Recipe(number=9, context=4, units=(2, 2), learning_rate=0.01, batch_size=64, patience=5, n_parameters=75)
    found = reproduce(household, settings_in(tmp_path), small)
    lines = (tmp_path / "study-9.predictions.csv").read_text().splitlines()
    assert found["test"]["n"] == len(lines) - 1 == found["test_shape"][0]
    squared = [(float(actual) - float(error)) ** 2 for _, actual, error in (line.split(",") for line in lines[1:])]
    assert np.mean(squared) == pytest.approx(found["test"]["mse_kw2"], rel=1e-4)
    assert found["best_val_loss"] == found["val_loss"][found["best_epoch"] - 1] == min(found["val_loss"])
    assert found["in_order"]["model"]["n"] == found["in_order"]["persistence"]["n"] > 20
    assert (tmp_path / "study-9.weights.h5").is_file()


def test_padding_methods_fill_windows() -> None:
    from gapcast_trainer.commands.tensorflow_import import import_tensorflow

    import_tensorflow()
    from gapcast_trainer.study.padding import MASKED_KW, fill_up

    kw = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)
    kept = np.array([2, 4])
    whole = [5, 6, 7, 8]
    assert fill_up(kw, kept, "zeros in front").tolist() == [[0, 0, 3, 4], whole]
    assert fill_up(kw, kept, "oldest in front").tolist() == [pad_window(kw[0, -2:], WindowSpec(4)).tolist(), whole]
    assert fill_up(kw, kept, "mask in front").tolist() == [[MASKED_KW, MASKED_KW, 3, 4], whole]
    assert fill_up(kw, kept, "zeros behind").tolist() == [[3, 4, 0, 0], whole]


def test_masked_values_are_ignored() -> None:
    """A masked window of 30 gives the same as a network of equal weights on its 3 readings alone."""
    from gapcast_trainer.commands.tensorflow_import import import_tensorflow

    import_tensorflow()
    import keras

    from gapcast_trainer.study.padding import SCALE_KW, UNITS, build, fill_up

    kw = np.random.default_rng(3).random((4, 30), np.float32)
    filled = fill_up(kw, np.full(4, 3), "mask in front")[:, :, np.newaxis] / np.float32(SCALE_KW)
    masked = build("mask in front")
    bare = keras.Sequential([keras.Input((3, 1)), keras.layers.LSTM(UNITS), keras.layers.Dense(1)])
    bare.set_weights(masked.get_weights())
    np.testing.assert_allclose(np.asarray(masked(filled)), np.asarray(bare(filled[:, -3:])), atol=1e-6)
