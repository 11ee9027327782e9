"""The models under ``models/`` match their cards, and reach their scores if the data is available."""

from __future__ import annotations

import gzip
import hashlib
import json

import numpy as np
import pytest

from gapcast.bundled import models_path
from gapcast.core.models.card import ModelCard
from gapcast.predictors.baselines import Persistence
from gapcast.predictors.models_folder.store import default_model, load_model, model_names
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.recordings.formats import clean_file, uci
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast.recordings.minutes.series import minute_series
from gapcast.sample import sample_path
from gapcast_trainer.data import clean_file_writer
from gapcast_trainer.data.split import MinuteSplit, SplitPart
from gapcast_trainer.data.windows import Examples, WindowTask, cut_examples
from gapcast_trainer.experiments.experiment_files import find_experiment
from gapcast_trainer.export.score import score
from gapcast_trainer.families import find_family
from gapcast_trainer.families.parts.base import Design
from gapcast_trainer.scores.model_outputs import windows_for
from gapcast_trainer.scores.table import SHOWN
from tests.support.uci_files import write_text

MODELS = models_path()
NAMES = model_names(MODELS)
#: Models that forecast five minutes from a window alone; tests/trainer/outlook has the scores of the others.
OF_WINDOWS = [name for name in NAMES if load_model(MODELS / name).card.history is None]
#: Highest MSE of the mean (kW^2), and highest MAE of the median (kW) if there is one, on the 2010 windows.
BARS = {"linear": (0.2140, 0.2244), "lstm": (0.181, 0.200), "lstm-16-8": (0.1920, None), "lstm-5-3": (0.1960, None)}


@pytest.fixture(scope="module", params=NAMES)
def shipped(request: pytest.FixtureRequest) -> TflitePredictor:
    return load_model(MODELS / request.param)


@pytest.fixture(scope="module", params=OF_WINDOWS)
def of_window(request: pytest.FixtureRequest) -> TflitePredictor:
    return load_model(MODELS / request.param)


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> CleanFile:
    """The bundled week of 2010, which no model was trained on."""
    folder = tmp_path_factory.mktemp("week")
    header, *lines = gzip.decompress(sample_path().read_bytes()).decode().splitlines()
    table = uci.read(write_text(folder / "week.txt", lines, header=header))
    clean_file_writer.write(*minute_series(table), folder / "week.csv")
    return clean_file.read(folder / "week.csv")


@pytest.fixture(scope="module")
def test_part(whole: CleanFile) -> Examples:
    return cut_examples(whole.series, WindowTask(), MinuteSplit(), SplitPart.TEST).whole()


def seen_by(predictor: TflitePredictor, clean_file: CleanFile) -> Examples:
    """The test part as the model sees it."""
    return windows_for(predictor, clean_file.series, MinuteSplit()).whole()


def test_shipped_models_are_all_there() -> None:
    assert BARS.keys() <= set(NAMES)
    assert default_model(MODELS) == "lstm"


def test_shipped_card_matches_its_file(shipped: TflitePredictor) -> None:
    content = (MODELS / shipped.name / "model.tflite").read_bytes()
    assert hashlib.sha256(content).hexdigest() == shipped.card.sha256
    assert len(content) == shipped.card.bytes


def test_shipped_card_matches_its_experiment(shipped: TflitePredictor) -> None:
    """The shipped experiment of its name reproduces it, and the parameter count is right."""
    card, experiment = shipped.card, find_experiment(shipped.name)
    assert card.experiment is not None
    family, hyper = find_family(experiment.family, experiment.hyper)
    whole = experiment.model_copy(update={"hyper": hyper.model_dump(mode="json")})
    stated = whole.model_dump(mode="json", exclude={"name", "family", "version"})
    stated["data"]["embargo_min"] = experiment.split().embargo_min
    assert {key: card.experiment[key] for key in stated} == stated
    assert (card.family, card.version) == (experiment.family, experiment.version)
    design = Design(experiment.task(), experiment.outputs.quantile_levels)
    assert family.build(design, hyper).count_params() == card.parameters


def test_shipped_model_parameter_counts() -> None:
    assert load_model(MODELS / "lstm-5-3").card.parameters == 252
    assert load_model(MODELS / "lstm-16-8").card.parameters == 1_961


def test_shipped_default_is_small_and_has_a_path() -> None:
    card = load_model(MODELS / default_model(MODELS)).card
    assert card.bytes <= 400_000
    assert card.lead_times_min == [1, 2, 3, 4, 5]
    assert card.quantile_levels == [0.05, 0.25, 0.5, 0.75, 0.95]


def test_shipped_card_test_part_follows_training(of_window: TflitePredictor) -> None:
    card = of_window.card
    assert (card.padding, card.lead_times_min[-1]) == ("oldest", 5)
    assert (card.split.validate_until, card.split.test_until) == (
        MinuteSplit().validate_until,
        MinuteSplit().test_until,
    )
    assert card.trained_on.last < card.split.train_until < card.split.validate_until
    assert card.scores.model.n == card.scores.persistence.n == 456_953
    assert (round(card.scores.persistence.mse_kw2, 4), round(card.scores.persistence.mae_kw, 4)) == (0.2334, 0.2244)
    mse_kw2, median_kw = BARS[card.name]
    assert card.scores.model.mse_kw2 <= mse_kw2
    assert (card.scores.model.mae_median_kw is None) == (median_kw is None)
    if median_kw is not None and card.scores.model.mae_median_kw is not None:
        assert card.scores.model.mae_median_kw <= median_kw
        assert card.scores.model.coverage == pytest.approx(0.90, abs=0.01)


def test_shipped_card_has_only_known_fields() -> None:
    for name in NAMES:
        fields = json.loads((MODELS / name / "card.json").read_text())
        assert fields.keys() <= ModelCard.model_fields.keys()


def test_shipped_file_uses_only_builtins(shipped: TflitePredictor) -> None:
    from gapcast_trainer.tflite.convert import check_builtins

    check_builtins((MODELS / shipped.name / "model.tflite").read_bytes())


def test_shipped_model_batches_agree(of_window: TflitePredictor, week: CleanFile) -> None:
    from gapcast_trainer.tflite.convert import check_batches

    inputs = windows_for(of_window, week.series, MinuteSplit()).inputs(0, 600)
    assert check_batches(of_window.predict, inputs) <= 1e-5


def test_shipped_model_beats_persistence_on_the_bundled_week(of_window: TflitePredictor, week: CleanFile) -> None:
    found = windows_for(of_window, week.series, MinuteSplit())
    assert len(found) > 9_000
    assert score(of_window, found).skill(score(Persistence(of_window.spec), found)) > 0.03


@pytest.mark.wholeset
def test_whole_set_is_complete(whole: CleanFile) -> None:
    report = whole.report
    assert (report.n_minutes, report.n_missing) == (2_075_259, 25_979)
    assert (report.first, report.last) == ("2006-12-16T17:24:00Z", "2010-11-26T21:02:00Z")
    assert report.mean_kw == pytest.approx(1.0916150365, abs=1e-10)
    everything = [cut_examples(whole.series, WindowTask(), MinuteSplit(), part).whole() for part in SplitPart]
    lost = 2 * 5  # to the embargo at two ends
    assert sum(len(part) for part in everything) == 2_047_098 - lost


@pytest.mark.wholeset
def test_whole_set_persistence_confirms_the_split(test_part: Examples) -> None:
    found = score(Persistence(), test_part)
    assert found.n == 456_953
    assert (round(found.mse_kw2, 4), round(found.mae_kw, 4)) == (0.2334, 0.2244)


@pytest.mark.wholeset
def test_whole_set_reproduces_the_cards_scores(of_window: TflitePredictor, whole: CleanFile) -> None:
    seen = seen_by(of_window, whole)
    stated, found = of_window.card.scores, score(of_window, seen)
    assert of_window.card.trained_on.sha256 == whole.report.sha256
    assert found.n == stated.model.n
    assert found.mse_kw2 == pytest.approx(stated.model.mse_kw2, abs=2e-6)
    assert found.mae_kw == pytest.approx(stated.model.mae_kw, abs=2e-6)
    if stated.model.mae_median_kw is not None:
        assert found.mae_median_kw == pytest.approx(stated.model.mae_median_kw, abs=2e-6)
        assert found.coverage == pytest.approx(stated.model.coverage, abs=2e-5)
    assert found.skill(score(Persistence(of_window.spec), seen)) == pytest.approx(stated.skill, abs=1e-5)


@pytest.mark.wholeset
def test_whole_set_short_windows_beat_persistence(of_window: TflitePredictor, whole: CleanFile) -> None:
    """By the squared error of the mean, and by the absolute error of the median if there is one."""
    seen = seen_by(of_window, whole)
    slice_of = seen.select(np.arange(0, len(seen), 81))
    naive = score(Persistence(of_window.spec), slice_of)
    for n_kept in (n for n in SHOWN if n <= of_window.spec.context):
        found = score(of_window, slice_of, n_kept=n_kept)
        assert found.skill(naive) > 0.03, n_kept
        assert found.mae_median_kw is None or found.mae_median_kw < naive.mae_kw, n_kept


@pytest.mark.wholeset
def test_whole_set_interval_coverage_at_every_hour(whole: CleanFile) -> None:
    shipped = load_model(MODELS / default_model(MODELS))
    seen = seen_by(shipped, whole)
    seen = seen.select(np.arange(0, len(seen), 9))
    hour = seen.observed_minute % 1_440 // 60
    for each in range(24):
        found = score(shipped, seen.select(np.flatnonzero(hour == each)))
        assert found.coverage == pytest.approx(0.90, abs=0.05), each
