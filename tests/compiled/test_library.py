"""The loader opens this machine's library, or returns why there is none; numpy is then used."""

from __future__ import annotations

import _ctypes
import ctypes
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gapcast.compiled import library
from gapcast.compiled.library import (
    hash_of_sources,
    library_path,
    load_library,
    loaded,
    machine_name,
    open_library,
)

#: Offset of the field of an ELF file that names the machine, and a value that no machine has.
E_MACHINE, NO_MACHINE = 18, b"\xfe\xfe"


@pytest.mark.compiled
def test_checkout_library_is_built_from_the_present_sources() -> None:
    opened = loaded().library
    assert opened is not None, loaded().problem
    assert opened is load_library()
    opened.gapcast_sources.restype = ctypes.c_char_p
    assert opened.gapcast_sources().decode() == hash_of_sources(), "run: python edge/native/build.py"


@pytest.mark.compiled
def test_library_of_this_machine_is_opened(built: Path) -> None:
    opened = open_library(built.parent)
    assert opened.library is not None
    assert opened.machine == machine_name()
    assert not opened.problem


def test_missing_library_is_named(tmp_path: Path) -> None:
    opened = open_library(tmp_path)
    assert opened.library is None
    assert opened.problem == f"this installation has no {library_path(tmp_path, machine_name()).name}"


@pytest.mark.compiled
def test_library_of_another_interface_is_not_used(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "INTERFACE_VERSION", 99)
    built.rename(library_path(built.parent, machine_name()))
    opened = open_library(built.parent)
    assert opened.library is None
    assert opened.problem.endswith("not 99")


@pytest.mark.compiled
def test_library_of_other_sources_is_not_used_in_a_checkout(built: Path) -> None:
    sources = built.parent / "native"
    sources.mkdir()
    (sources / "build.py").write_text("")
    opened = open_library(built.parent, sources)
    assert opened.library is None
    assert opened.problem.endswith(f"not built from the C files of {sources}: run python {sources / 'build.py'}")


@pytest.mark.compiled
def test_library_beside_an_unrelated_folder_is_used(built: Path) -> None:
    unrelated = built.parent / "native"
    unrelated.mkdir()
    (unrelated / "__init__.py").touch()
    assert open_library(built.parent, unrelated).library is not None


@pytest.mark.compiled
def test_library_of_an_installation_without_sources_is_used(built: Path) -> None:
    assert open_library(built.parent, built.parent / "native").library is not None


@pytest.mark.compiled
def test_library_of_another_machine_is_not_used(built: Path) -> None:
    content = bytearray(built.read_bytes())
    content[E_MACHINE : E_MACHINE + len(NO_MACHINE)] = NO_MACHINE
    built.unlink()
    built.write_bytes(content)
    opened = open_library(built.parent)
    assert opened.library is None
    assert built.name in opened.problem


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"not a library" * 1000])
def test_damaged_library_is_not_used(tmp_path: Path, content: bytes) -> None:
    library_path(tmp_path, machine_name()).write_bytes(content)
    opened = open_library(tmp_path)
    assert opened.library is None
    assert opened.problem


def test_library_without_our_functions_is_not_used(tmp_path: Path) -> None:
    shutil.copyfile(_ctypes.__file__, library_path(tmp_path, machine_name()))
    opened = open_library(tmp_path)
    assert opened.library is None
    assert "gapcast_interface_version" in opened.problem


def test_other_systems_use_numpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    opened = open_library(tmp_path)
    assert opened.library is None
    assert opened.problem == "they are built for Linux, not darwin"


@pytest.mark.parametrize(
    ("kernel", "max_int", "machine"),
    [
        ("x86_64", 2**63 - 1, "x86_64"),
        ("aarch64", 2**63 - 1, "aarch64"),
        ("aarch64", 2**31 - 1, "armv7l"),
        ("armv8l", 2**31 - 1, "armv7l"),
        ("armv7l", 2**31 - 1, "armv7l"),
        ("armv6l", 2**31 - 1, "armv6l"),
    ],
)
def test_machine_matches_the_process(kernel: str, max_int: int, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine=kernel))
    monkeypatch.setattr(sys, "maxsize", max_int)
    assert machine_name() == machine


def test_machine_without_uname_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "uname")
    assert machine_name() == "windows"


@pytest.mark.parametrize(("value", "is_alone"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_library_is_not_loaded_with_the_variable_for_numpy(
    monkeypatch: pytest.MonkeyPatch, value: str, is_alone: bool
) -> None:
    monkeypatch.setenv("GAPCAST_NUMPY_ALONE", value)
    found = loaded.__wrapped__()
    assert (found.problem == "GAPCAST_NUMPY_ALONE is set") == is_alone
    assert (found.library is None) >= is_alone
