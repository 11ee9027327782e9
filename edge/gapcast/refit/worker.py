"""Runs a refit in a separate process: with the lowest priority, and with limits on memory and time.

The forecasting process never imports LightGBM, and a fit that fails, hangs or runs out of memory ends only itself.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from gapcast.core.errors import ModelError, StateError
from gapcast.core.learning.forests.forest import Forest
from gapcast.core.windows.window import Padding, WindowSpec
from gapcast.predictors.trials.confinement import ChildLimits, open_scratch, run_confined
from gapcast.refit.forest_file import RefitResult, decode_arrays, decode_result, encode_arrays, encode_result
from gapcast.refit.minutes import RecordedMinutes

if TYPE_CHECKING:  # the worker does not load the engine
    from gapcast.core.engine import Engine

#: Limits of a refit: address space beyond the loaded libraries, processor time, total time and result size. A refit on
#: eight weeks takes about 15 s and 100 MB; a Raspberry Pi needs several times as long, at the lowest priority.
LIMITS = ChildLimits(memory_bytes=512 << 20, cpu_s=600, wall_s=3_600.0, answer_bytes=16 << 20)
#: The nice value of a process that runs only while no other process needs the processor.
LOWEST_PRIORITY = 19
_FORMER = "former "
_NO_LIGHTGBM = (
    "LightGBM cannot be loaded ({}): install gapcast with its extra 'refit', and the library libgomp1 with the "
    "system's packages, as described in docs/refit.md"
)


@dataclass(frozen=True, slots=True)
class FitOptions:
    """The purpose of a forest: ``horizon_min``, windows of ``spec``, and the time of day in ``zone``.

    ``submeters`` are the names of the submeters whose powers are inputs.
    """

    horizon_min: int
    spec: WindowSpec
    zone: tzinfo
    submeters: tuple[str, ...] = ()

    @classmethod
    def for_device(cls, engine: Engine, device: str, zone: tzinfo) -> FitOptions:
        """Return the options for ``device``; ``engine`` may have longer windows, for outlooks, than its forests."""
        forests = engine.forecaster_of(device).forests
        features = forests.features_of(device)
        spec = WindowSpec(features.context, engine.buffers.spec.padding)
        return cls(forests.horizon_min, spec, zone, features.submeters)


@dataclass(frozen=True, slots=True)
class FormerForest:
    """The ``forest`` in use, and the minute of the newest reading to which it was fitted."""

    forest: Forest
    fitted_at_min: int


def refit_confined(
    house: RecordedMinutes,
    options: FitOptions,
    former: FormerForest | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
    limits: ChildLimits = LIMITS,
    *,
    niceness: int = LOWEST_PRIORITY,
) -> RefitResult:
    """Fit and check a forest for ``house`` in a child process of ``niceness``; ``former`` is the forest in use.

    Raises :class:`ModelError` if the child exceeds one of ``limits``, is killed, cannot be started or cannot load
    LightGBM, or ``is_cancelled`` returns true while it runs.
    """
    newest = house.newest().with_submeters(options.submeters)
    arrays: dict[str, NDArray[Any]] = {
        "minutes": newest.minutes,
        "gap_kw": newest.gap_kw,
        "is_filled": newest.is_filled.astype(np.uint8),
        "numbers": np.array([options.horizon_min, options.spec.context, niceness]),
        "names": np.array([options.spec.padding, str(options.zone), *options.submeters]),
        "submeters_kw": np.array(list(newest.submeters_kw.values()), dtype=np.float32).reshape(-1, len(newest)),
    }
    if former is not None:
        arrays["former"] = np.array([former.fitted_at_min])
        arrays |= {f"{_FORMER}{name}": array for name, array in former.forest.arrays().items()}
    with open_scratch() as given:
        given.write(encode_arrays(arrays))
        given.flush()
        answer = run_confined(f"{__name__}:run_refit", given, limits, "the refit", is_cancelled)
    try:
        return decode_result(answer)
    except StateError as error:  # pragma: no cover - both processes run the same version
        msg = f"the answer of the refit cannot be read: {error}"
        raise ModelError(msg) from error


def load_libraries() -> None:
    """Load LightGBM, in the child, before its memory is limited."""
    with suppress(ImportError, OSError):  # reported by :func:`run_refit`
        import gapcast.refit.fit  # noqa: F401, PLC0415 - the forecasting process must not load LightGBM


def run_refit(given: IO[bytes]) -> bytes:
    """Fit the input that :func:`refit_confined` wrote to ``given``; return the result. Runs in the child."""
    try:
        from gapcast.refit.fit import refit  # noqa: PLC0415 - only the child loads LightGBM
    except (ImportError, OSError) as error:
        raise ModelError(_NO_LIGHTGBM.format(error)) from error
    arrays = decode_arrays(given.read())
    horizon_min, context, niceness = arrays["numbers"].tolist()
    rests = False
    try:
        os.nice(niceness)
    except PermissionError:  # as in the sandbox of systemd's unit, which permits no change of priorities
        rests = niceness > 0
    former = {name.removeprefix(_FORMER): array for name, array in arrays.items() if name.startswith(_FORMER)}
    padding, zone, *submeters = arrays["names"].tolist()
    submeters_kw = dict(zip(submeters, arrays["submeters_kw"], strict=True))
    spec = WindowSpec(context, _padding(padding))
    result = refit(
        RecordedMinutes(arrays["minutes"], arrays["gap_kw"], arrays["is_filled"].astype(bool), submeters_kw),
        FitOptions(horizon_min, spec, UTC if zone == "UTC" else ZoneInfo(zone), tuple(submeters)),
        FormerForest(Forest.from_arrays(former), int(arrays["former"][0])) if former else None,
        rests=rests,
    )
    return encode_result(replace(result, peak_mb=_peak_mb()))


def _padding(name: str) -> Padding:
    return "zero" if name == "zero" else "oldest"


def _peak_mb() -> float:
    """Return the peak memory of this process so far, MB (2**20 bytes)."""
    try:
        # Not getrusage: on Linux a new process begins with the peak memory of its parent.
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / (1 << 10)
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
