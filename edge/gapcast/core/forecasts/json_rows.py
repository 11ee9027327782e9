"""JSON documents of one template, a batch at a time, in C: ``struct json_rows`` of ``edge/native/json_rows.c``.

The template is the common part of all documents of a batch: constant texts, and slots for the values of each document
between them. Without the compiled library, or if it cannot write a value, :meth:`JsonTemplate.fill` returns the same
bytes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.compiled.functions import POINTERS, BatchArrays, Function, ResizableArrays, byte_array, set_pointers
from gapcast.core.arrays.array_types import I64
from gapcast.core.forecasts.forecast import SHARE_DECIMALS

#: Most texts of a document.
MAX_TEXTS = 16
#: Most bytes of a value that is not a text, and of a packet besides its topic and document.
_VALUE_BYTES, _PACKET_BYTES = 24, 32
_SIZES = (
    "n_slots", "n_texts", "n_values", "n_text_bytes", "capacity", "head", "has_properties", "n_before", "n_topic",
)  # fmt: skip
_ARRAYS = {
    "constants": "u1", "constant_ends": "i8", "kinds": "u1", "topic": "u1", "values": "f8", "expiry_s": "i8",
    "packet_ids": "i8", "out": "u1", "bounds": "i8",
}  # fmt: skip
#: The batch's arrays: the type of their values, and the shape of an entry as numbers or names of sizes.
_BATCH: BatchArrays = {
    "values": ("f8", ("n_values",)), "expiry_s": ("i8", ()), "packet_ids": ("i8", ()), "bounds": ("i8", (2,)),
}  # fmt: skip


class SlotKind(IntEnum):
    """The kind of a value: text without escapes, an integer, or a number formatted by ``repr`` or ``%.3f``."""

    TEXT = 0
    INTEGER = 1
    NUMBER = 2
    WEIGHT = 3


#: The Python conversion of a value of each kind.
_CONVERSIONS = {
    SlotKind.TEXT: "%s", SlotKind.INTEGER: "%d", SlotKind.NUMBER: "%r", SlotKind.WEIGHT: f"%.{SHARE_DECIMALS}f",
}  # fmt: skip


class JsonTemplate(NamedTuple):
    """The constant text before each value and at the end (one more than values), and the ``kinds`` of the values."""

    constants: tuple[str, ...]
    kinds: tuple[SlotKind, ...]

    @classmethod
    def from_parts(cls, parts: Iterable[str | SlotKind]) -> JsonTemplate:
        """Return the template with these ``parts``, in order.

        >>> JsonTemplate.from_parts(['{"v":', "1", ',"kw":', SlotKind.NUMBER, "}"]).constants
        ('{"v":1,"kw":', '}')
        """
        constants, kinds = [""], list[SlotKind]()
        for part in parts:
            if isinstance(part, SlotKind):
                kinds.append(part)
                constants.append("")
            else:
                constants[-1] += part
        return cls(tuple(constants), tuple(kinds))

    @property
    def n_values(self) -> int:
        """The number of values that are not texts."""
        return len(self.kinds) - self.kinds.count(SlotKind.TEXT)

    def fill(self, texts: Sequence[str], values: NDArray[np.float64]) -> list[bytes]:
        """Return N documents with ``values`` ``[N, V]`` and ``texts``: all first texts, then all second texts."""
        n, format_string = len(values), _format_string_of(self)
        of_texts = iter([texts[begin : begin + n] for begin in range(0, len(texts), n)] if n else ())
        of_values = iter(values.T.tolist())
        columns = [next(of_texts if kind is SlotKind.TEXT else of_values) for kind in (self.kinds if n else ())]
        return [(format_string % row).encode() for row in zip(*columns, strict=True)]


@lru_cache(maxsize=16)
def _format_string_of(template: JsonTemplate) -> str:
    """Return ``template`` with a placeholder for each value, for the operator ``%``."""
    constants = [constant.replace("%", "%%") for constant in template.constants]
    parts = (constant + _CONVERSIONS[kind] for constant, kind in zip(constants, template.kinds, strict=False))
    return "".join(parts) + constants[-1]


class Packets(NamedTuple):
    """How documents are published: each on the topic ``before`` + its first text + ``after``.

    ``head`` is the first byte of a packet at QoS 0.
    """

    before: bytes
    after: bytes
    head: int


class WrittenRows(NamedTuple):
    """The bytes of a batch, valid until the next batch, and the bounds of each document in them ``[N, 2]``."""

    content: memoryview
    bounds: I64


class JsonRowsStruct(ctypes.Structure):
    """The argument of ``gapcast_json_rows``."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in _SIZES),
        ("texts", ctypes.c_char_p),
        *((name, POINTERS[kind]) for name, kind in _ARRAYS.items()),
    ]


class JsonRows:
    """Writes documents of one ``template``, alone or each in an MQTT packet that publishes it."""

    def __init__(self, function: Function, template: JsonTemplate, packets: Packets | None = None) -> None:
        """Write with ``function``, the library's ``gapcast_json_rows``."""
        self._function, self._struct = function, JsonRowsStruct()
        self._address = ctypes.addressof(self._struct)
        constants = [constant.encode() for constant in template.constants]
        topic = b"" if packets is None else packets.before + packets.after
        self._n_constant = sum(map(len, constants)) + len(topic)
        self._n_values = template.n_values
        struct = self._struct
        struct.n_slots, struct.n_values = len(template.kinds), template.n_values
        struct.n_texts = len(template.kinds) - template.n_values
        if packets is not None:
            struct.head, struct.n_before, struct.n_topic = packets.head, len(packets.before), len(topic)
        self._arrays: dict[str, NDArray[Any]] = {
            "constants": byte_array(b"".join(constants)),
            "constant_ends": np.cumsum([len(constant) for constant in constants], dtype=np.int64),
            "kinds": np.array(template.kinds, dtype=np.uint8),
            "topic": byte_array(topic),
        }
        set_pointers(struct, **self._arrays)
        self._batch = ResizableArrays(struct, _BATCH)
        self._has_ids = False
        self._out = byte_array(b"")

    def values(self, n: int) -> NDArray[np.float64]:
        """Return a writable array for the values of ``n`` documents ``[n, V]`` that are not texts."""
        if n != self._batch.n:
            self._batch.resize(n)
        return self._batch.views["values"]

    def write(
        self, texts: Sequence[str], n: int, expiry_s: Sequence[int] = (), packet_ids: Sequence[int] = ()
    ) -> WrittenRows | None:
        """Return ``n`` documents with the :meth:`values` and ``texts``: all first texts, then all second texts.

        ``expiry_s`` (empty: MQTT 3.1.1) and ``packet_ids`` (empty: QoS 0) are for packets. None if a value has another
        form than its kind: then Python must write it.
        """
        content = ("\0".join(texts) + "\0").encode() if texts else b""
        n_bytes, struct = len(content), self._struct
        struct.texts = content  # the structure holds the bytes
        n_out = n * (self._n_constant + _VALUE_BYTES * self._n_values + _PACKET_BYTES) + 2 * n_bytes
        if n_out > len(self._out):
            self._out = np.zeros(n_out, dtype=np.uint8)
            set_pointers(struct, out=self._out)
            struct.capacity = n_out
        struct.has_properties = bool(expiry_s)
        arrays = self._batch.arrays
        if expiry_s:
            arrays["expiry_s"][:n] = expiry_s
        if packet_ids or self._has_ids:
            arrays["packet_ids"][...] = 0
            arrays["packet_ids"][: len(packet_ids)] = packet_ids
            self._has_ids = bool(packet_ids)
        struct.n_text_bytes = n_bytes
        n_written = self._function(self._address, n)
        return None if n_written < 0 else WrittenRows(self._out.data[:n_written], arrays["bounds"][:n])


class JsonDocuments:
    """Writes documents of one ``template``, a batch at a time: in C if possible, else in Python with the same bytes."""

    def __init__(self, template: JsonTemplate, function: Function | None, packets: Packets | None = None) -> None:
        """Write with ``function``, the library's ``gapcast_json_rows``; None: in Python."""
        self._template = template
        self._rows = None if function is None else JsonRows(function, template)
        #: Writes each document in a packet by ``packets``; None without these, or without the library.
        self.packets = None if function is None or packets is None else JsonRows(function, template, packets)

    def values(self, n: int) -> NDArray[np.float64]:
        """Return a writable array for the values of ``n`` documents ``[n, V]`` that are not texts."""
        return np.empty((n, self._template.n_values)) if self._rows is None else self._rows.values(n)

    def write(self, texts: list[str], values: NDArray[np.float64]) -> list[bytes]:
        """Return documents with ``values`` of :meth:`values` and ``texts``: all first ones, then all second ones."""
        n = len(values)
        written = None if self._rows is None else self._rows.write(texts, n)
        if written is None:
            return self._template.fill(texts, values)
        content = bytes(written.content)
        return [content[begin:end] for begin, end in written.bounds.tolist()]
