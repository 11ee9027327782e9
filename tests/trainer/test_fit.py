"""Training runs: what they keep, how they end, and that they come out the same again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.synthetic import SPLIT
from trainer.cleanfile import Clean
from trainer.errors import RunError
from trainer.run import RUN_FILE, WEIGHTS_FILE, Run, git_commit, load_run
from trainer.split import Part, Split
from trainer.windows import Task, examples

QUICK = {"epochs": 2, "batch_size": 512, "units": (2,)}


@pytest.fixture(scope="module")
def fitted(small: Clean, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path, list[str]]:
    """A quick run of a small LSTM, its folder, and what was said."""
    from trainer.fit import fit

    folder, said = tmp_path_factory.mktemp("fitted"), []
    run = fit("lstm-5-3", small, folder, split=SPLIT, changes=QUICK, note=said.append)
    return run, folder, said


def test_a_run_says_all_that_made_it(fitted: tuple[Run, Path, list[str]], small: Clean) -> None:
    run, folder, said = fitted
    assert (run.name, run.family, run.status) == ("lstm-5-3", "lstm", "finished")
    assert run.hyper["units"] == [2]
    assert (run.source_sha256, run.clean_sha256) == (small.report.sha256, small.sha256)
    train, validate = (examples(small.series, Task(), SPLIT, part) for part in (Part.TRAIN, Part.VALIDATE))
    assert (run.n_train, run.n_validate) == (len(train), len(validate))
    assert (run.train_first, run.train_last) == ("2020-01-01T00:00:00Z", "2020-01-04T17:59:00Z")
    assert run.versions.keys() == {"python", "keras", "tensorflow", "numpy"}
    assert len(run.history) == len(said) == 2
    assert sorted(path.name for path in folder.iterdir()) == [RUN_FILE, WEIGHTS_FILE]
    assert load_run(folder)[0] == run


def test_scales_are_measured_on_the_training_part_alone(fitted: tuple[Run, Path, list[str]], small: Clean) -> None:
    run, kw = fitted[0], small.series.gap_kw[:5_395]
    assert run.hyper["mean_kw"] == pytest.approx(np.nanmean(kw), abs=1e-4)
    assert run.hyper["scale_kw"] == pytest.approx(np.nanstd(kw), abs=1e-4)


def test_training_lowers_the_error(fitted: tuple[Run, Path, list[str]], small: Clean) -> None:
    validate = examples(small.series, Task(), SPLIT, Part.VALIDATE)
    naive = np.mean((validate.inputs()[:, -1] - validate.target_kw) ** 2)
    run = fitted[0]
    assert run.history[1].train_mse_kw2 < run.history[0].train_mse_kw2
    assert run.validate_mse_kw2 is not None
    assert run.validate_mse_kw2 < naive


def test_the_same_seed_gives_the_same_scores(fitted: tuple[Run, Path, list[str]], small: Clean, tmp_path: Path) -> None:
    from trainer.fit import fit

    again = fit("lstm-5-3", small, tmp_path, split=SPLIT, changes=QUICK)
    assert again.validate_mse_kw2 == pytest.approx(fitted[0].validate_mse_kw2, rel=5e-3)
    other = fit("lstm-5-3", small, tmp_path, split=SPLIT, changes=QUICK | {"seed": 2})
    assert other.validate_mse_kw2 != again.validate_mse_kw2


class Told:
    """Stands in for Keras: epochs end with the errors that the test gives."""

    def __init__(self, errors: list[float], end: type[BaseException] | None = None) -> None:
        self.errors = errors
        self.end = end
        self.weights = [np.array([-1.0])]
        self.stop_training = False

    def compile(self, *_: object, **__: object) -> None:
        pass

    def fit(self, _: object, *, callbacks: list[Any], **__: object) -> None:
        callbacks[0].set_model(self)
        for epoch, error in enumerate(self.errors):
            self.weights = [np.array([float(epoch + 1)])]
            callbacks[0].on_epoch_end(epoch, {"loss": 9.0, "val_loss": error})
            if self.stop_training:
                return
        if self.end is not None:
            raise self.end

    def get_weights(self) -> list[np.ndarray]:
        return self.weights

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.weights = weights


def descend_as(small: Clean, model: Told, patience: int = 3) -> tuple[str, list[int]]:
    """Run a descent over ``model``; return how it ended, and the best epoch after each."""
    from trainer.descend import descend
    from trainer.families.base import Descent

    train, validate = (examples(small.series, Task(), SPLIT, part) for part in (Part.TRAIN, Part.VALIDATE))
    best: list[int] = []
    hyper = Descent(patience=patience, epochs=20)
    return descend(model, train, validate, hyper, keep=lambda p: best.append(p.best_epoch), progress=False), best


def test_the_best_weights_win_and_patience_ends(small: Clean) -> None:
    model = Told([5.0, 3.0, 4.0, 3.5, 3.0, 2.0])
    assert descend_as(small, model) == ("stopped early", [1, 2, 2, 2, 2])
    assert model.weights == [np.array([2.0])]


def test_an_error_that_is_no_number_is_never_the_best(small: Clean) -> None:
    model = Told([5.0, float("nan")])
    assert descend_as(small, model) == ("finished", [1, 1])
    assert model.weights == [np.array([1.0])]
    with pytest.raises(RunError, match="not a number from the first epoch on: lower learning_rate"):
        descend_as(small, Told([float("nan"), 1.0]))


def test_ctrl_c_keeps_the_best(small: Clean) -> None:
    model = Told([3.0, 4.0], end=KeyboardInterrupt)
    assert descend_as(small, model) == ("interrupted", [1, 1])
    assert model.weights == [np.array([1.0])]
    with pytest.raises(KeyboardInterrupt):
        descend_as(small, Told([], end=KeyboardInterrupt))


def test_batches_shorten_their_share_and_hold_every_example_once(small: Clean) -> None:
    from trainer.feed import Batches

    found = examples(small.series, Task(), SPLIT, Part.TRAIN).whole()
    batches = Batches(found, 512, 0.5, seed=1, redraw=True)
    first = [batches[k] for k in range(len(batches))]
    targets = np.concatenate([target["mean"][:, 0] for _, target in first])
    assert sorted(targets) == sorted(found.target_kw[:, 0])
    assert (targets != found.target_kw[:, 0]).any()  # in another order
    windows = np.concatenate([window[:, :, 0] for window, _ in first])
    flat = (windows == windows[:, :1]).cumprod(axis=1).sum(axis=1)  # minutes from the oldest on that are the same
    assert 0.40 < np.mean(flat > 3) < 0.60
    batches.on_epoch_end()
    assert not np.array_equal(batches[0][0], first[0][0])
    still = Batches(found, 512, 0.5, seed=1, redraw=False)
    before = still[1]
    still.on_epoch_end()
    np.testing.assert_array_equal(still[1][0], before[0])
    np.testing.assert_array_equal(before[1]["mean"], found.target_kw[512:1024])


@pytest.fixture
def spoiled(linear_run: Path, tmp_path: Path) -> Path:
    for path in linear_run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no run\.json of a training run"):
        load_run(tmp_path)


def test_a_run_without_weights_is_refused(spoiled: Path) -> None:
    (spoiled / WEIGHTS_FILE).unlink()
    with pytest.raises(RunError, match="has no weights yet"):
        load_run(spoiled)


def test_weights_of_another_run_are_refused(spoiled: Path) -> None:
    with (spoiled / WEIGHTS_FILE).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(RunError, match=r"is not what run\.json describes"):
        load_run(spoiled)


@pytest.mark.parametrize("content", ["", "[]", '{"name": "x"}'])
def test_a_run_file_that_is_none_is_refused(spoiled: Path, content: str) -> None:
    (spoiled / RUN_FILE).write_text(content)
    with pytest.raises(RunError, match=r"run\.json: "):
        load_run(spoiled)


def test_an_unknown_hyper_parameter_is_refused(small: Clean, tmp_path: Path) -> None:
    from trainer.fit import fit

    with pytest.raises(RunError, match="model linear: speed: "):
        fit("linear", small, tmp_path, split=SPLIT, changes={"speed": 3})
    assert not list(tmp_path.iterdir())


def test_a_split_without_windows_is_refused(small: Clean, tmp_path: Path) -> None:
    from trainer.fit import fit

    with pytest.raises(
        RunError, match="no window to train on: the file has none observed from the beginning to 2009-06-30T23:55:00Z"
    ):
        fit("linear", small, tmp_path, split=Split())


def test_the_commit_is_that_of_this_code_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"ls-files": "run.py", "rev-parse": "a" * 40, "status": ""}
    monkeypatch.setattr("trainer.run._git", lambda *command: answers[command[0]])
    assert git_commit() == "a" * 40
    answers["status"] = " M trainer/run.py"
    assert git_commit() == "a" * 40 + "-dirty"
    answers["rev-parse"] = None
    assert git_commit() == "unknown"
    answers |= {"rev-parse": "b" * 40, "ls-files": None}  # installed within another project's checkout
    assert git_commit() == "unknown"
