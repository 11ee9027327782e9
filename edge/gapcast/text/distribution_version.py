"""The version of an installed distribution, from the name of the folder written by its installer."""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import import_module
from pathlib import Path


@lru_cache(maxsize=8)
def version_of(distribution: str) -> str:
    """Return the version of an installed ``distribution``, such as 2.3.0 of ``ai_edge_litert-2.3.0.dist-info``.

    :mod:`importlib.metadata`, which reads it from a file and takes 1.5 MB, is used only if there is no such folder.
    Raises its ``PackageNotFoundError`` if the distribution is not installed.
    """
    stem = distribution.replace("-", "_")
    for folder in sys.path:
        for found in Path(folder).glob(f"{stem}-*.dist-info"):
            return found.stem.removeprefix(f"{stem}-")
    version: str = import_module("importlib.metadata").version(distribution)
    return version
