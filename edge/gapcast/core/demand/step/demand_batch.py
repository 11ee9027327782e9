"""The inputs of the demands of a batch of readings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.billing.device_windows import WindowState
from gapcast.core.outlook.outlook import ModelMeans


class DemandBatch(NamedTuple):
    """N readings, those of one device in order. Power in kW.

    ``rows`` are those of the buffers, ``minutes`` the newest ones, ``last_kw`` the readings with planned loads, and
    ``states`` the running windows after them. ``windows`` ``[N, context]`` are the readings until then, without planned
    loads, and ``means`` the outlook model's. ``mean_kw`` ``[N, K]`` are the outlooks' means, ``point_kw`` ``[N, K, 4]``
    their single minutes.
    """

    rows: Sequence[int]
    minutes: Sequence[int]
    last_kw: Sequence[float]
    states: Sequence[WindowState]
    windows: F32
    means: ModelMeans
    mean_kw: F64
    point_kw: F64
    issued_at_ms: int
