"""What a reader of a data set hands on: its rows as they stand in the file, parsed and not yet judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.core.window import I64

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one household's file, in the file's order.

    ``second`` ``[R]`` is each row's time in epoch seconds, ``gap_kw`` ``[R]`` its mean active power (kW),
    NaN where the row says that the reading is missing. Row ``i`` stands on line ``first_line + i``.
    ``sha256`` is that of the text itself, the same whether it came in a zip or not.
    """

    path: Path
    source: str
    sha256: str
    second: I64
    gap_kw: F64
    first_line: int

    def line_of(self, row: int) -> int:
        """Return the line of the file that a row stands on."""
        return self.first_line + row
