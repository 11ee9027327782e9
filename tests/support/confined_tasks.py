"""Tasks for :func:`gapcast.predictors.trials.confinement.run_confined` that misbehave, each in one way."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import tempfile
from pathlib import Path
from typing import IO

import numpy as np

from gapcast.core.errors import ModelError
from gapcast.predictors.models_folder.store import load_model
from gapcast.predictors.tflite.runtime import load_interpreter
from tests.support.models import shipped_models

MB = 1 << 20
_PR_GET_PDEATHSIG = 2
_max_files_at_load: list[tuple[int, int]] = []


def load_libraries() -> None:
    _max_files_at_load.append(resource.getrlimit(resource.RLIMIT_NOFILE))
    load_interpreter()


def echo(given: IO[bytes]) -> bytes:
    return given.read()


def show_environment(_: IO[bytes]) -> bytes:
    return json.dumps(dict(os.environ)).encode()


def show_max_files_at_load(_: IO[bytes]) -> bytes:
    return json.dumps(_max_files_at_load).encode()


def refuse(given: IO[bytes]) -> bytes:
    raise ModelError(given.read().decode())


def fail(_: IO[bytes]) -> bytes:
    return str(1 // 0).encode()


def allocate(_: IO[bytes]) -> bytes:
    return np.ones(1 << 30).tobytes()[:1]


def loop(_: IO[bytes]) -> bytes:
    while True:
        pass


def wait(_: IO[bytes]) -> bytes:
    signal.pause()
    return b""


def crash(_: IO[bytes]) -> bytes:
    os.kill(os.getpid(), signal.SIGSEGV)
    return b""


def be_killed(_: IO[bytes]) -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def end_by_alarm(_: IO[bytes]) -> bytes:
    """End as at the child's own limit of time, which comes first if its parent is stopped or busy."""
    signal.raise_signal(signal.SIGALRM)
    return b""


def leave(_: IO[bytes]) -> bytes:
    os._exit(7)


def open_many_files(_: IO[bytes]) -> bytes:
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1_000)]
    return str(len(files)).encode()


def fill_a_disk(_: IO[bytes]) -> bytes:
    with tempfile.TemporaryFile() as file:
        file.write(bytes(MB))
    return b""


def show_ends(_: IO[bytes]) -> bytes:
    """Show what ends this process from outside: its parent's end, its time limit, and a lack of memory."""
    of_parent = ctypes.c_int()
    ctypes.CDLL(None).prctl(_PR_GET_PDEATHSIG, ctypes.byref(of_parent))
    oom_score = int(Path("/proc/self/oom_score_adj").read_text(encoding="ascii"))
    return json.dumps([of_parent.value, signal.alarm(0) > 0, oom_score]).encode()


def echo_after_output(given: IO[bytes]) -> bytes:
    """Write to standard output, as native libraries do, and echo."""
    os.write(1, b"+INFO: a library was loaded")
    return given.read()


def dump_core(_: IO[bytes]) -> bytes:
    return str(resource.getrlimit(resource.RLIMIT_CORE)).encode()


def predict_with_no_memory_left(_: IO[bytes]) -> bytes:
    """Forecast 32 windows where no interpreter but that for one row can be made; return how many forecasts came."""
    model = load_model(shipped_models() / "lstm-16-8")
    shape = model.spec.context, len(model.features)
    model.predict(np.zeros((1, *shape), dtype=np.float32))
    windows = np.zeros((32, *shape), dtype=np.float32)
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used, used))
    n_forecasts = len(model.predict(windows).mean)
    return f"{n_forecasts} by {model.sizes}".encode()
