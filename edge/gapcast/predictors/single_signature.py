"""A .tflite file reduced to one of its signatures, so that an interpreter prepares nothing for the others.

The runtime prepares all subgraphs of a file: XNNPACK packs their weights and allocates their operations, whichever
signature is run. The file is a FlatBuffer (https://flatbuffers.dev/internals), whose root table has a vector of
subgraphs and one of signatures (https://github.com/google-ai-edge/LiteRT, ``schema.fbs``). Both vectors are shortened
to one element, in a copy of the same size; weights and everything else stay where they are.
"""

from __future__ import annotations

import struct

#: Places of fields in the tables ``Model`` and ``SignatureDef`` of the schema.
_SUBGRAPHS, _SIGNATURES = 2, 7
_KEY, _SUBGRAPH_INDEX = 2, 4
_N_BYTES = 4
#: The sizes of the vtable and of the table, which come before the offsets of the fields.
_N_VTABLE_HEAD_BYTES = 4


def with_signature_alone(content: bytes, key: str) -> bytes:
    """Return the file ``content`` with the signature ``key`` alone and its subgraph.

    Returns ``content`` itself if it does not have the signature, or has subgraphs that belong to no signature: another
    subgraph may refer to these by their number. A file that is not a FlatBuffer is returned as it is too.
    """
    try:
        return _reduced(content, key.encode())
    except struct.error:  # an offset out of range: the runtime says what is wrong with it
        return content


def _reduced(content: bytes, key: bytes) -> bytes:
    file = _File(content)
    root = file.number(0)
    subgraphs, signatures = file.vector(root, _SUBGRAPHS), file.vector(root, _SIGNATURES)
    if subgraphs is None or signatures is None or file.number(subgraphs) != file.number(signatures):
        return content
    for i in range(file.number(signatures)):
        signature = file.element(signatures, i)
        name = file.vector(signature, _KEY)
        if name is None or file.text(name) != key:
            continue
        place = file.field(signature, _SUBGRAPH_INDEX)  # None: the index is 0, the default
        subgraph = file.element(subgraphs, 0 if place is None else file.number(place))
        reduced = bytearray(content)
        for vector, element in ((signatures, signature), (subgraphs, subgraph)):
            struct.pack_into("<II", reduced, vector, 1, element - vector - _N_BYTES)
        if place is not None:
            struct.pack_into("<I", reduced, place, 0)
        return bytes(reduced)
    return content


class _File:
    """Reads a FlatBuffer. Positions are in bytes; raises :class:`struct.error` if one is outside."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def number(self, position: int) -> int:
        """Return the unsigned integer of 32 bits at ``position``."""
        return int(struct.unpack_from("<I", self._content, position)[0])

    def field(self, table: int, place: int) -> int | None:
        """Return the position of the field at ``place`` in the schema of ``table``; None if it is not stored."""
        vtable = table - struct.unpack_from("<i", self._content, table)[0]
        (n_bytes,) = struct.unpack_from("<H", self._content, vtable)
        at = _N_VTABLE_HEAD_BYTES + 2 * place
        offset = struct.unpack_from("<H", self._content, vtable + at)[0] if at < n_bytes else 0
        return table + offset if offset else None

    def vector(self, table: int, place: int) -> int | None:
        """Return the position of the vector or string in the field at ``place``: that of its length."""
        field = self.field(table, place)
        return None if field is None else field + self.number(field)

    def element(self, vector: int, i: int) -> int:
        """Return the position of the ``i``-th table of ``vector``."""
        if i >= self.number(vector):
            msg = f"element {i} of {self.number(vector)}"
            raise struct.error(msg)
        at = vector + _N_BYTES * (1 + i)
        return at + self.number(at)

    def text(self, string: int) -> bytes:
        """Return the bytes of ``string``."""
        return self._content[string + _N_BYTES : string + _N_BYTES + self.number(string)]
