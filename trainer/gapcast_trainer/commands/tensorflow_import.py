"""Imports TensorFlow without its startup messages, and lets it reuse memory between steps."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib import import_module
from tempfile import TemporaryFile

_STDERR = 2
_SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",  # models of this size need no GPU
    "TF_NUM_INTRAOP_THREADS": "2",  # or more threads
    "TF_NUM_INTEROP_THREADS": "1",
}

#: Parameters of mallopt(3) of glibc and their values: no allocations by mmap, no free bytes at the top of a heap are
#: returned, and a heap grows by 64 MiB.
_MMAP_MAX, _TRIM_THRESHOLD, _TOP_PAD = -4, -1, -2
_REUSE = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 2**26}


def import_tensorflow() -> None:
    """Import TensorFlow; show its messages on standard error only if the import fails.

    Its first messages (compiler flags, no GPU) are written before its own settings can suppress
    them. Environment variables that are already set stay.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    _reuse_freed_memory()
    sys.stderr.flush()
    saved = os.dup(_STDERR)
    with TemporaryFile() as output:
        os.dup2(output.fileno(), _STDERR)
        try:
            import_module("tensorflow")
            import_module("tensorflow.lite.python.lite")
        except BaseException:
            output.seek(0)
            os.write(saved, output.read())
            raise
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)


def _reuse_freed_memory() -> None:
    """Make the C library reuse freed memory instead of returning it to the kernel.

    A training step allocates the same large arrays as the one before. Returned and requested again, their pages are
    filled with zeros each time, which takes up to 40 % of the processor time. Without glibc there is no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter, value in _REUSE.items():
            mallopt(parameter, value)
