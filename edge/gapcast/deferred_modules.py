"""Modules of other packages that the libraries of gapcast import and a gateway does not use, loaded at first use.

They would take some two megabytes of an idle gateway. What is deferred is a module itself: ``import calendar`` runs
nothing, and the first use of a name in it runs it; ``from calendar import timegm`` runs it at once.
:class:`importlib.util.LazyLoader` does the same, but runs a module when it is imported a second time, and until Python
3.12 possibly twice.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.abc import Loader
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType
from typing import Any

#: Who imports it, and what for.
UNUSED = (
    "uvicorn",  # the package itself: its __init__ imports its command line and its supervisor of processes
    "logging.config",  # uvicorn: its configuration of logs, with socketserver and logging.handlers
    "urllib.request",  # paho: proxies, with http.client
    "calendar",  # email: dates, with locale
)
#: By module and name, the submodule that has the name: nothing else runs for it.
_SUBMODULES = {("uvicorn", "Config"): "uvicorn.config"}  # uvicorn's lifespan, which is off, imports it

#: What runs a module, by its name, and the lock for that. One lock for all would be a deadlock if a thread runs a
#: deferred module that imports what another thread has begun to import, and that uses another deferred one.
_deferred: dict[str, tuple[Loader, RLock]] = {}


class _DeferredModule(ModuleType):
    """A registered module that runs when a name is missing in it."""

    def __getattr__(self, name: str) -> Any:
        if submodule := _SUBMODULES.get((self.__name__, name)):
            return getattr(import_module(submodule), name)
        loader, lock = _deferred[self.__name__]
        with lock:  # another thread waits until the module has run
            if type(self) is _DeferredModule and not self.__dict__.get("_is_running"):
                self._is_running = True
                try:
                    loader.exec_module(self)
                    self.__class__ = ModuleType  # type: ignore[assignment]  # mypy takes it for constant
                finally:
                    del self._is_running
        return ModuleType.__getattribute__(self, name)


def defer_modules(names: Iterable[str] = UNUSED) -> None:
    """Register the modules ``names``, unless they are imported or missing, so that the first use of a name runs them.

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
