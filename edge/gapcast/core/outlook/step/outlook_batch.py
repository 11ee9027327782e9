"""The inputs and results of the outlooks of a batch, of the numpy and of the compiled step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.models.predictor import Prediction
from gapcast.core.outlook.correction.forecast_alignment import PublishedValues


class OutlookBatch(NamedTuple):
    """N windows in order; a device may have several.

    ``rows``, which index the state, and ``minutes`` are ``[N]``; ``windows`` ``[N, context]``, kW; ``is_measured``
    ``[N]``: the newest minute is a reading. ``history`` ``[N, steps]`` has the week's quarter-hours (None: unknown),
    ``prediction`` the model's forecasts, and ``published`` the published values to align with.
    """

    rows: I64
    minutes: I64
    windows: F32
    is_measured: NDArray[np.bool_]
    history: F32 | None
    prediction: Prediction
    published: PublishedValues
    issued_at_ms: int


class MadeOutlooks(NamedTuple):
    """The outlooks ``kw`` ``[N, K, 2, 4]`` of a batch, with the lowest power ``floor_kw`` ``[N]`` of their bounds.

    ``quantiles_kw`` ``[N, K, Q]`` are all quantiles of means forecast by the model, rising.
    """

    kw: F64
    floor_kw: F64
    quantiles_kw: F64
