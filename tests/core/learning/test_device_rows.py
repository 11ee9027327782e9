"""Rows of devices grow in place, and what holds on to their arrays stays valid."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.arrays.device_rows import DeviceRows, extended

MORE = np.array([200])


def no_memory(*_: object) -> None:
    raise MemoryError


def rows_of(n: int) -> DeviceRows:
    rows = DeviceRows({"kw": np.array([1.0, 2.0]), "n": np.array(7)}, n)
    rows.arrays["kw"][1:] = 5.0
    return rows


def test_device_rows_without_views_grow_in_place() -> None:
    rows = rows_of(4)
    arrays, places = rows.arrays, {name: id(array) for name, array in rows.arrays.items()}
    rows.index(MORE)
    assert {name: id(array) for name, array in rows.arrays.items()} == places
    assert rows.arrays is not arrays, "so that whoever has their addresses passes them again"
    assert rows.arrays["kw"][:5].tolist() == [[1, 2], [5, 5], [5, 5], [5, 5], [1, 2]]
    assert (rows.arrays["n"] == 7).all()
    assert len(rows) == len(rows.arrays["kw"]) == len(rows.arrays["n"]) == 201


def test_device_rows_with_a_view_are_copied() -> None:
    rows = rows_of(4)
    view = rows.arrays["kw"][1:3]
    rows.index(MORE)
    rows.arrays["kw"][1:3] = 9.0
    assert view.tolist() == [[5, 5], [5, 5]]
    assert len(rows.arrays["kw"]) == 201


def test_device_rows_short_of_memory_keep_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(4)
    view = rows.arrays["n"][:]
    with monkeypatch.context() as patch:
        patch.setattr(np, "empty", no_memory)  # the array with a view is copied
        with pytest.raises(MemoryError):
            rows.index(MORE)
    assert len(rows) == 4
    assert rows.arrays["kw"][:4].tolist() == [[1, 2], [5, 5], [5, 5], [5, 5]]
    assert rows.arrays["n"].tolist() == view.tolist() == [7, 7, 7, 7]
    rows.arrays["kw"][4:] = 3.0  # the array before it was extended already
    rows.index(MORE)
    assert rows.arrays["kw"][[3, 4, 200]].tolist() == [[5, 5], [1, 2], [1, 2]]
    assert len(rows) == 201


def test_device_rows_grow_by_less_than_memory_was_too_short_for(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(4)
    view = rows.arrays["n"][:]
    with monkeypatch.context() as patch:
        patch.setattr(np, "empty", no_memory)
        with pytest.raises(MemoryError):
            rows.index(MORE)
    longer = rows.arrays["kw"][2:]  # with a view it is copied, to fewer rows than it has by now
    assert len(longer) > 100
    rows.index(np.array([9]))
    assert {name: len(array) for name, array in rows.arrays.items()} == {"kw": 10, "n": 10}
    assert rows.arrays["kw"][2:5].tolist() == [[5, 5], [5, 5], [1, 2]]
    assert view.tolist() == [7, 7, 7, 7]


def test_extended_memory_too_short_to_resize_keeps_the_array() -> None:
    arrays = {"kw": np.ones(3)}
    with pytest.raises(MemoryError):
        extended(arrays, "kw", 1 << 55)
    assert arrays["kw"].tolist() == [1, 1, 1]
