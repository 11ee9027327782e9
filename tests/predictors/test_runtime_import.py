"""The runtime's interpreter is imported without the other libraries that its package loads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from gapcast.predictors.tflite.runtime import import_without_package

PACKAGE = "runtime_of_a_test"
SUBMODULE = f"{PACKAGE}.interpreter"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package whose ``__init__`` sets ``ready``."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text("ready = True\n", encoding="utf-8")
    (folder / "interpreter.py").write_text("Interpreter = 7\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in (PACKAGE, SUBMODULE):
        sys.modules.pop(name, None)


def test_import_without_package_leaves_the_package_to_others() -> None:
    assert import_without_package(SUBMODULE).Interpreter == 7
    assert PACKAGE not in sys.modules
    assert import_module(PACKAGE).ready
    assert import_module(SUBMODULE).Interpreter == 7


def test_import_without_package_runs_what_the_submodule_needs(folder: Path) -> None:
    (folder / "interpreter.py").write_text(f"from {PACKAGE} import ready as Interpreter\n", encoding="utf-8")
    assert import_without_package(SUBMODULE).Interpreter is True
    assert sys.modules[PACKAGE].ready


def test_import_without_package_uses_an_imported_package() -> None:
    package = import_module(PACKAGE)
    assert import_without_package(SUBMODULE).Interpreter == 7
    assert sys.modules[PACKAGE] is package


@pytest.mark.parametrize("name", ["no_such_runtime", "no_such_runtime.interpreter", f"{PACKAGE}.other"])
def test_import_without_package_missing_module_is_named(name: str) -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        import_without_package(name)
    assert caught.value.name is not None
    assert name.startswith(caught.value.name)


def test_loaded_interpreter_does_without_the_library_of_compiled_models() -> None:
    script = (
        "from pathlib import Path; from gapcast.predictors.tflite.runtime import load_interpreter; load_interpreter(); "
        "print('libLiteRt.so' in Path('/proc/self/maps').read_text())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
