"""Loads the library of compiled steps for this machine, if it was built."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import sys
from pathlib import Path
from typing import NamedTuple

#: Changes whenever the functions or the layout of their arguments do; ``edge/native/version.c`` has the same number.
INTERFACE_VERSION = 13
#: This variable of the environment switches the library off, to compare or to find an error.
NUMPY_ALONE = "GAPCAST_NUMPY_ALONE"
_FOLDER = Path(__file__).parent
#: The C files in a checkout; an installation has no C files.
_SOURCES = _FOLDER.parents[1] / "native"
#: Names that the kernel gives a 64-bit ARM machine on which a 32-bit process runs.
_64_BIT_ARM = ("aarch64", "armv8l")
_MAX_32_BIT = 2**31 - 1


class LoadedLibrary(NamedTuple):
    """The library, or the reason why it is not available."""

    library: ctypes.PyDLL | None
    machine: str
    problem: str = ""


def machine_name() -> str:
    """Return the machine for which libraries of this process are built, such as ``x86_64``, ``aarch64`` or ``armv7l``.

    On a 64-bit kernel a 32-bit ARM process needs the 32-bit library.
    """
    machine = os.uname().machine if hasattr(os, "uname") else "windows"
    return "armv7l" if sys.maxsize == _MAX_32_BIT and machine in _64_BIT_ARM else machine


def library_path(folder: Path, machine: str) -> Path:
    """Return the path of the library for ``machine`` in ``folder``.

    The name does not end with ``.so``, because Python would treat such a file as a module.

    >>> library_path(Path("compiled"), "aarch64").as_posix()
    'compiled/libgapcast-aarch64.so.13'
    """
    return folder / f"libgapcast-{machine}.so.{INTERFACE_VERSION}"


def hash_of_sources(folder: Path = _SOURCES) -> str:
    """Return the SHA-256 of a library's sources: the C files in ``folder``, their headers and ``build.py``."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.[ch]"), folder / "build.py"]):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def open_library(folder: Path, sources: Path = _SOURCES) -> LoadedLibrary:
    """Open the library for this machine in ``folder``, or return the reason why that is not possible.

    In a checkout, which has the C files ``sources``, a library built from other sources is not used: its structures may
    have another layout. Calls hold the interpreter's lock: they take microseconds, less than reacquiring the lock
    would.
    """
    machine = machine_name()
    if sys.platform != "linux":
        return LoadedLibrary(None, machine, f"they are built for Linux, not {sys.platform}")
    path = library_path(folder, machine)
    if not path.is_file():
        return LoadedLibrary(None, machine, f"this installation has no {path.name}")
    try:
        library = ctypes.PyDLL(str(path))
        version, built_from = library.gapcast_interface_version, library.gapcast_sources
    except (OSError, AttributeError) as error:  # for another machine or C library, damaged, or not gapcast's
        return LoadedLibrary(None, machine, str(error))
    version.argtypes, version.restype = (), ctypes.c_int
    if version() != INTERFACE_VERSION:
        return LoadedLibrary(None, machine, f"{path.name} has interface {version()}, not {INTERFACE_VERSION}")
    built_from.argtypes, built_from.restype = (), ctypes.c_char_p
    if (sources / "build.py").is_file() and built_from().decode() != hash_of_sources(sources):
        problem = f"{path.name} was not built from the C files of {sources}: run python {sources / 'build.py'}"
        return LoadedLibrary(None, machine, problem)
    return LoadedLibrary(library, machine)


@functools.cache
def loaded() -> LoadedLibrary:
    """Return the library bundled with this package, opened once; no library if ``GAPCAST_NUMPY_ALONE`` is set."""
    if os.environ.get(NUMPY_ALONE, "") not in {"", "0"}:
        return LoadedLibrary(None, machine_name(), f"{NUMPY_ALONE} is set")
    return open_library(_FOLDER)


def load_library() -> ctypes.PyDLL | None:
    """Return the library for this machine; None if no usable one exists: numpy then computes the same."""
    return loaded().library
