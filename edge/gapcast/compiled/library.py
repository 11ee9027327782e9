"""Loads the library of compiled steps that was built for this machine, if there is one."""

from __future__ import annotations

import ctypes
import functools
import platform
from pathlib import Path

#: Changes whenever the functions or the layout of their arguments do.
INTERFACE_VERSION = 1


@functools.cache
def load_library() -> ctypes.PyDLL | None:
    """Return the library for this machine; None if there is none, or it is of another version.

    Calls hold the interpreter's lock: they take microseconds, and waiting for it again would take longer.
    """
    path = Path(__file__).with_name(f"libgapcast-{platform.machine()}.so")
    try:
        library = ctypes.PyDLL(str(path))
    except OSError:
        return None
    library.gapcast_interface_version.restype = ctypes.c_int
    return library if library.gapcast_interface_version() == INTERFACE_VERSION else None
