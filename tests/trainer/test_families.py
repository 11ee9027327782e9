"""The contract of every model family; families are found by themselves."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.predictor import Prediction
from gapcast.core.windows.window import Padding, WindowSpec
from gapcast.predictors.models_folder.store import load_model
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.data.windows import Examples, WindowTask, cut_examples
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment_files import find_experiment, shipped_names
from gapcast_trainer.experiments.sections import Augment
from gapcast_trainer.families import families, find_family
from gapcast_trainer.families.parts.base import Design, Scale
from tests.support.optional_tools import ROOT
from tests.trainer.synthetic import SPLIT

FAMILIES = families()
#: Families whose only input is a window; tests/trainer/outlook has the contract of the others.
OF_WINDOWS = sorted(name for name, family in FAMILIES.items() if not family.takes_history)
SCALE = Scale(0.9, 0.7)
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
KINDS = ("mean", "all", "measured")


def design_of(kind: str, context: int = 12) -> Design:
    """The least that is asked of a family, or all of it: several lead times, the clock, quantiles."""
    spec = WindowSpec(context)
    if kind == "mean":
        return Design(WindowTask(spec, (5,)), None, SCALE)
    if kind == "all":
        return Design(WindowTask(spec, (1, 5), ("gap_kw", "tod_sin", "tod_cos")), LEVELS, SCALE)
    return Design(WindowTask(spec, (5,), ("gap_kw", "voltage_v", "dow_sin", "dow_cos")), (0.1, 0.5), SCALE)


#: Hyper-parameters that suit a window of 12 minutes, where a family's own do not.
SMALL: dict[str, dict[str, Any]] = {
    "multiscale": {
        "near_min": 4,
        "near_fold": 2,
        "near_units": [3, 3],
        "step_min": 2,
        "far_fold": 2,
        "far_units": 3,
        "far_least": True,
        "far_dense": True,
        "fine_kw": 0.1,
        "lags": 11,
        "wide": 4,
        "relative": 3,
    },
    "lstm": {"units": [3, 2], "filters": 2, "dense": 3},
}
#: Each minute is one more copy of an LSTM's cells in the graph; four are enough for a convolution of three.
CONTEXT = {"lstm": 4}


def examples_of(small: CleanFile, design: Design) -> Examples:
    return cut_examples(small.series, design.task, SPLIT, SplitPart.TRAIN)


@pytest.fixture(scope="module", params=[(name, kind) for name in OF_WINDOWS for kind in KINDS], ids="-".join)
def built(request: pytest.FixtureRequest, small: CleanFile) -> tuple[Design, Any, bytes, Examples]:
    """A family's design, untrained model, converted file, and examples."""
    import keras

    from gapcast_trainer.tflite.convert import convert

    keras.utils.set_random_seed(3)
    name, kind = request.param
    design = design_of(kind, CONTEXT.get(name, 12))
    family, hyper = find_family(name, SMALL.get(name, {}))
    model, train = family.build(design, hyper), examples_of(small, design)
    if family.solve is not None:
        family.solve(model, train, design, hyper, Augment(), progress=False)
    return design, model, convert(model), train


class File:
    """A converted file behind the names and the shapes that the edge asks for."""

    def __init__(self, content: bytes, design: Design) -> None:
        from gapcast.predictors.tflite.tflite import TflitePredictor
        from tests.trainer.cards import card_for

        self.predictor = TflitePredictor(content, card_for(content, design.task, design.quantile_levels))

    def __call__(self, windows: F32) -> Prediction:
        return self.predictor.predict(windows)


def test_family_is_found_by_its_name() -> None:
    assert {"linear", "lstm", "multiscale", "persistence", "trend"} <= FAMILIES.keys()
    assert all(family.name == name for name, family in FAMILIES.items())


def test_family_unknown_lists_the_known_ones() -> None:
    with pytest.raises(RunError, match="there is no family gpt: there are linear, lstm, multiscale"):
        find_family("gpt", {})


def test_family_unknown_hyper_parameter_is_named() -> None:
    with pytest.raises(RunError, match=r"hyper\.speed: there is no such key; possible are ridge"):
        find_family("linear", {"speed": 3})


def test_family_file_has_the_edges_interface(built: tuple[Design, Any, bytes, Examples]) -> None:
    """Input ``window``, outputs ``mean`` [N, K] and ``quantiles`` [N, K, Q], builtins alone; all batches agree."""
    from gapcast_trainer.tflite.convert import check_batches, check_builtins, check_parity

    design, model, content, train = built
    predict, windows = File(content, design), train.inputs(0, 300)
    check_builtins(content)
    found = predict(windows)
    n_leads, levels = len(design.task.lead_times_min), design.quantile_levels
    assert found.mean.shape == (300, n_leads)
    assert (found.quantiles is None) == (levels is None)
    if levels is not None and found.quantiles is not None:
        assert found.quantiles.shape == (300, n_leads, len(levels))
    assert check_parity(predict, model, windows) <= 1e-5
    assert check_batches(predict, windows) <= 1e-5


def test_family_of_the_documentation_has_the_edges_interface(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.tflite.convert import check_batches, check_builtins, check_parity, convert

    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"in `recent_mean\.py`:\n\n```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "recent_mean.py").write_text(code, encoding="utf-8")
    namespace = runpy.run_path(str(tmp_path / "recent_mean.py"))
    design, family = design_of("all"), namespace["FAMILY"]
    model = family.build(design, family.hyper())
    content, windows = convert(model), examples_of(small, design).inputs(0, 50)
    check_builtins(content)
    predict = File(content, design)
    newest_kw = windows[:, -3:, :1].mean(axis=1)
    np.testing.assert_allclose(predict(windows).mean, np.repeat(newest_kw, 2, axis=1), rtol=0, atol=1e-5)
    assert check_parity(predict, model, windows) <= 1e-5
    assert check_batches(predict, windows) <= 1e-5


@pytest.mark.long
def test_keras_model_of_the_documentation_is_a_model_of_the_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"for a Keras model.*?\n\n```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    readings_w = keras.Input((30, 1))
    keras.Model(readings_w, keras.layers.GlobalAveragePooling1D()(readings_w)).save("own.keras")
    Path("meter.csv").write_text("time,power_w\n", encoding="utf-8")
    Path("make_own.py").write_text(code, encoding="utf-8")
    runpy.run_path("make_own.py")
    model = load_model(Path("models/own"))
    windows = np.linspace(0.2, 4, 60, dtype=np.float32).reshape(2, 30, 1)
    np.testing.assert_allclose(model.predict(windows).mean, windows.mean(axis=1), rtol=1e-5)


def test_family_scales_within_its_graph(built: tuple[Design, Any, bytes, Examples]) -> None:
    """Physical units in, kW out: forecasts lie about the last reading, not about zero."""
    design, _, content, train = built
    windows = train.inputs(0, 300)
    far = File(content, design)(windows).mean - windows[:, -1, :1]
    assert np.abs(np.median(far)) < 1.5


def test_family_any_accepted_reading_gives_finite_quantiles(
    built: tuple[Design, Any, bytes, Examples],
) -> None:
    design, _, content, train = built
    random = np.random.default_rng(5)
    windows = np.repeat(train.inputs(0, 1), 256, axis=0)
    windows[:, :, 0] = random.choice([-100, -1, 0, 0.001, 1, 100], windows.shape[:2])
    found = File(content, design)(windows)
    assert np.isfinite(found.mean).all()
    if found.quantiles is not None:
        assert np.isfinite(found.quantiles).all()
        assert (np.diff(found.quantiles, axis=2) >= -1e-4).all()


def test_family_uses_other_features(small: CleanFile) -> None:
    """Another voltage in the window gives another forecast if the family uses it; another level does not."""
    design = design_of("measured", CONTEXT["lstm"])
    family, hyper = find_family("lstm", SMALL["lstm"])
    model = family.build(design, hyper)
    windows = examples_of(small, design).inputs(0, 50)
    moved, raised = windows.copy(), windows.copy()
    moved[:, 3, 1] += 5
    raised[:, :, 1] += 5
    before = np.asarray(model(windows)["mean"])
    assert np.abs(np.asarray(model(moved)["mean"]) - before).max() > 1e-6
    np.testing.assert_allclose(np.asarray(model(raised)["mean"]), before, atol=1e-3)


@pytest.mark.parametrize(("name", "n"), [("lstm-5-3", 252), ("lstm-16-8", 1_961)])
def test_family_study_models_parameter_counts(name: str, n: int) -> None:
    experiment = find_experiment(name)
    family, hyper = find_family(experiment.family, experiment.hyper)
    model = family.build(Design(experiment.task(), experiment.outputs.quantile_levels, SCALE), hyper)
    mean_only = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert mean_only == n


def test_family_builds_every_shipped_experiment() -> None:
    for name in shipped_names():
        experiment = find_experiment(name)
        family, hyper = find_family(experiment.family, experiment.hyper)
        assert (
            family.build(Design(experiment.task(), experiment.outputs.quantile_levels, SCALE), hyper).count_params() > 0
        )


def test_family_context_not_divisible_into_steps_is_rejected() -> None:
    family, hyper = find_family("multiscale", {"near_min": 30, "step_min": 7})
    with pytest.raises(RunError, match="must be whole blocks of step_min x far_fold = 7 min, not 150 min"):
        family.build(Design(WindowTask(WindowSpec(180))), hyper)


@pytest.mark.parametrize(
    ("hyper", "error"),
    [
        ({"near_min": 30, "near_fold": 4}, "near_min (30) must be whole folds of near_fold (4) minutes"),
        ({"far_units": 8}, "far_units must be 0 or near_units[0] (32)"),
    ],
)
def test_family_inconsistent_scales_are_rejected(hyper: dict[str, Any], error: str) -> None:
    with pytest.raises(RunError, match=f"^hyper: {re.escape(error)}"):
        find_family("multiscale", hyper)


def test_family_closed_gates_leave_persistence() -> None:
    """A model whose gates are closed, and whose relative expert expects no change, forecasts the last reading."""
    import keras

    keras.utils.set_random_seed(3)
    family, hyper = find_family("multiscale", SMALL["multiscale"])
    model, random = family.build(design_of("all"), hyper), np.random.default_rng(1)
    model.set_weights([random.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    window = random.gamma(1.0, 1.0, (64, 12, 3)).astype(np.float32)
    assert np.abs(np.asarray(model(window)["mean"]) - window[:, -1, :1]).max() > 0.1
    for name, bias in (("gates", -100.0), ("relative_columns", 0.0)):
        weights = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([0 * weights[0], 0 * weights[1] + bias])
    np.testing.assert_allclose(np.asarray(model(window)["mean"]), np.repeat(window[:, -1, :1], 2, 1), atol=1e-5)


def test_family_trend_equals_the_edges(small: CleanFile) -> None:
    from gapcast.predictors.baselines import Trend

    design = Design(WindowTask(WindowSpec(12), (1, 5)), None, SCALE)
    family, hyper = find_family("trend", {})
    windows = examples_of(small, design).inputs(0, 200)
    expected = Trend(design.task.window, design.task.lead_times_min).predict(windows).mean
    np.testing.assert_allclose(np.asarray(family.build(design, hyper)(windows)["mean"]), expected, atol=1e-4)


def test_family_trend_with_forgetting_follows_the_newest() -> None:
    from gapcast_trainer.families.trend import line_weights

    bent = np.concatenate((np.zeros(10), np.arange(5.0)))
    ahead = [float(bent @ line_weights(15, (5,), forgetting)[:, 0]) for forgetting in (1.0, 0.8, 0.3)]
    assert ahead[0] < ahead[1] < ahead[2]
    assert ahead[2] == pytest.approx(9.0, abs=0.7)


@pytest.mark.parametrize("padding", ["oldest", "zero"])
@pytest.mark.parametrize("short_share", [0.0, 0.5])
def test_family_linear_equals_least_squares(small: CleanFile, padding: Padding, short_share: float) -> None:
    """The solution by moments equals a plain solver's on windows that are really shortened."""
    from gapcast_trainer.data.windows import shorten

    task = WindowTask(WindowSpec(6, padding))
    train = cut_examples(small.series, task, SPLIT, SplitPart.TRAIN).select(np.arange(500))
    family, hyper = find_family("linear", {"ridge": 0.0})
    design = Design(task, None, SCALE)
    model = family.build(design, hyper)
    assert family.solve is not None
    family.solve(model, train, design, hyper, Augment(short_share=short_share), progress=False)

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
