"""A fitted forest and the result of its fit as an uncompressed ``.npz``, for storage and as the worker's answer."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.errors import StateError
from gapcast.core.learning.forests.forest import Forest
from gapcast.storage.checkpoints.npz_archive import read_arrays, write_arrays
from gapcast.text.json_input import decode_json

VERSION = 1
_ABOUT = "about"


@dataclass(frozen=True, slots=True)
class Skills:
    """Skill against persistence on the checked windows: of the mean by MSE, of the median by MAE."""

    mse_skill: float
    mae_skill: float


@dataclass(frozen=True, slots=True)
class RefitResult:
    """A fitted forest, or why there is none (``problem``); ``skills`` on the ``n_checked`` newest windows.

    ``former`` are the skills of the former forest on the same windows; ``n_windows`` were fitted, for a horizon of
    ``horizon_min``, in ``took_s`` of processor time and at most ``peak_mb`` of memory. ``fitted_at_min`` is the minute
    of the newest of ``n_readings``, ``ran_at_min`` the minute of the refit by the gateway's clock, 0 if unknown.
    """

    forest: Forest | None
    problem: str
    horizon_min: int
    n_windows: int
    n_checked: int
    skills: Skills | None
    former: Skills | None
    took_s: float
    fitted_at_min: int = 0
    peak_mb: float = 0.0
    n_readings: int = 0
    ran_at_min: int = 0


def encode_result(result: RefitResult) -> bytes:
    """Return ``result`` as bytes for :func:`decode_result`."""
    about = {**asdict(result), "forest": None, "version": VERSION}
    arrays: dict[str, NDArray[Any]] = {} if result.forest is None else result.forest.arrays()
    return encode_arrays({_ABOUT: np.array(json.dumps(about)), **arrays})


def decode_result(content: bytes) -> RefitResult:
    """Decode the output of :func:`encode_result`; raise :class:`StateError` if it is damaged or of a newer version."""
    arrays = decode_arrays(content)
    try:
        about = decode_json(str(arrays.pop(_ABOUT)[()]))
        version = about.pop("version")
        if version != VERSION:
            msg = f"it is of version {version}, this gapcast reads version {VERSION}"
            raise StateError(msg)
        about["forest"] = Forest.from_arrays(arrays) if arrays else None
        for name in ("skills", "former"):
            about[name] = None if about[name] is None else Skills(**about[name])
        return RefitResult(**about)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"its description is damaged: {error}"
        raise StateError(msg) from error


def encode_arrays(arrays: dict[str, NDArray[Any]]) -> bytes:
    """Return ``arrays`` as bytes for :func:`decode_arrays`."""
    file = BytesIO()
    write_arrays(file, arrays)
    return file.getvalue()


def decode_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Decode the output of :func:`encode_arrays`; raise :class:`StateError` if it is damaged."""
    try:
        return read_arrays(BytesIO(content))
    except MemoryError:
        raise
    except Exception as error:  # a damaged header may raise any error
        msg = f"it is damaged: {error}"
        raise StateError(msg) from error
