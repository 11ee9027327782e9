"""Reduces a .tflite file to one of its signatures, so that an interpreter prepares nothing for the others.

The runtime prepares all subgraphs of a file: XNNPACK packs their weights and allocates their operations, whichever
signature is run. The file is a FlatBuffer (https://flatbuffers.dev/internals), whose root table has a vector of
subgraphs and one of signatures (https://github.com/google-ai-edge/LiteRT, ``schema.fbs``). Both vectors are shortened
to one element, in a copy of the same size; weights and everything else stay where they are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

#: Indices of fields in the tables ``Model`` and ``SignatureDef`` of the schema.
_SUBGRAPHS, _SIGNATURES = 2, 7
_KEY, _SUBGRAPH_INDEX = 2, 4
_N_BYTES = 4
#: Length of the sizes of the vtable and of the table, which precede the offsets of the fields.
_N_VTABLE_HEAD_BYTES = 4


def words_of_signature(content: bytes, key: str) -> dict[int, int]:
    """Return the words of 32 bits, by position, that reduce the file ``content`` to the signature ``key``.

    Empty if the file does not have the signature, or has subgraphs that belong to no signature or to two, because other
    subgraphs may refer to them by number. Empty also for a file that is not a FlatBuffer.
    """
    try:
        return _words(_File(content), key.encode())
    except struct.error:  # an offset out of range: the runtime reports the problem with the file
        return {}


def words_at(content: bytes, positions: Iterable[int]) -> dict[int, int]:
    """Return the words of 32 bits at ``positions`` of ``content``."""
    return {position: struct.unpack_from("<I", content, position)[0] for position in positions}


def with_words(content: bytes, words: Mapping[int, int]) -> bytes:
    """Return ``content`` with the ``words`` of 32 bits replaced, by position; ``content`` itself if there are none."""
    if not words:
        return content
    changed = bytearray(content)
    for position, word in words.items():
        struct.pack_into("<I", changed, position, word)
    return bytes(changed)


def _words(file: _File, key: bytes) -> dict[int, int]:
    root = file.number(0)
    subgraphs, signatures = file.vector(root, _SUBGRAPHS), file.vector(root, _SIGNATURES)
    if subgraphs is None or signatures is None or file.number(subgraphs) != file.number(signatures):
        return {}
    found: dict[int, int] = {}
    numbers: set[int] = set()
    for i in range(file.number(signatures)):
        signature = file.element(signatures, i)
        place = file.field(signature, _SUBGRAPH_INDEX)
        number = 0 if place is None else file.number(place)  # None: the default
        numbers.add(number)
        name = file.vector(signature, _KEY)
        if found or name is None or file.text(name) != key:
            continue
        if place is not None:
            found[place] = 0
        for vector, element in ((signatures, signature), (subgraphs, file.element(subgraphs, number))):
            first = vector + _N_BYTES
            found |= {vector: 1, first: file.offset(first, element)}
    return found if numbers == set(range(file.number(subgraphs))) else {}


class _File:
    """Reads a FlatBuffer. Positions are in bytes; raises :class:`struct.error` if one is outside."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def number(self, position: int) -> int:
        """Return the unsigned integer of 32 bits at ``position``."""
        return int(struct.unpack_from("<I", self._content, position)[0])

    def offset(self, position: int, target: int) -> int:
        """Return the offset to ``target`` that may be stored at ``position``."""
        if not position < target < len(self._content) or position + _N_BYTES > len(self._content):
            msg = f"no offset from {position} to {target}"
            raise struct.error(msg)
        return target - position

    def field(self, table: int, place: int) -> int | None:
        """Return the position of the field at ``place`` in the schema of ``table``; None if it is not stored."""
        vtable = table - struct.unpack_from("<i", self._content, table)[0]
        (n_bytes,) = struct.unpack_from("<H", self._content, vtable)
        at = _N_VTABLE_HEAD_BYTES + 2 * place
        offset = struct.unpack_from("<H", self._content, vtable + at)[0] if at < n_bytes else 0
        return table + offset if offset else None

    def vector(self, table: int, place: int) -> int | None:
        """Return the position of the vector or string in the field at ``place``, where its length is."""
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
