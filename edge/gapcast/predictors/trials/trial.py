"""The trial of an untrusted model: a child process loads and self-tests it before this process loads it.

The child does what the service will do with the model: it creates the interpreter for each batch size, replays the
golden example, and runs full batches of ordinary and extreme windows. A file that crashes the runtime, allocates
without bound, loops, or takes so long for a batch that it would stall the stream is rejected here.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.errors import ModelError
from gapcast.core.models.card import ModelCard
from gapcast.predictors.models_folder.files import ModelFiles
from gapcast.predictors.models_folder.store import build_model, check_files
from gapcast.predictors.tflite.model_interpreters import BATCH_SIZES
from gapcast.predictors.tflite.runtime import load_interpreter
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.predictors.trials.confinement import ChildLimits, open_scratch, run_confined

#: Address space that any model may use in its trial, the additional space per byte of its file, and the maximum of both
#: together. The runtime maps some 20 MB with its first interpreter. The libraries, loaded before, take 140 MB and are
#: not counted. A bundled model of 330 kB takes 18 MB at all batch sizes, 55 times its file size.
_BASE_BYTES, _BYTES_PER_FILE_BYTE, _MAX_BYTES = 64 << 20, 64, 256 << 20
#: Maximum processor time for a batch. A bundled model takes a few milliseconds, on a Raspberry Pi Zero some tens of
#: them.
MAX_BATCH_S = 2.0
_LENGTHS = struct.Struct(">II")
#: Powers that meters can send, and some that they cannot, kW.
_EXTREME_KW = (0.0, 1e-30, -1e6, 1e6)


def trial_limits(files: ModelFiles) -> ChildLimits:
    """Return the limits for the trial of a model."""
    return ChildLimits(min(_BASE_BYTES + _BYTES_PER_FILE_BYTE * len(files.model), _MAX_BYTES))


def try_model(
    files: ModelFiles,
    folder: Path,
    limits: ChildLimits | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Load and self-test the ``files`` read from ``folder`` in a child process.

    Raises :class:`ModelError` if the model fails, or its trial exceeds ``limits`` or ends the child.
    """
    check_files(files, folder)  # obvious errors need no child process
    name = str(folder).encode()
    try:
        with open_scratch() as given:
            given.write(_LENGTHS.pack(len(name), len(files.card)))
            for part in (name, files.card, files.model):
                given.write(part)
            given.flush()
            limits = limits or trial_limits(files)
            what = f"{folder}: the model was not loaded: its self-test"
            run_confined(f"{__name__}:run_trial", given, limits, what, is_cancelled)
    except OSError as error:
        msg = f"{folder}: the model was not loaded: no file for its self-test ({error.strerror or error})"
        raise ModelError(msg) from error


def load_libraries() -> None:
    """Load the TFLite runtime, in the child, before its memory is limited."""
    load_interpreter()


def run_trial(given: IO[bytes]) -> bytes:
    """Load and test the model that :func:`try_model` wrote to ``given``; return an empty answer. Runs in the child."""
    n_place, n_card = _LENGTHS.unpack(given.read(_LENGTHS.size))
    folder = Path(given.read(n_place).decode())
    files = ModelFiles(given.read(n_card), given.read())
    card = check_files(files, folder)
    model = build_model(files, card)
    for windows in probe_windows(card):
        check_batch(model, windows, time.process_time, probe_history(card, windows))
    if model.sizes != BATCH_SIZES:
        msg = f"model {card.name}: the runtime takes {model.sizes} rows at a time, not each of {BATCH_SIZES}"
        raise ModelError(msg)
    return b""


def probe_windows(card: ModelCard) -> Iterator[F32]:
    """Yield ordinary and extreme batches ``[N, context, features]`` of every batch size."""
    for size in BATCH_SIZES:
        shape = (size, card.context, len(card.features))
        ordinary_kw = 2.5 + 2.5 * np.sin(np.arange(math.prod(shape)))
        yield ordinary_kw.reshape(shape).astype(np.float32)
        yield np.resize(np.asarray(_EXTREME_KW, dtype=np.float32), shape)


def probe_history(card: ModelCard, windows: F32) -> F32 | None:
    """Return histories ``[N, steps]`` with the values of ``windows``; None if the model has no history input."""
    return np.resize(windows, (len(windows), card.history_steps)) if card.history else None


def check_batch(model: TflitePredictor, windows: F32, clock_s: Callable[[], float], history: F32 | None = None) -> None:
    """Run one batch, and also its head on a trunk of zeros if the model can continue from a trunk.

    Raises :class:`ModelError` if the batch takes longer than :data:`MAX_BATCH_S` or the output has a wrong shape.
    """
    start_s = clock_s()
    prediction = model.predict(windows, history)
    took_s = clock_s() - start_s
    if took_s > MAX_BATCH_S:
        msg = f"model {model.name}: a batch of {len(windows)} windows takes {took_s:.1f} s, more than {MAX_BATCH_S:g} s"
        raise ModelError(msg)
    trunk = model.zero_trunk_outputs(windows)
    if trunk is not None:
        model.predict_from_trunk(trunk, history)
    of_mean = (len(windows), len(model.lead_times_min))
    of_quantiles = (*of_mean, len(model.quantile_levels or ()))
    expected = [of_quantiles if name.startswith("quantiles") else of_mean for name in model.card.outputs]
    found = [getattr(prediction, name).shape for name in model.card.outputs]
    if found != expected:
        msg = f"model {model.name}: a batch gives the shapes {found}, not {expected}"
        raise ModelError(msg)
