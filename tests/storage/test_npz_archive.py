"""Archives are written as numpy writes them, and read back."""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from gapcast.storage.checkpoints.npz_archive import read_arrays, write_arrays

ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "one column": np.arange(7, dtype=np.int32),
    "rows": np.arange(12, dtype=np.float64).reshape(3, 4),
    "none": np.zeros((0, 3), dtype=np.float32),
    "no dimension": np.array(4.5),
    "bits": np.array([[True, False]]).view(np.uint8),
    "text": np.array(["home", "barn at the river"]),
    "every second": np.arange(20, dtype=np.float32)[::2],
}


def test_archive_is_byte_for_byte_that_of_numpy() -> None:
    written, by_numpy = BytesIO(), BytesIO()
    write_arrays(written, ARRAYS)
    np.savez(by_numpy, **ARRAYS)  # type: ignore[arg-type]  # numpy 2.1 stores allow_pickle, as one of the arrays
    assert written.getvalue() == by_numpy.getvalue()


@pytest.mark.parametrize("array", [np.arange(12).reshape(3, 4).T, np.arange(24).reshape(2, 3, 4)[:, :, 1]])
def test_archive_array_of_any_layout_is_restored(array: np.ndarray[Any, Any]) -> None:
    file = BytesIO()
    write_arrays(file, {"array": array})
    assert np.array_equal(read_arrays(file)["array"], array)


def test_archive_arrays_own_their_memory() -> None:
    """So that their rows are released while they are restored."""
    file = BytesIO()
    write_arrays(file, ARRAYS)
    assert all(array.flags.owndata for array in read_arrays(file).values())


def test_archive_member_shorter_than_its_size_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    file = BytesIO()
    write_arrays(file, {"bytes": np.arange(200, dtype=np.uint8)})
    read = zipfile.ZipExtFile.read
    monkeypatch.setattr(
        zipfile.ZipExtFile, "read", lambda member, n: read(member, n)[:1] if n == 200 else read(member, n)
    )
    with pytest.raises(ValueError, match=r"member bytes\.npy is shorter than its size of [0-9]+ bytes"):
        read_arrays(file)


def test_archive_header_beyond_the_parser_is_no_lack_of_memory() -> None:
    """Python's parser raises MemoryError at deep nesting; a checkpoint without memory to read it is left alone."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%b1,)}\n" % (b"-" * 9_000)
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("deep.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises((ValueError, RecursionError)):
        read_arrays(file)
