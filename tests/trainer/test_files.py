"""Atomic writes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from gapcast.bundled import models_path
from gapcast.predictors.models_folder.store import load_model
from gapcast_trainer.cli import main
from gapcast_trainer.errors import TrainerError
from gapcast_trainer.export.exported_folder import install
from gapcast_trainer.files import atomic_path, write_atomically


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_write_that_fails_keeps_the_old_file(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "x.csv"
    write_atomically(path, "before")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half of it")
            assert temporary.suffix == ".csv"
            raise failure

    with pytest.raises(failure):
        write_half()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_write_keeps_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "x"


def test_write_to_a_device_does_not_replace_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(pipe, "x")
        assert os.read(reader, 10) == b"x"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_write_that_is_impossible_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainerError, match=r"file/x\.json: cannot be written \(File exists\)"):
        write_atomically(tmp_path / "file" / "x.json", "x")


def test_export_to_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    shipped = models_path() / "lstm-5-3"
    content, card = (shipped / "model.tflite").read_bytes(), load_model(shipped).card
    assert install(content, card, tmp_path / "models") == tmp_path / "models/lstm-5-3"
    (tmp_path / "file").touch()
    with pytest.raises(TrainerError, match=r"file/models: cannot be written \(Not a directory\)$"):
        install(content, card, tmp_path / "file/models")


def test_evaluate_does_not_replace_its_readings(tmp_path: Path) -> None:
    house = tmp_path / "house.csv"
    house.write_text("readings")
    result = CliRunner().invoke(main, ["evaluate", "--houses", str(house), "--json", str(house)])
    assert result.exit_code == 2
    assert "which is read: name another file" in result.output
    assert house.read_text() == "readings"


def test_evaluate_does_not_replace_a_model(tmp_path: Path) -> None:
    house, model = tmp_path / "house.csv", tmp_path / "models/mine/card.json"
    model.parent.mkdir(parents=True)
    for path in (house, model):
        path.write_text("content")
    words = ["--houses", str(house), "--models", str(tmp_path / "models"), "--report", str(model)]
    result = CliRunner().invoke(main, ["evaluate", *words])
    assert result.exit_code == 2
    assert "would replace a file of the models in" in result.output


def test_command_ended_by_sigterm_removes_its_temporary_file(tmp_path: Path) -> None:
    @main.command("write-and-end")
    def write_and_end() -> None:
        with atomic_path(tmp_path / "x.json"):
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        result = CliRunner().invoke(main, ["write-and-end"])
    finally:
        del main.commands["write-and-end"]
    assert (result.exit_code, list(tmp_path.iterdir())) == (143, [])
