"""TensorFlow without what it says to everyone on its way in."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from tempfile import TemporaryFile

_STDERR = 2
_SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",  # models of this size need no GPU
    "TF_NUM_INTRAOP_THREADS": "2",  # nor more threads
    "TF_NUM_INTEROP_THREADS": "1",
}


def import_tensorflow() -> None:
    """Import TensorFlow; what it writes to standard error is shown only if the import fails.

    Its first messages (compiler flags, no GPU) are written before any setting of its own can hold
    them back. Settings that the environment holds already stay.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    sys.stderr.flush()
    kept = os.dup(_STDERR)
    with TemporaryFile() as said:
        os.dup2(said.fileno(), _STDERR)
        try:
            import_module("tensorflow")
            import_module("tensorflow.lite.python.lite")
        except BaseException:
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
