"""One small loader for two runtimes: ai-edge-litert where it has a wheel, tflite-runtime where not."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from typing import Any

from gapcast.core.errors import ModelError

#: (distribution, module) in the order they are tried.
RUNTIMES = (
    ("ai-edge-litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
)


def load_interpreter() -> tuple[Any, str]:
    """Return the ``Interpreter`` class at hand and its distribution with version.

    After the first call it opens no file, so that an interpreter can be made where no file may be opened any more.
    Raises :class:`ModelError` where neither runtime is installed.
    """
    return _load_interpreter(RUNTIMES)


@lru_cache(maxsize=1)
def _load_interpreter(runtimes: tuple[tuple[str, str], ...]) -> tuple[Any, str]:
    for distribution, module in runtimes:
        try:
            interpreter = import_module(module).Interpreter
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
                raise
            continue
        return interpreter, f"{distribution} {version(distribution)}"
    names = " or ".join(distribution for distribution, _ in runtimes)
    msg = f"no TFLite runtime is installed: install {names}"
    raise ModelError(msg)
