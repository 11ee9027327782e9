"""Training runs: their files, their end, and reproducibility."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapcast.core.windows.window import WindowSpec
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.data.windows import WindowTask, cut_examples
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.experiments.sections import Augment, Descent
from gapcast_trainer.git_commit import git_commit
from gapcast_trainer.training.run import RUN_FILE, WEIGHTS_FILE, Run, load_run
from tests.trainer import synthetic
from tests.trainer.synthetic import SPLIT

#: A short window: building the unrolled graph takes most of the time.
WINDOW = {"context": 8}
QUICK = synthetic.experiment("lstm", hyper={"units": [2]}, window=WINDOW, descent={"epochs": 4, "batch_size": 256})


@pytest.fixture(scope="module")
def fitted(small: CleanFile, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path, list[str]]:
    """A quick run of a small LSTM, its folder, and its notes."""
    from gapcast_trainer.training.fit import fit

    folder = tmp_path_factory.mktemp("fitted")
    notes: list[str] = []
    run = fit(QUICK, small, folder, show=notes.append)
    return run, folder, notes


def test_run_records_its_inputs(fitted: tuple[Run, Path, list[str]], small: CleanFile) -> None:
    run, folder, notes = fitted
    assert (run.name, run.experiment.family, run.status) == ("made-up", "lstm", "finished")
    assert run.experiment.hyper["units"] == [2]
    assert run.experiment.hyper["anchor"] == 0.7  # what the experiment left out is stated too
    assert (run.source_sha256, run.clean_sha256) == (small.report.sha256, small.sha256)
    train, validate = (
        cut_examples(small.series, WindowTask(WindowSpec(8)), SPLIT, part)
        for part in (SplitPart.TRAIN, SplitPart.VALIDATE)
    )
    assert (run.n_train, run.n_validate) == (len(train), len(validate))
    assert (run.train_first, run.train_last) == ("2020-01-01T00:01:00Z", "2020-01-04T17:59:00Z")
    assert run.versions.keys() == {"python", "keras", "tensorflow", "numpy"}
    assert notes[0] == f"epoch 1 of at most 4: {len(train):,} windows …"
    assert len(run.history) == len(notes[1:]) == 4
    assert sorted(path.name for path in folder.iterdir()) == [RUN_FILE, WEIGHTS_FILE]
    assert load_run(folder)[0] == run


def test_fit_measures_scales_on_the_training_part(fitted: tuple[Run, Path, list[str]], small: CleanFile) -> None:
    scale, kw = fitted[0].scale, small.series.gap_kw[:5_395]
    assert scale.mean_kw == pytest.approx(np.nanmean(kw), abs=1e-4)
    assert scale.scale_kw == pytest.approx(np.nanstd(kw), abs=1e-4)


def test_fit_lowers_the_error(fitted: tuple[Run, Path, list[str]], small: CleanFile) -> None:
    validate = cut_examples(small.series, WindowTask(), SPLIT, SplitPart.VALIDATE)
    naive = np.mean((validate.inputs()[:, -1] - validate.target_kw) ** 2)
    run = fitted[0]
    assert run.history[-1].train_loss < run.history[0].train_loss
    assert run.best is not None
    assert run.best.validate_mse_kw2 < naive
    assert run.persistence_mse_kw2 == pytest.approx(naive, rel=1e-5)


@pytest.mark.long
def test_fit_same_seed_gives_the_same_scores(
    fitted: tuple[Run, Path, list[str]], small: CleanFile, tmp_path: Path
) -> None:
    from gapcast_trainer.training.fit import fit

    again, other = (fit(QUICK.changed({"seed": seed}), small, tmp_path) for seed in (QUICK.seed, 2))
    assert again.history[-1].validate_loss == pytest.approx(fitted[0].history[-1].validate_loss, rel=5e-3)
    assert other.history[-1].validate_loss != again.history[-1].validate_loss


@pytest.mark.long
def test_fit_learns_quantiles_and_a_running_average(small: CleanFile, tmp_path: Path) -> None:
    """After a short descent more readings are below the upper quantile than below the lower one."""
    from gapcast_trainer.families import find_family
    from gapcast_trainer.training.fit import fit

    outputs = {"lead_times_min": [1, 5], "quantile_levels": [0.1, 0.5, 0.9]}
    experiment = synthetic.experiment(
        "linear", outputs=outputs, descent={"epochs": 3, "batch_size": 256, "average": 0.9}
    )
    run = fit(experiment, small, tmp_path)
    family, hyper = find_family(run.experiment.family, run.experiment.hyper)
    model = family.build(run.design, hyper)
    model.set_weights(load_run(tmp_path)[1])
    test = cut_examples(small.series, run.design.task, SPLIT, SplitPart.TEST).whole()
    quantiles = np.asarray(model(test.inputs())["quantiles"])
    below = (test.target_kw[:, :, np.newaxis] <= quantiles).mean(axis=(0, 1))
    assert below[0] < below[1] < below[2]
    assert 0.6 < below[2] - below[0] < 0.98


def test_fit_model_without_weights(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.training.fit import fit

    run = fit(synthetic.experiment("trend"), small, tmp_path)
    assert (run.status, run.history, run.best) == ("finished", (), None)
    assert load_run(tmp_path)[0] == run


def test_fit_ignores_minutes_before_the_first(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.training.fit import fit

    run = fit(synthetic.experiment("trend", data={"first": "2020-01-02T00:00:00Z"}), small, tmp_path)
    assert run.train_first == "2020-01-02T00:01:00Z"


class FakeModel:
    """Replaces a Keras model: epochs end with the errors that the test gives."""

    def __init__(self, errors: list[float], end: type[BaseException] | None = None) -> None:
        self.errors = errors
        self.end = end
        self.weights = [np.array([-1.0])]
        self.stop_training = False
        self.output_names = ["mean"]
        self.optimizer = self
        self.trainable_variables: list[object] = []

    def compile(self, *_: object, **__: object) -> None:
        pass

    __call__ = build = compute_loss = compute_metrics = reset_metrics = compile

    def fit(self, _: object, *, callbacks: list[Any], **__: object) -> None:
        callbacks[0].set_model(self)
        for epoch, error in enumerate(self.errors):
            self.weights = [np.array([float(epoch + 1)])]
            callbacks[0].on_test_end()
            callbacks[0].on_epoch_end(epoch, {"loss": 9.0, "val_loss": error, "val_mse_kw2": error})
            if self.stop_training:
                return
        if self.end is not None:
            raise self.end

    def get_weights(self) -> list[np.ndarray]:
        return self.weights

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.weights = weights


def test_step_after_create_state_is_traced_once() -> None:
    import keras

    from gapcast_trainer.training.descent.compiled_state import create_state

    traced: list[object] = []

    def loss(target: Any, output: Any) -> Any:
        traced.append(output)
        return keras.ops.square(target - output)

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("adam", loss, metrics=["mae"], jit_compile=False)
    x = np.ones((64, 3), np.float32)
    create_state(model, x, x[:, :1])
    traced.clear()
    history = model.fit(x, x[:, :1], batch_size=16, epochs=2, verbose=0).history
    assert len(traced) == 1
    assert history["loss"][1] < history["loss"][0]


def descend_as(small: CleanFile, model: FakeModel, patience: int = 3) -> tuple[str, list[int]]:
    """Run a descent over ``model``; return how it ended, and the best epoch after each."""
    from gapcast_trainer.families.parts.base import Design
    from gapcast_trainer.training.descent.gradient_descent import descend

    train, validate = (
        cut_examples(small.series, WindowTask(WindowSpec(8)), SPLIT, part)
        for part in (SplitPart.TRAIN, SplitPart.VALIDATE)
    )
    best: list[int] = []
    experiment = synthetic.experiment("lstm", window=WINDOW, descent={"patience": patience, "epochs": 20})
    how = descend(
        model,
        train,
        validate,
        Design(WindowTask()),
        experiment,
        on_epoch=lambda p: best.append(p.best_epoch),
        progress=False,
    )
    return how, best


def test_descend_keeps_the_best_weights_until_patience_ends(small: CleanFile) -> None:
    model = FakeModel([5.0, 3.0, 4.0, 3.5, 3.0, 2.0])
    assert descend_as(small, model) == ("stopped early", [1, 2, 2, 2, 2])
    assert model.weights == [np.array([2.0])]


def test_descend_nan_error_is_never_the_best(small: CleanFile) -> None:
    model = FakeModel([5.0, float("nan")])
    assert descend_as(small, model) == ("finished", [1, 1])
    assert model.weights == [np.array([1.0])]
    with pytest.raises(RunError, match=r"not a number from the first epoch on: lower descent\.learning_rate"):
        descend_as(small, FakeModel([float("nan"), 1.0]))


def test_descend_ctrl_c_keeps_the_best(small: CleanFile) -> None:
    model = FakeModel([3.0, 4.0], end=KeyboardInterrupt)
    assert descend_as(small, model) == ("interrupted", [1, 1])
    assert model.weights == [np.array([1.0])]
    with pytest.raises(KeyboardInterrupt):
        descend_as(small, FakeModel([], end=KeyboardInterrupt))


def test_batches_shorten_a_share_and_have_each_example_once(small: CleanFile) -> None:
    from gapcast_trainer.training_data.batches import Batches, BatchOptions

    found = cut_examples(small.series, WindowTask(), SPLIT, SplitPart.TRAIN).whole()
    batches = Batches(found, BatchOptions(512, Augment(), 1, redraw=True))
    first = [batches[k] for k in range(len(batches))]
    targets = np.concatenate([target["mean"][:, 0] for _, target, _ in first])
    assert sorted(targets) == sorted(found.target_kw[:, 0])
    assert (targets != found.target_kw[:, 0]).any()  # in another order
    assert all((weights["mean"] == np.ones(len(target["mean"]))).all() for _, target, weights in first)
    windows = np.concatenate([window[:, :, 0] for window, _, _ in first])
    flat = (windows == windows[:, :1]).cumprod(axis=1).sum(axis=1)  # minutes from the oldest on that are the same
    assert 0.40 < np.mean(flat > 3) < 0.60
    batches.on_epoch_end()
    assert not np.array_equal(batches[0][0], first[0][0])
    still = Batches(found, BatchOptions(512, Augment(), 1, redraw=False))
    before = still[1]
    still.on_epoch_end()
    np.testing.assert_array_equal(still[1][0], before[0])
    np.testing.assert_array_equal(before[1]["mean"], found.target_kw[512:1024])


def test_batches_scale_a_share_of_windows_and_targets(small: CleanFile) -> None:
    from gapcast_trainer.training_data.batches import Batches, BatchOptions

    task = WindowTask(features=("gap_kw", "voltage_v", "tod_sin"))
    found = cut_examples(small.series, task, SPLIT, SplitPart.TRAIN)
    augments = Augment(short_share=0.0, scaled_share=0.3, scaled_sigma=0.5)
    plain, scaled = (
        Batches(found, BatchOptions(10_000, augment, 1, redraw=True, outputs=("mean", "quantiles")))[0]
        for augment in (augments.model_copy(update={"scaled_share": 0.0}), augments)
    )
    factor = scaled[2]["quantiles"] ** -1.0
    assert 0.25 < np.mean(factor != 1) < 0.35
    assert np.std(np.log(factor[factor != 1])) == pytest.approx(0.5, rel=0.1)
    np.testing.assert_allclose(scaled[0][:, :, 0], plain[0][:, :, 0] * factor[:, np.newaxis], rtol=1e-5)
    np.testing.assert_array_equal(scaled[0][:, :, 1:], plain[0][:, :, 1:])
    for output, order in (("mean", 2), ("quantiles", 1)):
        np.testing.assert_allclose(scaled[1][output], plain[1][output] * factor[:, np.newaxis], rtol=1e-5)
        np.testing.assert_allclose(scaled[2][output], factor**-order, rtol=1e-5)
    judged = Batches(found, BatchOptions(512, augments, 1, redraw=False))[0]
    np.testing.assert_array_equal(judged[0][:, :, 0], found.inputs(0, 512)[:, :, 0])
    np.testing.assert_array_equal(judged[2]["mean"], np.ones(512))


def test_batches_of_every_third_window_rotate(small: CleanFile) -> None:
    from gapcast_trainer.training_data.batches import Batches, BatchOptions

    found = cut_examples(small.series, WindowTask(), SPLIT, SplitPart.TRAIN)
    options = BatchOptions(10_000, Augment(), 1, redraw=True, every=3, outputs=("mean", "quantiles"))
    batches = Batches(found, options)
    assert len(batches) == 1
    _, first, weights = batches[0]
    assert first.keys() == weights.keys() == {"mean", "quantiles"}
    assert len(first["mean"]) == len(weights["mean"]) == len(weights["quantiles"]) == -(-len(found) // 3)
    batches.on_epoch_end()
    assert not np.array_equal(batches[0][1]["mean"], first["mean"])


@pytest.mark.parametrize("law", ["uniform", "log"])
def test_augment_draws_lengths_by_their_law(law: str) -> None:
    kept, share = Augment(short_share=0.4, short_law=law).lengths(180)
    assert (kept[0], kept[-1], share.sum()) == (2, 180, pytest.approx(1))
    assert share[-1] == pytest.approx(0.6, abs=0.01)
    few = share[kept <= 18].sum()
    assert few == pytest.approx(0.4 * 17 / 179) if law == "uniform" else few > 0.15


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [("constant", (0.1, 0.1, 0.1)), ("cosine", (0.1, 0.0505, 0.001)), ("exponential", (0.1, 0.01, 0.001))],
)
def test_learning_rate_schedule(schedule: str, rates: tuple[float, ...]) -> None:
    from gapcast_trainer.training.descent.optimiser import LearningRate

    keys = {"schedule": schedule, "learning_rate": 0.1, "last_learning_rate": 0.001}
    rate = LearningRate(Descent.model_validate(keys), 1_000)
    assert [float(rate(step)) for step in (0, 500, 1_000)] == pytest.approx(rates, rel=1e-4)
    warmed = LearningRate(Descent.model_validate(keys | {"warm_up_steps": 100}), 1_000)
    assert float(warmed(0)) == pytest.approx(rates[0] / 100, rel=1e-4)
    assert float(warmed(500)) == pytest.approx(rates[1], rel=1e-4)


@pytest.mark.long
@pytest.mark.parametrize(
    ("family", "hyper", "optimiser"),
    [
        ("lstm", {"units": [2], "dropout": 0.1, "l2": 1e-5, "from_last": False}, "adam"),
        ("linear", {}, "adamw"),  # its graph is built in a third of the time
        ("linear", {}, "sgd"),
    ],
)
def test_optimisers_learn(family: str, hyper: dict[str, Any], optimiser: str, small: CleanFile, tmp_path: Path) -> None:
    """Of the linear model, the quantiles are learned."""
    from gapcast_trainer.training.fit import fit

    descent = {"optimiser": optimiser, "epochs": 2, "batch_size": 512, "weight_decay": 1e-4, "learning_rate": 0.02}
    outputs = {"quantile_levels": [0.1, 0.5, 0.9]} if family == "linear" else {}
    experiment = synthetic.experiment(family, hyper=hyper, window=WINDOW, descent=descent, outputs=outputs)
    run = fit(experiment, small, tmp_path)
    assert run.history[1].train_loss < run.history[0].train_loss


@pytest.fixture
def spoiled(linear_run: Path, tmp_path: Path) -> Path:
    for path in linear_run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_load_run_without_a_run_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"contains no run\.json of a training run"):
        load_run(tmp_path)


def test_load_run_without_weights_is_rejected(spoiled: Path) -> None:
    (spoiled / WEIGHTS_FILE).unlink()
    with pytest.raises(RunError, match="has no weights yet"):
        load_run(spoiled)


def test_load_run_weights_of_another_run_are_rejected(spoiled: Path) -> None:
    with (spoiled / WEIGHTS_FILE).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(RunError, match=r"is not what run\.json describes"):
        load_run(spoiled)


@pytest.mark.parametrize("content", ["", "[]", '{"name": "x"}'])
def test_load_run_invalid_file_is_rejected(spoiled: Path, content: str) -> None:
    (spoiled / RUN_FILE).write_text(content)
    with pytest.raises(RunError, match=r"run\.json: "):
        load_run(spoiled)


def test_fit_unknown_hyper_parameter_is_rejected(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.training.fit import fit

    with pytest.raises(RunError, match=r"hyper\.speed: "):
        fit(synthetic.experiment("linear", hyper={"speed": 3}), small, tmp_path)
    assert not list(tmp_path.iterdir())


def test_fit_missing_feature_is_rejected(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.training.fit import fit

    lacking = replace(small, series=replace(small.series, extra={}))
    experiment = synthetic.experiment("linear", window={"features": ["gap_kw", "voltage_v"]})
    with pytest.raises(RunError, match="the clean file has no voltage_v, which the model needs"):
        fit(experiment, lacking, tmp_path)


def test_fit_split_without_windows_is_rejected(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.training.fit import fit

    error = "no window to train on: the file has none observed from the beginning to 2009-06-30T23:55:00Z"
    experiment = Experiment(name="early", family="linear").changed({"data.train_until": "2009-07-01"})
    with pytest.raises(RunError, match=error):
        fit(experiment, small, tmp_path)


def test_fit_less_than_a_day_of_readings_is_rejected(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.training.fit import fit

    hour = replace(small, series=replace(small.series, gap_kw=small.series.gap_kw[:33], extra={}, filled=None))
    experiment = Experiment(name="short", family="linear").with_dates(hour)
    with pytest.raises(RunError, match=r"^no window to validate on: the readings span 33 min: use at least a day of"):
        fit(experiment, hour, tmp_path)


def test_git_commit_of_this_code_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, str | None] = {"ls-files": "git_commit.py", "rev-parse": "a" * 40, "status": ""}
    monkeypatch.setattr("gapcast_trainer.git_commit._git", lambda *command: answers[command[0]])
    assert git_commit() == "a" * 40
    answers["status"] = " M trainer/gapcast_trainer/training/run.py"
    assert git_commit() == "a" * 40 + "-dirty"
    answers["rev-parse"] = None
    assert git_commit() == "unknown"
    answers |= {"rev-parse": "b" * 40, "ls-files": None}  # installed within another project's checkout
    assert git_commit() == "unknown"
