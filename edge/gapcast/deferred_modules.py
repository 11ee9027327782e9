"""Modules that libraries or gapcast import and a gateway does not use, loaded at first use.

They would take about three megabytes of an idle gateway. Modules are deferred: ``import calendar`` runs nothing, the
first use of a name in it runs the module, and ``from calendar import timegm`` runs it at once.
:class:`importlib.util.LazyLoader` does the same, but runs a module when it is imported a second time, and until Python
3.12 possibly twice.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader

#: Each with the module that imports it, and the purpose.
UNUSED = (
    "uvicorn",  # the package itself: its __init__ imports its command line and its supervisor of processes
    "logging.config",  # uvicorn: its configuration of logs, with socketserver and logging.handlers
    "urllib.request",  # paho: proxies, with http.client
    "calendar",  # email: dates
    "importlib.metadata",  # pydantic: its plug-ins, and the version of a library for mail addresses; with email
    "http.client",  # starlette: phrases of status codes, with email
    "http.cookies",  # starlette
    "bz2",  # zipfile
    "lzma",  # zipfile
    "shutil",  # tempfile: removes folders
    "locale",  # subprocess: encodings of text
)
#: By module and name, the submodule that defines the name: only this submodule runs.
_SUBMODULES = {("uvicorn", "Config"): "uvicorn.config"}  # uvicorn's lifespan, which is off, imports it

#: Functions, by module and name, that libraries import from a module when they are imported: the call runs the module.
_FUNCTIONS = {("importlib.metadata", "entry_points"), ("importlib.metadata", "version"), ("shutil", "rmtree")}
#: Extensions that a Python may lack, by the module whose import then fails, as ``zipfile`` expects.
_EXTENSIONS = {"bz2": "_bz2", "lzma": "_lzma"}
#: Disables the search for pydantic plug-ins, which would read the metadata of all installed distributions.
_PLUG_INS, _ALL = "PYDANTIC_DISABLE_PLUGINS", "__all__"

#: The function that runs a module, and its lock, by module name. A common lock would deadlock if a thread runs a
#: deferred module that imports a module which another thread is importing, and that module uses another deferred one.
_deferred: dict[str, tuple[Loader, RLock]] = {}


class _DeferredModule(ModuleType):
    """A registered module that runs when a name is missing in it."""

    def __getattr__(self, name: str) -> Any:
        if submodule := _SUBMODULES.get((self.__name__, name)):
            return getattr(import_module(submodule), name)
        if (self.__name__, name) in _FUNCTIONS:
            return partial(_call, self, name)
        _run(self)
        return ModuleType.__getattribute__(self, name)


def _run(module: ModuleType) -> None:
    """Run a deferred ``module``, unless it has run before, or this thread is running it."""
    loader, lock = _deferred[module.__name__]
    with lock:  # another thread waits until the module has run
        names = vars(module)
        if type(module) is _DeferredModule and not names.get("_is_running"):
            names["_is_running"] = True
            try:
                loader.exec_module(module)
                module.__class__ = ModuleType  # type: ignore[assignment]  # mypy treats it as constant
            finally:
                del names["_is_running"]


def _call(module: ModuleType, name: str, *arguments: Any, **options: Any) -> Any:
    _run(module)
    return vars(module)[name](*arguments, **options)


def defer_unused_modules() -> None:
    """Defer the modules of :data:`UNUSED` in this process; call this before importing modules that import them."""
    os.environ.setdefault(_PLUG_INS, _ALL)
    defer_modules(name for name in UNUSED if name not in _EXTENSIONS or find_spec(_EXTENSIONS[name]))


def defer_modules(names: Iterable[str]) -> None:
    """Register the modules ``names``, unless imported or missing, so that the first use of a name in one runs it.

    Parent packages are imported.
    """
    for name in names:
        package, _, last = name.rpartition(".")
        parent = import_module(package) if package else None
        spec = None if name in sys.modules else find_spec(name)
        if spec is None or spec.loader is None:
            continue
        module = module_from_spec(spec)
        module.__class__ = _DeferredModule
        _deferred[name] = spec.loader, RLock()
        sys.modules[name] = module
        if parent is not None:
            setattr(parent, last, module)
