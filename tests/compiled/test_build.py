"""The build of the library: once per change of its sources, and never outdated."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gapcast.compiled.library import INTERFACE_VERSION, library_path, machine_name, open_library
from native import build

pytestmark = pytest.mark.once
#: A third of the time; the library that all other tests use is built with the default options.
QUICK = "-O0"


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the library to build, in the test's own folder, with the default compiler."""
    monkeypatch.delenv("CC", raising=False)
    return library_path(tmp_path, machine_name())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the library, built once."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CC", raising=False)
        assert build.main([str(folder), QUICK]) == 0
    return folder


@pytest.mark.compiled
def test_build_makes_a_library_that_loads(built: Path) -> None:
    path = library_path(built, machine_name())
    assert [*built.iterdir()] == [path]
    assert build.is_current(path)
    assert open_library(built).library is not None


@pytest.mark.compiled
def test_build_of_unchanged_sources_keeps_the_library(built: Path) -> None:
    path = library_path(built, machine_name())
    before = path.stat()
    assert build.main([str(built), QUICK]) == 0
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before.st_ino, before.st_mtime_ns, before.st_size)


@pytest.mark.compiled
def test_build_replaces_an_outdated_library_by_the_same(target: Path, built: Path) -> None:
    """Builds in two folders are equal, byte by byte."""
    target.write_bytes(b"of other sources")
    assert build.main([str(target.parent), QUICK]) == 0
    assert build.is_current(target)
    assert target.read_bytes() == library_path(built, machine_name()).read_bytes()


@pytest.mark.compiled
def test_build_that_fails_leaves_no_library(target: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target.write_bytes(b"of other sources")
    assert build.main([str(target.parent), "--no-such-option"]) not in {0, build.NO_COMPILER}
    assert list(target.parent.iterdir()) == []
    assert "no-such-option" in capfd.readouterr().err


def test_build_without_a_compiler_leaves_no_library(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target.write_bytes(b"of other sources")
    monkeypatch.setenv("CC", "/no/such/compiler -O2")
    assert build.main([str(target.parent)]) == build.NO_COMPILER
    assert list(target.parent.iterdir()) == []


def test_build_with_unknown_arguments_prints_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--help"]) == 2
    assert "--all FOLDER" in capsys.readouterr().err


def test_sources_state_the_interface_of_the_loader() -> None:
    text = (build.SOURCES / "version.c").read_text(encoding="utf-8")
    assert f"return {INTERFACE_VERSION};" in text


def test_all_machines_are_built_for_by_one_compiler(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], *, check: bool) -> None:
        assert check
        commands.append(command)
        Path(command[command.index("-o") + 1]).write_bytes(b"a library")

    monkeypatch.setattr(subprocess, "run", run)
    assert build.main(["--all", str(target.parent), "-Werror"]) == 0
    assert sorted(path.name for path in target.parent.iterdir()) == [
        f"libgapcast-{machine}.so.{INTERFACE_VERSION}" for machine in ("aarch64", "armv7l", "x86_64")
    ]
    assert all("-Werror" in command for command in commands)
    assert [command[command.index("-target") + 1] for command in commands] == list(build.TARGETS.values())
