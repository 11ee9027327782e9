"""The result of a data set's reader: the rows of the file, parsed but not validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64, I64


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one household's file, in the file's order.

    ``instant_ms`` ``[R]`` is each row's time (epoch, UTC), ``gap_kw`` ``[R]`` its active power (kW), NaN if
    the reading is marked as missing, ``line`` ``[R]`` its line in the file. ``extra`` holds the
    other measured features, by the names and units of :data:`gapcast.core.windows.features.MEASURED`, each ``[R]``.
    ``sha256`` is of the uncompressed text. With ``each_minute``
    the set has one row per minute, so that any other time is an error; otherwise rows may be samples.
    ``time_kind`` is the kind of the timestamps, for reports. ``hold_min`` is for how long a sample holds until the next
    one, if the format sets it; rows are then samples. ``remarks`` are sentences on how the file was read.
    """

    path: Path
    source: str
    sha256: str
    instant_ms: I64
    gap_kw: F64
    line: I64
    extra: Mapping[str, F64] = field(default_factory=dict)
    each_minute: bool = True
    time_kind: str = ""
    hold_min: float | None = None
    remarks: tuple[str, ...] = ()

    def select(self, chosen: NDArray[np.bool_]) -> Table:
        """Return the rows that are ``chosen`` ``[R]``."""
        extra = {name: values[chosen] for name, values in self.extra.items()}
        return replace(
            self, instant_ms=self.instant_ms[chosen], gap_kw=self.gap_kw[chosen], line=self.line[chosen], extra=extra
        )
