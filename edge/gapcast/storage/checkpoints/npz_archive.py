"""Writes the arrays of an ``.npz`` file without a copy, and reads them in no more memory than the file's size.

``numpy.savez`` copies up to 16 MB of an array at a time, in one step that no other thread can interrupt. This module
writes the array's own memory, so that the stream does not wait.

``numpy.load`` trusts the shape in an array's header: it allocates that much memory, and if the shape is too small, it
never reaches the end of the member, so that zipfile does not check the CRC-32. This module requires each array to have
exactly the member's size, and reads it to its end, where zipfile checks the CRC-32.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from io import SEEK_END
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

#: Kinds of arrays in the state: floats, integers, text.
_KINDS = "fiuU"
_SUFFIX = ".npy"
#: Maximum number of bytes of a member that are in memory besides its array.
_BLOCK_BYTES = 1 << 18


def write_arrays(file: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write ``arrays`` by name to ``file``, byte for byte like ``numpy.savez``.

    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> write_arrays(file, {"a": np.arange(3)})
    >>> read_arrays(file)["a"]
    array([0, 1, 2])
    """
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            stored = np.asarray(array, order="C")
            with archive.open(name + _SUFFIX, "w", force_zip64=True) as member:
                npy.write_array_header_1_0(member, npy.header_data_from_array_1_0(stored))
                if stored.size:
                    member.write(stored.reshape(-1).view(np.uint8).data)


def read_arrays(file: BinaryIO) -> dict[str, NDArray[Any]]:
    """Return the arrays of the archive ``file`` by name, each with its own memory.

    Raises the errors of zipfile and numpy if it is damaged, and ValueError if a member is compressed, larger than the
    file, or of another size than its header declares.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        n_bytes = file.seek(0, SEEK_END)
        if sum(member.file_size for member in members) > n_bytes or any(m.compress_type for m in members):
            msg = "its members are compressed, or larger than the file"
            raise ValueError(msg)
        return {member.filename.removesuffix(_SUFFIX): _read_array(archive, member) for member in members}


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        array = _allocate(file, member.file_size)
        content = array.reshape(-1, order="A").view(np.uint8) if array.size else np.empty(0, np.uint8)
        for first in range(0, len(content), _BLOCK_BYTES):
            block = content.data[first : first + _BLOCK_BYTES]
            values = file.read(len(block))
            if len(values) < len(block):
                msg = f"the member {member.filename} is shorter than its size of {member.file_size} bytes"
                raise ValueError(msg)
            block[:] = values
    return array


def _allocate(file: IO[bytes], n_bytes: int) -> NDArray[Any]:
    """Return the array of an ``.npy`` file of ``n_bytes``, which its header must match, without its values."""
    if npy.read_magic(file) != (1, 0):
        msg = "a member is of an unknown version of .npy"
        raise ValueError(msg)
    try:
        shape, is_fortran, kind = npy.read_array_header_1_0(file)
    except MemoryError as error:  # Python's parser raises it for a crafted header of many signs
        msg = "the header of a member cannot be parsed"
        raise ValueError(msg) from error
    at = file.tell()
    is_known = kind.kind in _KINDS and kind.itemsize > 0 and min(shape, default=0) >= 0
    if not is_known or math.prod(shape) * kind.itemsize != n_bytes - at:
        msg = f"a member of {n_bytes - at} bytes cannot be an array of {kind} and shape {shape}"
        raise ValueError(msg)
    return np.empty(shape, kind, order="F" if is_fortran else "C")
