"""A deferred module runs when a name in it is used, once, whoever uses it first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from threading import Barrier, Thread

import pytest

from gapcast.deferred_modules import UNUSED, defer_modules
from tests.support.waiting import GUARD_S

PACKAGE = "deferred_of_a_test"
MODULE = f"{PACKAGE}.part"
_LOADED = """
import sys
from gapcast.deferred_modules import UNUSED, defer_unused_modules
defer_unused_modules()
import gapcast.app.application, gapcast.commands.run, gapcast.config.loader
from gapcast.http.server.server import build_server
from gapcast.http.server.connection_limits import ConnectionLimits
build_server(None, ConnectionLimits(1, 1)).config.load()
print(*(name for name in UNUSED if type(sys.modules[name]).__name__ != "_DeferredModule"))
import uvicorn
print(uvicorn.run.__name__, uvicorn.Config.__name__, type(uvicorn).__name__)
"""
_CALLED = """
from gapcast.deferred_modules import defer_modules
defer_modules(["importlib.metadata"])
import importlib.metadata
from importlib.metadata import version
print(type(importlib.metadata).__name__)
print(version("numpy"), type(importlib.metadata).__name__, version("numpy"))
print(importlib.metadata.version is not version, importlib.metadata.version("numpy"))
"""
_WITHOUT_EXTENSION = """
import sys
sys.modules["_bz2"] = None
from gapcast.deferred_modules import defer_unused_modules
defer_unused_modules()
import zipfile
print(zipfile.bz2, type(zipfile.lzma).__name__)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with a module that adds to ``runs`` of its package when it runs."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text("runs = []\n", encoding="utf-8")
    (folder / "part.py").write_text(
        f"from {PACKAGE} import runs\nruns.append(1)\nvalue = 7\ndef doubled(): return 2 * value\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def output_of(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def n_runs() -> int:
    return len(import_module(PACKAGE).runs)


def test_deferred_module_runs_at_first_use() -> None:
    defer_modules([MODULE])
    part = import_module(MODULE)
    assert n_runs() == 0
    assert part.value == 7
    assert part.doubled() == 14
    assert n_runs() == 1
    assert import_module(PACKAGE).part is part
    assert import_module(MODULE) is part


def test_deferred_module_without_the_name_raises_attribute_error() -> None:
    defer_modules([MODULE])
    with pytest.raises(AttributeError, match="missing"):
        _ = import_module(MODULE).missing
    assert n_runs() == 1


def test_deferred_module_that_uses_itself_runs_once(folder: Path) -> None:
    text = f"import {MODULE} as me\nfound = hasattr(me, 'value')\nvalue = 7\n"
    (folder / "part.py").write_text(text, encoding="utf-8")
    defer_modules([MODULE])
    assert import_module(MODULE).value == 7
    assert import_module(MODULE).found is False


def test_deferred_module_that_fails_is_tried_again(folder: Path) -> None:
    works = (folder / "part.py").read_text(encoding="utf-8")
    (folder / "part.py").write_text("import no_such_module\n", encoding="utf-8")
    defer_modules([MODULE])
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        _ = import_module(MODULE).value
    (folder / "part.py").write_text(works, encoding="utf-8")
    assert import_module(MODULE).value == 7


def test_deferred_module_is_run_by_one_of_several_threads() -> None:
    defer_modules([MODULE])
    part, together = import_module(MODULE), Barrier(8)

    def use(_: int) -> int:
        together.wait()
        return int(part.value)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, range(8))) == [7] * 8
    assert n_runs() == 1


def test_deferred_modules_of_two_threads_do_not_wait_for_each_other(folder: Path) -> None:
    """One runs and imports what the other thread has begun to import, which uses another deferred module."""
    (folder / "__init__.py").write_text(
        "from threading import Event\nimporting, running = Event(), Event()\n", encoding="utf-8"
    )
    (folder / "part.py").write_text(
        f"from {PACKAGE} import running\nrunning.set()\nimport {PACKAGE}.between\nvalue = 7\n", encoding="utf-8"
    )
    (folder / "between.py").write_text(
        f"from {PACKAGE} import importing, running\nimporting.set()\nassert running.wait({GUARD_S})\n"
        f"from {PACKAGE} import second\nassert second.value == 8\n",
        encoding="utf-8",
    )
    (folder / "second.py").write_text("value = 8\n", encoding="utf-8")
    defer_modules([MODULE, f"{PACKAGE}.second"])
    found: list[int] = []

    def use() -> None:
        assert import_module(PACKAGE).importing.wait(GUARD_S)
        found.append(import_module(MODULE).value)

    threads = [Thread(target=use, daemon=True), Thread(target=import_module, args=(f"{PACKAGE}.between",), daemon=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GUARD_S)
    assert found == [7]


def test_defer_modules_skips_imported_and_missing_modules() -> None:
    part = import_module(MODULE)
    defer_modules([MODULE, f"{PACKAGE}.missing", "no_such_package"])
    assert sys.modules[MODULE] is part
    assert f"{PACKAGE}.missing" not in sys.modules
    assert "no_such_package" not in sys.modules


def test_function_of_deferred_module_runs_it_when_called() -> None:
    deferred, called, run = output_of(_CALLED)
    numpy = version("numpy")
    assert deferred == "_DeferredModule"
    assert called == f"{numpy} module {numpy}"
    assert run == f"True {numpy}"


def test_gateway_runs_none_of_the_deferred_modules() -> None:
    assert output_of(_LOADED) == ["", "run Config module"]
    assert len(set(UNUSED)) == len(UNUSED)


def test_deferred_module_without_its_extension_is_missing() -> None:
    """zipfile does without bz2 in a Python that was built without it."""
    assert output_of(_WITHOUT_EXTENSION) == ["None _DeferredModule"]
