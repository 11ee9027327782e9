"""Training sets of many houses: streaming, training, and errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from gapcast.core.errors import SourceError
from gapcast.core.time_grid import DAY_MIN, minute_label
from gapcast.core.windows.training_set import MANIFEST_FILE, TRAIN, Contract
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.models_folder.store import load_model
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.cli import main
from gapcast_trainer.data.split import MinuteSplit, SplitPart
from gapcast_trainer.data.windows import WindowTask, cut_examples
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.experiments.sections import Augment
from gapcast_trainer.training.run import load_run
from gapcast_trainer.training_data.training_set import TrainingSet, TrainingSetPart, open_set
from tests.support import uci_files
from tests.trainer.training_sets import write_set

#: 2020-01-01T00:00Z.
FIRST = 26_297_280
CONTRACT = Contract(context=8, lead_times_min=(1, 5))
TASK = WindowTask(WindowSpec(8), (1, 5), ("gap_kw", "tod_sin"))
N_EACH = 900


def power(seed: int, n_days: int = 3) -> np.ndarray:
    kw = uci_files.household(n_days * DAY_MIN, seed)
    for start, length in ((200, 2), (700, 6), (1_200, 90)):
        kw[start : start + length] = np.nan
    return kw


HOUSES = {name: (FIRST + DAY_MIN * at, power(at)) for at, name in enumerate(("attic", "barn", "cottage"))}
BEGINS = {"attic": FIRST + 2 * DAY_MIN, "barn": FIRST + 3 * DAY_MIN, "cottage": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sets") / "houses"
    write_set(path, HOUSES, BEGINS, CONTRACT, N_EACH)
    return path


@pytest.fixture(scope="module")
def found(folder: Path) -> TrainingSet:
    return open_set(folder)


def experiment(family: str = "linear", **sections: Any) -> Experiment:
    window = {"context": 8, "features": ["gap_kw", "tod_sin"]} | sections.pop("window", {})
    outputs = {"lead_times_min": [1, 5]} | sections.pop("outputs", {})
    fields = {"name": "many", "family": family, "window": window, "outputs": outputs, **sections}
    return Experiment.model_validate(fields)


def test_training_set_of_one_house_equals_a_clean_file(tmp_path: Path) -> None:
    """The same windows, and so the same scale and, in closed form, the same weights."""
    from gapcast_trainer.training.fit import fit
    from gapcast_trainer.training_data.training_data import training_data_of

    first, kw = HOUSES["attic"]
    write_set(tmp_path / "set", {"attic": (first, kw)}, {"attic": BEGINS["attic"]}, CONTRACT, 100_000)
    whole = open_set(tmp_path / "set")
    begins, late = datetime(2020, 1, 3, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
    split = MinuteSplit(begins, late, late.replace(year=2031), CONTRACT.embargo_min)
    for part in (SplitPart.TRAIN, SplitPart.VALIDATE):
        streamed = TrainingSetPart(whole, part, TASK)
        mine, its = streamed.sample(len(streamed)), cut_examples(Series(first, kw), TASK, split, part)
        np.testing.assert_array_equal(mine.inputs(), its.inputs())
        np.testing.assert_array_equal(mine.target_kw, its.target_kw)
        np.testing.assert_array_equal(mine.whole().observed_minute, its.whole().observed_minute)
        assert sum(len(target_kw) for _, target_kw in streamed.batches(100)) == len(its)
    data: dict[str, Any] = {"train_until": begins, "validate_until": late, "test_until": late.replace(year=2031)}
    data["embargo_min"] = CONTRACT.embargo_min
    clean = clean_of(first, kw)
    material = training_data_of(whole, experiment())
    assert material.scale == training_data_of(clean, experiment(data=data)).scale
    assert material.experiment.split() == MinuteSplit(
        begins, datetime(2020, 1, 4, tzinfo=UTC), *split_end(material.experiment)
    )
    runs = [
        fit(its, readings, tmp_path / str(at))
        for at, (its, readings) in enumerate(((experiment(), whole), (experiment(data=data), clean)))
    ]
    assert (runs[0].n_train, runs[0].n_validate) == (runs[1].n_train, runs[1].n_validate)
    assert (runs[0].train_last, runs[1].houses, runs[0].houses) == (runs[1].train_last, (), ("attic",))
    for mine, its in zip(*(load_run(tmp_path / str(at))[1] for at in range(2)), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-5)


def test_training_set_has_the_time_of_day_of_its_zone(tmp_path: Path) -> None:
    """As a gateway has, by `site.timezone`: that of `gapcast-fleet prepare --timezone`."""
    from gapcast_trainer.training_data.training_data import training_data_of

    first, kw = HOUSES["attic"]
    manifest = write_set(tmp_path, {"attic": (first, kw)}, {"attic": BEGINS["attic"]}, CONTRACT, 100_000)
    there = replace(manifest, columns={"zone": "Europe/Berlin"})
    (tmp_path / MANIFEST_FILE).write_text(there.text(), encoding="utf-8")
    whole = open_set(tmp_path)
    assert training_data_of(whole, experiment()).zone == "Europe/Berlin"
    streamed = TrainingSetPart(whole, SplitPart.VALIDATE, TASK)
    mine, clock = streamed.sample(len(streamed)), (2 * np.pi / DAY_MIN)
    expected = np.sin(clock * ((mine.observed_minute + 60) % DAY_MIN))  # in winter
    np.testing.assert_allclose(mine.inputs()[:, -1, 1], expected, atol=1e-6)
    (batch, _) = next(streamed.batches(100))
    assert {row.tobytes() for row in batch} <= {row.tobytes() for row in mine.inputs()}


def test_training_set_keeps_the_share_of_the_start(found: TrainingSet) -> None:
    from gapcast_trainer.training_data.training_data import training_data_of

    mixing = training_data_of(found, experiment(mixing={"start_share": 0.4, "share": 0.5})).experiment.mixing
    assert (mixing.start_share, mixing.share) == (0.4, 0.0)


def split_end(its: Experiment) -> tuple[datetime, int]:
    assert its.data.test_until is not None
    return its.data.test_until, CONTRACT.embargo_min


def clean_of(first: int, kw: np.ndarray) -> Any:
    """The series as a clean file is read."""
    from gapcast.recordings.formats.clean_file import CleanFile, content_sha256
    from gapcast.recordings.minutes.series import minute_series
    from gapcast.recordings.text.table import Table

    minutes = first + np.arange(kw.size)
    series, report = minute_series(Table(Path("a"), "attic", "2" * 64, minutes * 60_000, kw, minutes))
    return CleanFile(series, report, content_sha256(series), Path("attic"))


def drawn(batches: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(inputs, targets["mean"]) for inputs, targets, _ in (batches[k] for k in range(len(batches)))]


@pytest.mark.parametrize("buffer_bytes", [1, 200_000, 1 << 30])
def test_streamed_pass_has_every_window_once_shuffled(found: TrainingSet, buffer_bytes: int) -> None:
    from gapcast_trainer.training_data.batches import BatchOptions
    from gapcast_trainer.training_data.streamed_batches import StreamedBatches

    streamed, augment = TrainingSetPart(found, SplitPart.TRAIN, TASK), Augment(short_share=0.3, scaled_share=0.2)

    def batches(seed: int = 1, **more: Any) -> StreamedBatches:
        options = BatchOptions(128, augment, seed, redraw=True, **more)
        return StreamedBatches(streamed, options, buffer_bytes=buffer_bytes)

    feed = batches()
    first = drawn(feed)
    assert [len(targets) for _, targets in first] == [128] * 14 + [8]
    backwards = [feed[k] for k in reversed(range(len(feed)))][::-1]
    for (inputs, targets), (again, more, _) in zip(first, backwards, strict=True):
        np.testing.assert_array_equal(inputs, again)  # from elsewhere, too, a batch is what it is
        np.testing.assert_array_equal(targets, more["mean"])
    for (inputs, _), (again, _) in zip(first, drawn(batches()), strict=True):
        np.testing.assert_array_equal(inputs, again)
    assert not np.array_equal(drawn(batches(seed=2))[0][0], first[0][0])
    feed.on_epoch_end()
    assert not np.array_equal(drawn(feed)[0][0], first[0][0])
    unchanged = BatchOptions(128, Augment(short_share=0), 1, redraw=True, outputs=("mean", "quantiles"))
    plain = StreamedBatches(streamed, unchanged, buffer_bytes=buffer_bytes)
    expected = np.sort(streamed.sample(2 * N_EACH).target_kw[:, 1])
    for _ in range(2):
        targets = np.concatenate([targets for _, targets in drawn(plain)])
        np.testing.assert_array_equal(np.sort(targets[:, 1]), expected)
        plain.on_epoch_end()
    assert plain[0][2].keys() == {"mean", "quantiles"}
    assert [len(targets) for _, targets in drawn(batches(every=3))] == [128] * 4 + [88]


def test_streamed_validation_keeps_order_and_length(found: TrainingSet) -> None:
    from gapcast_trainer.training_data.batches import BatchOptions
    from gapcast_trainer.training_data.streamed_batches import StreamedBatches

    options = BatchOptions(500, Augment(), 1, redraw=False)
    feed = StreamedBatches(TrainingSetPart(found, SplitPart.VALIDATE, TASK), options)
    before = drawn(feed)
    feed.on_epoch_end()
    for (inputs, targets), (again, same) in zip(before, drawn(feed), strict=True):
        np.testing.assert_array_equal(inputs, again)
        np.testing.assert_array_equal(targets, same)


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], prog_name="gapcast-trainer", catch_exceptions=False)


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "many.toml"
    path.write_text(
        'family = "lstm"\n[window]\ncontext = 8\nfeatures = ["gap_kw", "tod_sin"]\n'
        "[outputs]\nlead_times_min = [1, 5]\n[hyper]\nunits = [2]\n[descent]\nepochs = 2\nbatch_size = 256\n"
    )
    return path


@pytest.mark.long
def test_training_set_fit_export_and_evaluate(
    folder: Path, toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gapcast_trainer.data import clean_file_writer

    monkeypatch.chdir(tmp_path)
    for out in ("one", "two"):
        result = run("train", toml, "--from", folder, "--out", out)
        assert result.exit_code == 0, result.output
        assert "many: finished" in result.output
    made = json.loads((tmp_path / "one" / "run.json").read_text())
    assert (made["houses"], made["left_out"]) == (["attic", "barn"], ["cottage"])
    assert (made["source"], made["source_sha256"]) == ("2 houses of houses", "1" * 64)
    assert made["experiment"]["data"]["train_until"] == "2020-01-04T00:00:00Z"
    assert made["experiment"]["data"]["embargo_min"] == 12
    (one, _), (two, _) = (load_run(tmp_path / out) for out in ("one", "two"))
    assert [epoch.train_loss for epoch in one.history] == pytest.approx(
        [epoch.train_loss for epoch in two.history], rel=5e-3
    )
    exported = run("export", "one", "--from", folder)
    assert exported.exit_code == 0, exported.output
    card = load_model(tmp_path / "models" / "many").card
    assert card.experiment is not None
    assert (card.experiment["houses"], card.experiment["left_out"]) == (["attic", "barn"], ["cottage"])
    unseen = TrainingSetPart(open_set(folder), SplitPart.TEST, TASK).sample(N_EACH).whole()
    assert card.scores.persistence.n == len(unseen)
    last = int(unseen.observed_minute.max()) + 5
    assert card.experiment["tested"] == {
        "first": minute_label(int(unseen.observed_minute.min())), "last": minute_label(last),
    }  # fmt: skip
    last_kw = unseen.inputs()[:, -1, 0].astype(np.float64)
    assert card.scores.persistence.mse_kw2 == pytest.approx(np.mean((unseen.target_kw[:, 1] - last_kw) ** 2))
    clean = clean_of(*HOUSES["cottage"])
    clean_file_writer.write(clean.series, clean.report, tmp_path / "cottage.parquet")
    scored = run("evaluate", "many", "--clean", "cottage.parquet", "--brief")
    assert (scored.exit_code, "many" in scored.output) == (0, True), scored.output

    refused = run("export", "one", "--clean", "cottage.parquet")
    assert (refused.exit_code, refused.output.splitlines()[-1]) == (
        2, "gapcast-trainer: one: the run was made from a training set: pass that one by --from, or train again",
    )  # fmt: skip


def test_training_set_source_has_the_number_of_its_houses(tmp_path: Path, found: TrainingSet) -> None:
    from gapcast_trainer.training_data.training_data import training_data_of

    assert training_data_of(found, experiment()).source == "2 houses of houses"
    write_set(tmp_path, {"attic": HOUSES["attic"]}, {"attic": BEGINS["attic"]}, CONTRACT, 500)
    assert training_data_of(open_set(tmp_path), experiment()).source == "1 house of houses"


def test_training_set_without_held_out_houses_has_no_score(tmp_path: Path) -> None:
    from gapcast_trainer.export.export import export
    from gapcast_trainer.training.fit import fit

    write_set(tmp_path / "set", {"attic": HOUSES["attic"]}, {"attic": BEGINS["attic"]}, CONTRACT, 500)
    found = open_set(tmp_path / "set")
    fit(experiment(), found, tmp_path / "run")
    with pytest.raises(RunError, match=r"no house is left out of the training set.* prepare it with --leave-out"):
        export(tmp_path / "run", found, tmp_path / "models")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (("window.context=30",), "have the context 8, and experiment many asks for 30: prepare a set with --context"),
        (("window.padding=zero",), "have the padding oldest, and experiment many asks for zero"),
        (("outputs.lead_times_min=[5]",), "the lead times (1, 5), and experiment many asks for (5,): prepare a set "
         "with --lead-times 5"),
        (('window.features=["gap_kw", "voltage_v"]',), "have no voltage_v: leave it out of window.features of many"),
        (("data.train_until=2020-02-01",), "--set data.train_until: a training set defines its parts itself"),
    ],
)  # fmt: skip
def test_training_set_other_windows_are_rejected(
    changes: tuple[str, ...], error: str, folder: Path, toml: Path, tmp_path: Path
) -> None:
    options = [word for change in changes for word in ("--set", change)]
    result = run("train", toml, "--from", folder, "--out", tmp_path / "run", *options)
    assert (result.exit_code, error in result.output) == (2, True), result.output
    assert not (tmp_path / "run").exists()


def alter(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def altered(folder: Path) -> None:
        fields = json.loads((folder / MANIFEST_FILE).read_text())
        fields[name] = change(fields[name])
        (folder / MANIFEST_FILE).write_text(json.dumps(fields))

    return altered


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda its: (its / MANIFEST_FILE).unlink(), "set: has no manifest.json: it is not a training set"),
        (lambda its: (its / MANIFEST_FILE).write_text("[]"), "manifest.json: is not a manifest of a training set"),
        (lambda its: (its / MANIFEST_FILE).write_text("{"), "manifest.json: is not a manifest of a training set"),
        (alter("format", lambda _: 2), "manifest.json: is of format 2, and this version reads 1: create it with"),
        (alter("embargo_min", lambda _: "x"), "manifest.json: embargo_min: must be a whole number (it is 'x')"),
    ],
)
def test_training_set_invalid_is_rejected(
    damage: Callable[[Path], None], error: str, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "set")
    damage(tmp_path / "set")
    result = run("train", "linear", "--from", tmp_path / "set")
    assert (result.exit_code, error in result.output) == (2, True), result.output


def test_training_set_damaged_chunk_is_named(folder: Path, found: TrainingSet, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "set")
    copied = open_set(tmp_path / "set")
    chunk = next(its for its in copied.manifest.chunks if its.part == TRAIN)
    path = tmp_path / "set" / chunk.file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(SourceError, match=rf"{chunk.file}: is damaged: it is not what manifest\.json names"):
        copied.read(chunk)
    path.unlink()
    with pytest.raises(SourceError, match=rf"{chunk.file}: cannot be read \(No such file"):
        copied.read(chunk)
    alter("contract", lambda its: its | {"context": 21})(folder := tmp_path / "set")
    other = open_set(folder)
    kept = next(its for its in other.manifest.chunks if its.part != TRAIN)
    with pytest.raises(SourceError, match="holds other columns or rows than"):
        other.read(kept)


def test_training_set_chunk_damaged_during_fit_is_an_error(folder: Path, tmp_path: Path) -> None:
    from gapcast_trainer.training.fit import fit

    shutil.copytree(folder, tmp_path / "set")
    copied = open_set(tmp_path / "set")
    chunk = next(its for its in copied.manifest.chunks if its.part == TRAIN)
    its = experiment("lstm", hyper={"units": [2]}, descent={"epochs": 3, "batch_size": 256})
    with pytest.raises(SourceError, match=rf"{chunk.file}: is damaged"):
        fit(its, copied, tmp_path / "run", watch=lambda _: (tmp_path / "set" / chunk.file).write_bytes(b"x"))
    assert len(load_run(tmp_path / "run")[0].history) == 1


def test_fit_rejects_clean_file_and_set_together(folder: Path, tmp_path: Path) -> None:
    result = run("train", "linear", "--from", folder, "--clean", tmp_path / "x.parquet")
    assert (result.exit_code, "give one of them" in result.output) == (2, True), result.output
