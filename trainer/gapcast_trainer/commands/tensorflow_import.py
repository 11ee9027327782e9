"""Imports TensorFlow without its startup messages."""

from __future__ import annotations

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


def import_tensorflow() -> None:
    """Import TensorFlow; show its messages on standard error only if the import fails.

    Its first messages (compiler flags, no GPU) are written before its own settings can suppress
    them. Environment variables that are already set stay.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
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
