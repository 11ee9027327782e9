"""Demands as texts, written in C: one call for a batch, with the result of :mod:`gapcast.core.demand.demand_json`."""

from __future__ import annotations

import ctypes
import json
from functools import lru_cache
from typing import Final

import numpy as np

from gapcast.compiled.functions import Function, load_function, set_pointers
from gapcast.core.demand.demand import N_COLUMNS, Demands
from gapcast.core.demand.demand_texts import DemandTexts
from gapcast.core.grid import instant_label

#: Bytes of a document, but for the device's name and the texts of the batch, at most.
_MOST_BYTES: Final = 1_536
_function = lru_cache(maxsize=1)(load_function)


class _TextsStruct(ctypes.Structure):
    """``struct demand_texts`` of ``demand_json.c``."""

    _fields_ = (
        ("demands", ctypes.POINTER(ctypes.c_double)), ("devices", ctypes.c_char_p), ("of_batch", ctypes.c_char_p),
        ("text", ctypes.POINTER(ctypes.c_uint8)), ("numbers", ctypes.POINTER(ctypes.c_int64)),
    )  # fmt: skip


class _Buffers:
    """Arrays at addresses that only change when a batch is larger than all before. One batch at a time uses them."""

    def __init__(self) -> None:
        self.struct = _TextsStruct()
        self.address = ctypes.addressof(self.struct)
        self.n = self.n_bytes = 0

    def resize(self, n: int, n_bytes: int) -> None:
        """Have room for ``n`` demands whose documents have ``n_bytes`` at most."""
        if n > self.n or n_bytes > self.n_bytes:
            self.n, self.n_bytes = n, n_bytes
            self.demands, self.numbers = np.empty((n, N_COLUMNS)), np.empty((n, 3), dtype=np.int64)
            self.text = np.empty(n_bytes, dtype=np.uint8)
            set_pointers(self.struct, demands=self.demands, numbers=self.numbers, text=self.text)


#: Buffers that no thread uses now.
_free: list[_Buffers] = []
#: Texts of models and their versions.
_text = lru_cache(maxsize=16)(json.dumps)


def compiled_texts(demands: Demands) -> DemandTexts | None:
    """Return the texts of ``demands``; None without a library, or if a number is too large for it."""
    write = _function("gapcast_write_demands")
    if write is None:
        return None
    try:
        buffers = _free.pop()
    except IndexError:
        buffers = _Buffers()
    texts = _written(demands, write, buffers)
    _free.append(buffers)
    return texts


def _written(demands: Demands, write: Function, buffers: _Buffers) -> DemandTexts | None:
    model, n = demands.model, len(demands.devices)
    of_batch = (
        f',"issued_at":"{instant_label(demands.issued_at_ms)}"'
        f',"model":{_text(model.name)},"model_version":{_text(model.version)},'
    ).encode()
    devices = "\n".join((*demands.devices, "")).encode()  # device ids need no escapes
    buffers.resize(n, n * (_MOST_BYTES + len(of_batch)) + len(devices))
    buffers.demands[:n] = demands.columns
    buffers.struct.devices, buffers.struct.of_batch = devices, of_batch
    if write(buffers.address, n) < 0:
        return None
    numbers = buffers.numbers[:n].tolist()
    text, begin, documents = buffers.text[: numbers[-1][0] if n else 0].tobytes(), 0, []
    for end, _, _ in numbers:
        documents.append(text[begin:end])
        begin = end
    return DemandTexts(documents, [one[1] for one in numbers], [one[2] for one in numbers])
