"""The lists of powers of outlooks as JSON, in C where the library is built for the machine."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from gapcast.compiled.functions import Function, load_function, set_pointers
from gapcast.core.outlook.outlook import N_COLUMNS, Outlooks

#: Bytes of a number at most, with a comma.
MAX_NUMBER = 20


class JsonStruct(ctypes.Structure):
    """``struct outlook_json`` of ``edge/native/outlook_json.c``."""

    _fields_ = (
        ("n_leads", ctypes.c_int64),
        ("n_head", ctypes.c_int64),
        ("row_bytes", ctypes.c_int64),
        ("point_kw", ctypes.POINTER(ctypes.c_double)),
        ("mean_kw", ctypes.POINTER(ctypes.c_double)),
        ("heads", ctypes.POINTER(ctypes.c_uint8)),
        ("text", ctypes.POINTER(ctypes.c_uint8)),
        ("n_bytes", ctypes.POINTER(ctypes.c_int64)),
    )


class PowerLists:
    """Writes the lists of batches of outlooks with ``n_leads`` lead times, each with its name, and a comma between."""

    def __init__(self, function: Function, names: Sequence[str], n_leads: int) -> None:
        """Write the lists ``names``: those of the columns of minutes, then those of means."""
        heads = [f'{"," if i else ""}"{name}":['.encode() for i, name in enumerate(names)]
        self._function, self._n_leads = function, n_leads
        self._json = json = JsonStruct()
        self._address = ctypes.addressof(json)
        self._heads = np.array(heads, dtype=bytes).view(np.uint8).reshape(len(names), -1)
        json.n_leads, json.n_head = n_leads, self._heads.shape[1]
        json.row_bytes = self._row_bytes = self._heads.size + len(names) * (n_leads * MAX_NUMBER + 1)
        set_pointers(json, heads=self._heads)
        self._allocate(1)

    @classmethod
    def of(cls, names: Sequence[str], n_leads: int) -> PowerLists | None:
        """Return the writer; None if there is no library."""
        function = load_function("gapcast_outlook_json")
        return None if function is None else cls(function, names, n_leads)

    def write(self, outlooks: Outlooks) -> list[bytes] | None:
        """Return the lists of each of ``outlooks``; None if a power has too many digits or is not a number."""
        n = len(outlooks)
        if n > len(self._n_bytes):
            self._allocate(n)
        self._point_kw[:n], self._mean_kw[:n] = outlooks.point_kw, outlooks.mean_kw
        if self._function(self._address, n):
            return None
        text, n_bytes = self._text[: n * self._row_bytes].tobytes(), self._n_bytes[:n].tolist()
        begins = range(0, n * self._row_bytes, self._row_bytes)
        return [text[begin : begin + length] for begin, length in zip(begins, n_bytes, strict=True)]

    def _allocate(self, capacity: int) -> None:
        """Allocate the arrays of ``capacity`` outlooks."""
        self._point_kw, self._mean_kw = np.zeros((2, capacity, self._n_leads, N_COLUMNS))
        self._text, self._n_bytes = np.zeros(capacity * self._row_bytes, np.uint8), np.zeros(capacity, np.int64)
        set_pointers(self._json, point_kw=self._point_kw, mean_kw=self._mean_kw, text=self._text, n_bytes=self._n_bytes)
