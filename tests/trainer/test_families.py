"""What every family must do, known or yet to come: each is found by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.core.window import F32, WindowSpec
from tests.trainer.synthetic import SPLIT
from trainer.cleanfile import Clean
from trainer.errors import RunError
from trainer.families import families, find_model
from trainer.split import Part
from trainer.windows import Examples, Task, examples

FAMILIES = families()
TASK = Task(WindowSpec(12), lead_times_min=(1, 5))


@pytest.fixture(scope="module")
def train(small: Clean) -> Examples:
    return examples(small.series, TASK, SPLIT, Part.TRAIN)


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def built(request: pytest.FixtureRequest, train: Examples) -> tuple[object, object, bytes]:
    """A family, its model with weights as they come, and the file it converts to."""
    import keras

    from trainer.convert import convert

    keras.utils.set_random_seed(3)
    family = FAMILIES[request.param]
    hyper = replace(next(iter(family.models.values())), mean_kw=0.9, scale_kw=0.7)
    model = family.build(TASK, hyper)
    if family.solve is not None:
        family.solve(model, train, hyper, progress=False)
    return family, model, convert(model)


class File:
    """A converted file behind the names and the shape that the edge asks for."""

    def __init__(self, content: bytes) -> None:
        from edge.predictors.tflite import TflitePredictor
        from tests.trainer.cards import card_for

        self.predictor = TflitePredictor(content, card_for(content, TASK))

    def __call__(self, windows: F32) -> F32:
        return self.predictor.predict(windows).mean


def test_a_family_names_its_models() -> None:
    assert {"linear", "lstm"} <= FAMILIES.keys()
    for name, family in FAMILIES.items():
        assert family.name == name
        assert family.models
        for model, hyper in family.models.items():
            assert type(hyper) is family.hyper
            assert find_model(model) == (family, hyper)


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(RunError, match="no model is called gpt: there are linear, lstm-5-3"):
        find_model("gpt")


def test_a_file_of_every_family_is_what_the_edge_asks_for(built: tuple[object, object, bytes], train: Examples) -> None:
    """Input ``window``, output ``mean`` [N, K], builtins alone; Keras and every batch size agree."""
    from trainer.convert import check_batches, check_builtins, check_parity

    _, model, content = built
    mean, windows = File(content), train.inputs(0, 300)
    check_builtins(content)
    assert mean(windows).shape == (300, 2)
    assert check_parity(mean, model, windows) <= 1e-5
    assert check_batches(mean, windows) <= 1e-5


def test_a_family_scales_within_its_graph(built: tuple[object, object, bytes], train: Examples) -> None:
    """Raw kW in, raw kW out: forecasts lie about the last reading, not about zero."""
    windows = train.inputs(0, 300)
    far = File(built[2])(windows) - windows[:, -1]
    assert np.abs(np.median(far)) < 1.5


def test_a_family_gives_a_number_for_any_reading_the_edge_accepts(built: tuple[object, object, bytes]) -> None:
    random = np.random.default_rng(5)
    windows = random.choice([-100, -1, 0, 0.001, 1, 100], (256, 12, 1)).astype(np.float32)
    assert np.isfinite(File(built[2])(windows)).all()


def test_an_lstm_of_5_and_3_units_has_252_parameters() -> None:
    family, hyper = find_model("lstm-5-3")
    model = family.build(Task(), hyper)
    assert model.count_params() == 252
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == 252


def test_a_linear_model_has_one_weight_a_lag_and_a_constant() -> None:
    family, hyper = find_model("linear")
    assert family.build(Task(), hyper).count_params() == 31


@pytest.mark.parametrize("padding", ["oldest", "zero"])
@pytest.mark.parametrize("short_share", [0.0, 0.5])
def test_the_linear_model_is_least_squares_over_whole_and_short_windows(
    small: Clean, padding: str, short_share: float
) -> None:
    """Solved by moments, it is what a plain solver finds on windows that were really shortened."""
    from trainer.windows import shorten

    task = Task(WindowSpec(6, padding))  # type: ignore[arg-type]
    train = examples(small.series, task, SPLIT, Part.TRAIN).take(np.arange(500))
    family, hyper = find_model("linear")
    hyper = replace(hyper, mean_kw=0.9, scale_kw=0.7, short_share=short_share, ridge=0.0)  # type: ignore[call-arg]
    model = family.build(task, hyper)
    assert family.solve is not None
    family.solve(model, train, hyper, progress=False)

    x, y, weight = [], [], []
    for kept in range(2, 7):
        short = shorten(train.inputs(), kept, task.window)[:, :, 0].astype(np.float64)
        x.append(np.column_stack((short, np.ones(len(short)))))
        y.append(train.target_kw[:, 0] - short[:, -1])
        share = short_share / 5 + (1 - short_share) * (kept == 6)
        weight.append(np.full(len(short), np.sqrt(share)))
    w = np.concatenate(weight)
    best, *_ = np.linalg.lstsq(np.concatenate(x) * w[:, None], np.concatenate(y) * w)
    windows = train.inputs()
    expected = windows[:, -1, 0] + np.column_stack((windows[:, :, 0], np.ones(len(windows)))) @ best
    found = np.asarray(model(windows)["mean"])[:, 0]
    np.testing.assert_allclose(found, expected, atol=2e-4)
