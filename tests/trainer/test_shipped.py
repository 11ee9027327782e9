"""The models under ``models/``: each is what its card says, on any machine; and as good, where the data is at hand."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from edge.bundled import models_path
from edge.core.card import ModelCard
from edge.predictors.baselines import Persistence
from edge.predictors.store import default_model, load_model, model_names
from edge.predictors.tflite import TflitePredictor
from edge.sample import sample_path
from tests.trainer.synthetic import write_text
from trainer import clean, cleanfile
from trainer.cleanfile import Clean
from trainer.datasets import uci
from trainer.evaluate import SHOWN
from trainer.families import families, find_model
from trainer.run import hyper_fields
from trainer.score import score
from trainer.split import Part, Split
from trainer.windows import Examples, Task, examples

MODELS = models_path()
NAMES = model_names(MODELS)
#: Highest MSE (kW^2) on the 2010 windows that a model may be shipped with.
BARS = {"linear": 0.2140, "lstm-5-3": 0.2000}


@pytest.fixture(scope="module", params=NAMES)
def shipped(request: pytest.FixtureRequest) -> TflitePredictor:
    return load_model(MODELS / request.param)


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Clean:
    """The bundled week of 2010, which no model was trained on."""
    folder = tmp_path_factory.mktemp("week")
    header, *lines = gzip.decompress(sample_path().read_bytes()).decode().splitlines()
    table = uci.read(write_text(folder / "week.txt", lines, header=header))
    cleanfile.write(*clean.check(table), folder / "week.csv")
    return cleanfile.read(folder / "week.csv")


@pytest.fixture(scope="module")
def whole(whole_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Clean:
    path = tmp_path_factory.mktemp("whole") / "household.csv"
    cleanfile.write(*clean.check(uci.read(whole_set)), path)
    return cleanfile.read(path)


@pytest.fixture(scope="module")
def test_part(whole: Clean) -> Examples:
    return examples(whole.series, Task(), Split(), Part.TEST).whole()


def test_the_models_that_are_promised_are_there() -> None:
    assert BARS.keys() <= set(NAMES)
    assert default_model(MODELS) == "lstm-5-3"


def test_a_card_is_of_its_file(shipped: TflitePredictor) -> None:
    content = (MODELS / shipped.name / "model.tflite").read_bytes()
    assert hashlib.sha256(content).hexdigest() == shipped.card.sha256
    assert len(content) == shipped.card.bytes


def test_a_card_is_of_a_family_that_is_here(shipped: TflitePredictor) -> None:
    """It can be trained again: the family is known, and so are the hyper-parameters, and the count is right."""
    card = shipped.card
    family, hyper = find_model(card.name)
    assert card.family == family.name
    stated = {**card.hyper_parameters}
    measured = {"mean_kw", "scale_kw"}
    assert {key: value for key, value in stated.items() if key not in measured} == {
        key: value for key, value in hyper_fields(hyper).items() if key not in measured
    }
    assert (
        families()[card.family].build(Task(card.spec, shipped.lead_times_min), hyper).count_params() == card.parameters
    )


def test_parameters_are_as_promised() -> None:
    assert load_model(MODELS / "lstm-5-3").card.parameters == 252
    assert load_model(MODELS / "linear").card.parameters == 31


def test_a_card_was_trained_before_its_test(shipped: TflitePredictor) -> None:
    card = shipped.card
    assert (card.context, card.padding, card.lead_times_min, card.version) == (30, "oldest", [5], "1")
    assert Split.from_card(card.split) == Split()
    assert card.trained_on.last < card.split.train_until
    assert card.scores.model.n == card.scores.persistence.n == 456_953
    assert (round(card.scores.persistence.mse_kw2, 4), round(card.scores.persistence.mae_kw, 4)) == (0.2334, 0.2244)
    assert card.scores.model.mse_kw2 <= BARS[card.name]


def test_a_card_has_no_field_that_its_schema_does_not_know() -> None:
    for name in NAMES:
        fields = json.loads((MODELS / name / "card.json").read_text())
        assert fields.keys() <= ModelCard.model_fields.keys()


def test_a_file_asks_for_builtins_alone(shipped: TflitePredictor) -> None:
    from trainer.convert import check_builtins

    check_builtins((MODELS / shipped.name / "model.tflite").read_bytes())


def test_batches_agree(shipped: TflitePredictor, week: Clean) -> None:
    from trainer.convert import check_batches

    inputs = examples(week.series, Task(), Split(), Part.TEST).inputs(0, 600)
    assert check_batches(lambda windows: shipped.predict(windows).mean, inputs) <= 1e-5


def test_a_model_beats_persistence_on_the_bundled_week(shipped: TflitePredictor, week: Clean) -> None:
    found = examples(week.series, Task(), Split(), Part.TEST)
    assert len(found) > 9_000
    assert score(shipped, found).skill(score(Persistence(), found)) > 0.03


@pytest.mark.wholeset
def test_the_whole_set_is_all_there(whole: Clean) -> None:
    report = whole.report
    assert (report.n_minutes, report.n_missing) == (2_075_259, 25_979)
    assert (report.first, report.last) == ("2006-12-16T17:24:00Z", "2010-11-26T21:02:00Z")
    assert report.mean_kw == pytest.approx(1.0916150365, abs=1e-10)
    everything = [examples(whole.series, Task(), Split(), part).whole() for part in Part]
    lost = 2 * 5  # to the embargo at two ends
    assert sum(len(part) for part in everything) == 2_047_098 - lost


@pytest.mark.wholeset
def test_persistence_shows_that_the_split_is_right(test_part: Examples) -> None:
    found = score(Persistence(), test_part)
    assert found.n == 456_953
    assert (round(found.mse_kw2, 4), round(found.mae_kw, 4)) == (0.2334, 0.2244)


@pytest.mark.wholeset
def test_the_scores_on_a_card_come_out_again(shipped: TflitePredictor, test_part: Examples, whole: Clean) -> None:
    stated, found = shipped.card.scores, score(shipped, test_part)
    assert shipped.card.trained_on.sha256 == whole.report.sha256
    assert found.n == stated.model.n
    assert found.mse_kw2 == pytest.approx(stated.model.mse_kw2, abs=2e-6)
    assert found.mae_kw == pytest.approx(stated.model.mae_kw, abs=2e-6)
    assert found.skill(score(Persistence(), test_part)) == pytest.approx(stated.skill, abs=1e-5)


@pytest.mark.wholeset
def test_no_number_of_readings_is_worse_than_persistence(shipped: TflitePredictor, test_part: Examples) -> None:
    slice_of = test_part.take(np.arange(0, len(test_part), 9))
    naive = score(Persistence(), slice_of)
    skills = {n: score(shipped, slice_of, n_kept=n).skill(naive) for n in SHOWN}
    assert min(skills.values()) > 0.03, skills
