"""Objects with the compiled library and objects with numpy alone, in one process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar
from unittest.mock import patch

from gapcast.compiled import library

Built = TypeVar("Built")
_NO_LIBRARY = library.LoadedLibrary(None, library.machine_name(), "the test uses numpy")


def build(create: Callable[..., Built], *arguments: Any, compiled: bool, **options: Any) -> Built:
    """Return ``create(*arguments, **options)``, which uses the compiled library, if there is one, or numpy alone."""
    with nullcontext() if compiled else patch.object(library, "loaded", lambda: _NO_LIBRARY):
        return create(*arguments, **options)
