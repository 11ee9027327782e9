"""What a reader of a data set hands on: its rows as they stand in the file, parsed and not yet judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapcast.core.window import I64

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one household's file, in the file's order.

    ``instant_ms`` ``[R]`` is each row's time (epoch, UTC), ``gap_kw`` ``[R]`` its active power (kW), NaN where
    the row says that the reading is missing, ``line`` ``[R]`` where it stands in the file. ``extra`` holds what
    else was measured, by the names and units of :data:`gapcast.core.features.MEASURED`, each ``[R]``.
    ``sha256`` is that of the text itself, the same whether it came packed or not. ``each_minute`` says that
    the set has one row a minute, so that any other time is a fault; elsewhere rows may be samples.
    """

    path: Path
    source: str
    sha256: str
    instant_ms: I64
    gap_kw: F64
    line: I64
    extra: Mapping[str, F64] = field(default_factory=dict)
    each_minute: bool = True
