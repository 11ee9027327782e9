"""Writes the messages of a batch of demands in C: documents alone, or all MQTT packets of each demand.

The code is in ``edge/native/demand_messages.c``. Without the compiled library, or if it cannot write a value,
:class:`~gapcast.core.demand.documents.demand_json.DemandEncoder` and :mod:`~gapcast.core.demand.documents.max_power`
return the same bytes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.compiled.functions import (
    POINTERS,
    BatchArrays,
    Function,
    ResizableArrays,
    byte_array,
    load_function,
    set_pointers,
)
from gapcast.core.demand.demand import N_COLUMNS, Demands
from gapcast.core.demand.documents.demand_template import SOURCE_NAMES, DemandTemplate, demand_template
from gapcast.core.models.predictor import ModelIdentity

#: Number of messages of a demand: document, headroom and allowed power.
N_MESSAGES: Final = 3
#: Most bytes of a value that is not a text, and of a packet besides its topic and payload.
_VALUE_BYTES, _PACKET_BYTES = 24, 32
_SIZES = ("n_slots", "n_name_bytes", "capacity", "head", "number_head", "has_properties", "issued_at_ms")
_ARRAYS: Final = {
    "constants": "u1", "constant_ends": "i8", "kinds": "u1", "columns": "i8", "sources": "u1", "source_ends": "i8",
    "topics": "u1", "topic_ends": "i8", "demands": "f8", "packet_ids": "i8", "out": "u1", "bounds": "i8",
}  # fmt: skip
#: The batch's arrays: the type of their values, and the shape of an entry.
_BATCH: BatchArrays = {
    "demands": ("f8", (N_COLUMNS,)), "packet_ids": ("i8", (N_MESSAGES,)), "bounds": ("i8", (N_MESSAGES, 2)),
}  # fmt: skip


class DemandPackets(NamedTuple):
    """How demands are published: each message on the topic ``before`` + device name + ``after``.

    ``topics`` are the topics of the document, the headroom and the allowed power. ``head`` is the first byte of a
    document's packet at QoS 0, ``number_head`` the first byte of the other packets.
    """

    topics: Sequence[tuple[bytes, bytes]]
    head: int
    number_head: int


class WrittenDemands(NamedTuple):
    """The bytes of a batch, valid until the next batch, and the bounds of each message's payload in them.

    ``bounds`` is ``[N, N_MESSAGES, 2]``, zero for messages that are not sent.
    """

    content: memoryview
    bounds: NDArray[np.int64]


class DemandMessagesStruct(ctypes.Structure):
    """``struct demand_messages`` of ``edge/native/demand_messages.c``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in _SIZES),
        ("names", ctypes.c_char_p),
        *((name, POINTERS[kind]) for name, kind in _ARRAYS.items()),
    )


class DemandMessages:
    """Writes batches of demands. Device names need no escapes."""

    def __init__(self, function: Function, packets: DemandPackets | None = None) -> None:
        """Write documents with ``function``, or MQTT packets by ``packets``; see :meth:`create_if_available`."""
        self._function, self._struct = function, DemandMessagesStruct()
        self._address = ctypes.addressof(self._struct)
        self._model: tuple[str, str] | None = None
        sources = [name.encode() for name in SOURCE_NAMES]
        topics = [] if packets is None else [part for topic in packets.topics for part in topic]
        self._n_topic_bytes = sum(map(len, topics))
        if packets is not None:
            self._struct.head, self._struct.number_head = packets.head, packets.number_head
        self._arrays: dict[str, NDArray[Any]] = {}
        self._set(
            sources=byte_array(b"".join(sources)),
            source_ends=_ends_of(sources),
            topics=byte_array(b"".join(topics)),
            topic_ends=_ends_of(topics),
            out=byte_array(b""),
        )
        self._batch = ResizableArrays(self._struct, _BATCH)
        self._has_ids = False

    @classmethod
    def create_if_available(cls, packets: DemandPackets | None = None) -> DemandMessages | None:
        """Return a writer of documents, or of ``packets``; None without a compiled library."""
        function = load_function("gapcast_demand_messages")
        return None if function is None else cls(function, packets)

    def write(
        self, demands: Demands, *, has_properties: bool = False, packet_ids: Sequence[int] = ()
    ) -> WrittenDemands | None:
        """Return the messages of ``demands``.

        ``has_properties``: packets of MQTT 5, else of 3.1.1. ``packet_ids`` (empty: QoS 0) are at least as many as the
        messages, and are used in order. None if a value has another form than its kind: then Python must write the
        messages.
        """
        devices, struct, model = demands.devices, self._struct, demands.model
        n = len(devices)
        if (model.name, model.version) != self._model:
            self._use_template(model)
        if n != self._batch.n:
            self._batch.resize(n)
        batch = self._batch.views
        names = ("\0".join(devices) + "\0").encode() if n else b""
        struct.names, struct.n_name_bytes = names, len(names)  # the structure holds the bytes
        n_out = n * self._n_fixed + (1 + N_MESSAGES) * len(names)
        if n_out > len(self._out):
            self._set(out=np.zeros(n_out, dtype=np.uint8))
        batch["demands"][...] = demands.columns
        if packet_ids or self._has_ids:
            of_messages = self._batch.arrays["packet_ids"].reshape(-1)
            of_messages[...] = 0
            of_messages[: len(packet_ids)] = packet_ids
            self._has_ids = bool(packet_ids)
        struct.has_properties, struct.issued_at_ms = has_properties, demands.issued_at_ms
        n_written = self._function(self._address, n)
        return None if n_written < 0 else WrittenDemands(self._out.data[:n_written], batch["bounds"])

    def _use_template(self, model: ModelIdentity) -> None:
        """Write the documents of ``model`` from now on."""
        template: DemandTemplate = demand_template(model.name, model.version)
        constants = [constant.encode() for constant in template.constants]
        self._model = model.name, model.version
        self._struct.n_slots = len(template.kinds)
        self._set(
            constants=byte_array(b"".join(constants)),
            constant_ends=_ends_of(constants),
            kinds=np.array(template.kinds, dtype=np.uint8),
            columns=np.array(template.columns, dtype=np.int64),
        )
        n_values = len(template.kinds) + N_MESSAGES - 1
        of_packets = self._n_topic_bytes + N_MESSAGES * _PACKET_BYTES
        #: Most bytes of a demand's messages, besides its device name.
        self._n_fixed = sum(map(len, constants)) + n_values * _VALUE_BYTES + of_packets

    def _set(self, **arrays: NDArray[Any]) -> None:
        """Pass ``arrays`` to the library, and hold references to them."""
        self._arrays |= arrays
        set_pointers(self._struct, **arrays)
        if "out" in arrays:
            self._out = arrays["out"]
            self._struct.capacity = len(self._out)


def _ends_of(parts: Sequence[bytes]) -> NDArray[np.int64]:
    return np.cumsum([len(part) for part in parts], dtype=np.int64)
