"""The shipped outlook model: its card, its size, its scores, and its agreement with the default model."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from gapcast.bundled import models_path
from gapcast.core.arrays.array_types import F32
from gapcast.core.streams.quarters import fill_unknown
from gapcast.core.windows.features import assemble
from gapcast.predictors.models_folder.store import load_model
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.recordings.formats import clean_file, uci
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast.recordings.minutes.series import minute_series
from gapcast.sample import sample_path
from gapcast_trainer.data import clean_file_writer
from gapcast_trainer.data.split import MinuteSplit, SplitPart
from gapcast_trainer.experiments.experiment_files import find_experiment
from gapcast_trainer.families import find_family
from gapcast_trainer.families.parts.base import Design, Scale
from gapcast_trainer.training.outlook.house_windows import HouseWindows
from gapcast_trainer.training.outlook.scores import OutlookModelScores, score_outlook
from tests.support.uci_files import write_text

MODELS = models_path()
#: Highest MSE of the mean (kW^2) and MAE of the median (kW) on 2010, of single minutes and of means until them.
POINT_BARS = {15: (0.342, 0.309), 30: (0.4425, 0.381), 60: (0.530, 0.449)}
MEAN_BARS = {5: (0.0830, 0.141), 15: (0.139, 0.202), 30: (0.167, 0.236), 60: (0.186, 0.270)}


@pytest.fixture(scope="module")
def outlook() -> TflitePredictor:
    return load_model(MODELS / "outlook")


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> tuple[CleanFile, HouseWindows]:
    """The bundled week of 2010, which no model was trained on."""
    folder = tmp_path_factory.mktemp("week")
    header, *lines = gzip.decompress(sample_path().read_bytes()).decode().splitlines()
    table = uci.read(write_text(folder / "week.txt", lines, header=header))
    clean_file_writer.write(*minute_series(table), folder / "week.csv")
    clean = clean_file.read(folder / "week.csv")
    outlook_spec = load_model(MODELS / "outlook").spec
    return clean, HouseWindows.from_series(clean.series.first_minute, clean.series.gap_kw, outlook_spec)


@pytest.fixture(scope="module")
def inputs(week: tuple[CleanFile, HouseWindows], outlook: TflitePredictor) -> tuple[F32, F32]:
    """Every 29th window of the week, with its history."""
    clean, house = week
    rows = np.arange(0, len(house.windows), 29)
    kw = house.windows_kw(rows)
    windows = assemble(kw[:, :, np.newaxis], house.observed_minute[rows], outlook.features, clean.series.zone)
    return windows, fill_unknown(house.history_kw(rows), kw.mean(axis=1))


def test_shipped_outlook_describes_the_next_hour(outlook: TflitePredictor) -> None:
    card = outlook.card
    assert card.lead_times_min == [1, 2, 3, 4, 5, 10, 15, 20, 30, 45, 60]
    assert card.quantile_levels == [0.05, 0.25, 0.5, 0.75, 0.95]
    assert (card.family, card.history_steps, card.forecasts_means) == ("outlook", 672, True)
    assert card.bytes <= 800_000
    assert card.split.embargo_min == 60


def test_shipped_outlook_begins_with_the_default_forecast(outlook: TflitePredictor, inputs: tuple[F32, F32]) -> None:
    found, expected = outlook.predict(*inputs), load_model(MODELS / "lstm").predict(inputs[0])
    assert found.mean[:, :5] == pytest.approx(expected.mean, abs=1e-5)
    assert found.quantiles is not None
    assert expected.quantiles is not None
    assert found.quantiles[:, :5] == pytest.approx(expected.quantiles, abs=2e-5)


def test_shipped_outlook_quantiles_never_cross(outlook: TflitePredictor, inputs: tuple[F32, F32]) -> None:
    found = outlook.predict(*inputs)
    for quantiles in (found.quantiles, found.quantiles_to):
        assert quantiles is not None
        assert (np.diff(quantiles, axis=2) >= 0).all()


def test_shipped_outlook_beats_naive_forecasts_on_the_week(
    outlook: TflitePredictor, week: tuple[CleanFile, HouseWindows]
) -> None:
    """In a week that begins without any history, by squared and by absolute error."""
    clean, house = week
    found = score_outlook(outlook, house, np.arange(0, len(house.windows), 7), clean.series.zone)
    for kind in (found.point, found.mean):
        assert (kind.mse_kw2 < 0.95 * np.minimum(kind.persistence_mse_kw2, kind.window_mse_kw2)).all()
        assert (kind.mae_kw < np.minimum(kind.persistence_mae_kw, kind.window_mae_kw)).all()


@pytest.mark.wholeset
def test_whole_set_outlook_reaches_its_scores(outlook: TflitePredictor, whole: CleanFile) -> None:
    house = HouseWindows.from_series(whole.series.first_minute, whole.series.gap_kw, outlook.spec)
    split = MinuteSplit(embargo_min=60)
    rows = house.whole(np.flatnonzero(split.holds(SplitPart.TEST, house.observed_minute)).astype(np.int64))
    found = score_outlook(outlook, house, rows, whole.series.zone)
    _check_bars(found)
    own, naive = found.point_at(60)
    stated = outlook.card.scores
    assert own.n == stated.model.n == naive.n
    assert own.mse_kw2 == pytest.approx(stated.model.mse_kw2, abs=2e-6)
    assert own.coverage == pytest.approx(stated.model.coverage, abs=2e-5)


def _check_bars(found: OutlookModelScores) -> None:
    for kind, bars in ((found.point, POINT_BARS), (found.mean, MEAN_BARS)):
        for lead_min, (mse_kw2, mae_kw) in bars.items():
            at = found.lead_times_min.index(lead_min)
            assert kind.mse_kw2[at] <= mse_kw2, lead_min
            assert kind.mae_kw[at] <= mae_kw, lead_min
            assert kind.coverage[at] == pytest.approx(0.90, abs=0.02), lead_min


def test_shipped_body_is_read_from_its_file() -> None:
    """A retrained outlook begins with these weights: the file's constants are found in whatever order they are."""
    from gapcast_trainer.tflite.file_weights import set_file_weights

    shipped = load_model(MODELS / "lstm").card
    experiment = find_experiment("lstm")
    family, hyper = find_family(experiment.family, experiment.hyper)
    assert shipped.experiment is not None
    assert shipped.golden.quantiles is not None
    scale = Scale(**shipped.experiment["scale"])
    model = family.build(Design(experiment.task(), experiment.outputs.quantile_levels, scale), hyper)
    set_file_weights(model, (MODELS / "lstm" / "model.tflite").read_bytes())
    found = model(np.array(shipped.golden.window, np.float32))
    np.testing.assert_allclose(np.asarray(found["mean"]), shipped.golden.mean, atol=1e-4)
    np.testing.assert_allclose(np.asarray(found["quantiles"]), shipped.golden.quantiles, atol=1e-4)
