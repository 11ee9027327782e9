"""The named inputs of an interpreter, for one batch size."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from gapcast.core.arrays.array_types import F32

#: Input name -> shape of one row.
Shapes = Mapping[str, tuple[int, ...]]
#: Copies the rows of a whole batch into an input.
Setter = Callable[[F32], object]
#: numpy has a single object for each built-in type: comparing identity takes less time than equality.
_FLOAT32 = np.dtype(np.float32)


class InputBatch:
    """Sets inputs to rows, at most the batch size of each; the remaining rows of a batch are stale."""

    def __init__(self, size: int, shapes: Shapes, setters: Mapping[str, Setter]) -> None:
        """Set inputs of row ``shapes``, for batches of ``size`` rows, with the ``setters`` of their names."""
        self.size = size
        self._inputs = {
            name: (setters[name], np.zeros((size, *shape), dtype=np.float32)) for name, shape in shapes.items()
        }

    def arrays(self) -> dict[str, F32]:
        """Return the rows that fill up batches of fewer than ``size`` rows."""
        return {name: batch for name, (_, batch) in self._inputs.items()}

    def set_rows(self, rows: Mapping[str, F32]) -> int:
        """Set each input to its ``rows``; return the number of rows.

        Raises :class:`ValueError` if an input is missing or unknown.
        """
        if rows.keys() != self._inputs.keys():
            msg = f"it takes {sorted(self._inputs)}, not {sorted(rows)}"
            raise ValueError(msg)
        n = 0
        for name, values in rows.items():
            set_tensor, batch = self._inputs[name]
            n = len(values)
            if n == self.size and values.dtype is _FLOAT32:
                set_tensor(values)
            else:
                batch[:n] = values
                set_tensor(batch)
        return n
