"""Loads the TFLite runtime: ai-edge-litert on platforms with a wheel, else tflite-runtime."""

from __future__ import annotations

import os
import sys
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

from gapcast.core.errors import ModelError
from gapcast.text.distribution_version import version_of

#: (distribution, module), in the order of preference.
RUNTIMES = (
    ("ai-edge-litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
)

#: Printed by TFLite when the first interpreter of a process creates the XNNPACK delegate. No setting suppresses it.
NOTICE = b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
#: A model of 276 bytes, y = x + x for one float: enough to create the delegate.
_SMALLEST_MODEL = (
    "GAAAAFRGTDMAAA4AFAAQAAwACAAAAAQADgAAABAAAAAYAAAA4AAAAAMAAAABAAAABAAAACj///8BAAAAEAAAAAwAFAAQAAwACAAE"
    "AAwAAAAQAAAAUAAAAFQAAABYAAAAAQAAABQAAAAAAA4AFAAAABAADAALAAQADgAAABAAAAAAAAALDAAAABAAAACA////AQAAAAEA"
    "AAACAAAAAAAAAAAAAAABAAAAAQAAAAEAAAAAAAAAAgAAADAAAAAEAAAA5P///wgAAAAMAAAAAQAAAHkAAAABAAAAAQAAAAwADAAI"
    "AAAAAAAEAAwAAAAIAAAADAAAAAEAAAB4AAAAAQAAAAEAAAABAAAACAAAAAQABAAEAAAA"
)
_STDERR = 2


def load_interpreter() -> tuple[Any, str]:
    """Return the installed ``Interpreter`` class, and its distribution with version.

    After the first call it opens no file, so that an interpreter can be created even if no more files can be opened.
    Raises :class:`ModelError` if no runtime is installed, or the first installed one cannot be loaded.
    """
    return _load_interpreter(RUNTIMES)


@lru_cache(maxsize=1)
def _load_interpreter(runtimes: tuple[tuple[str, str], ...]) -> tuple[Any, str]:
    for distribution, module in runtimes:
        try:
            interpreter = import_without_package(module).Interpreter
        except ImportError as error:
            is_of_runtime = error.name is not None and error.name.split(".")[0] == module.split(".")[0]
            if is_of_runtime and isinstance(error, ModuleNotFoundError):
                continue
            reason = " ".join(str(error).split())  # for example an outdated system library
            msg = f"the TFLite runtime {distribution} cannot be loaded ({reason}): install it again, for this system"
            raise ModelError(msg) from error
        with _without_notice():
            interpreter(model_content=b64decode(_SMALLEST_MODEL), num_threads=1).allocate_tensors()
        return interpreter, f"{distribution} {version_of(distribution)}"
    names = " or ".join(distribution for distribution, _ in runtimes)
    msg = f"no TFLite runtime is installed: install {names}"
    raise ModelError(msg)


def import_without_package(name: str) -> ModuleType:
    """Import a submodule without running ``__init__`` of its package, unless this fails or the package is imported.

    ``__init__`` of ``ai_edge_litert`` maps ``libLiteRt.so``, 1.6 MB of resident memory, for models that it compiles
    itself; the interpreter does not use it. A later import of the package runs ``__init__``.
    """
    package = name.partition(".")[0]
    spec = None if package in (name, *sys.modules) else find_spec(package)
    if spec is None:
        return import_module(name)
    sys.modules[package] = module_from_spec(spec)  # which is not executed
    with suppress(ImportError):
        try:
            return import_module(name)
        finally:
            del sys.modules[package]
    return import_module(name)


@contextmanager
def _without_notice() -> Iterator[None]:
    """Drop :data:`NOTICE` from standard error; all other output in the meantime is written at the end.

    Standard error belongs to the whole process. This is used only for the first interpreter, which runs a built-in
    model, so that the runtime's output for a user's model, even on a crash, is never captured.
    """
    try:
        original = os.dup(_STDERR)
    except OSError:  # standard error is closed
        yield
        return
    try:
        captured = os.memfd_create("stderr") if hasattr(os, "memfd_create") else None
    except OSError:  # no file can be opened: the notice is shown
        captured = None
    if captured is None:
        os.close(original)
        yield
        return
    try:
        os.dup2(captured, _STDERR)
        try:
            yield
        finally:
            os.dup2(original, _STDERR)
        written = os.pread(captured, os.fstat(captured).st_size, 0).replace(NOTICE, b"")
        if written:
            os.write(original, written)
    finally:
        os.close(captured)
        os.close(original)
