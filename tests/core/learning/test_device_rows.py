"""Rows of devices grow in place, and references to their arrays stay valid."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from gapcast.core.arrays.device_rows import DeviceRows
from gapcast.core.arrays.resized_arrays import extended, move_rows

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


def rows_short_of_memory(monkeypatch: pytest.MonkeyPatch) -> DeviceRows:
    """Return four rows after a growth failed; they are as before."""
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
    return rows


def test_device_rows_grow_after_memory_was_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_short_of_memory(monkeypatch)
    rows.index(MORE)
    assert rows.arrays["kw"][[3, 4, 200]].tolist() == [[5, 5], [1, 2], [1, 2]]
    assert len(rows) == 201


def test_columns_are_restored_after_memory_was_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_short_of_memory(monkeypatch)
    rows.restore_columns(np.array([9]), {"kw": np.array([[6.0, 6.5]]), "n": np.array([8])})
    assert rows.arrays["kw"].tolist() == [[1, 2], [5, 5], [5, 5], [5, 5], *[[1, 2]] * 5, [6, 6.5]]
    assert rows.arrays["n"].tolist() == [7] * 9 + [8]


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


@pytest.mark.parametrize("n_before", [1, 9])
def test_restored_columns_are_those_asked_for(n_before: int) -> None:
    rows = rows_of(n_before)
    columns = {"kw": np.array([[1.0, 1.5], [2.0, 2.5], [3.0, 3.5]]), "n": np.array([1, 2, 3])}
    rows.restore_columns(np.array([5, 2]), columns, np.array([True, False, True]))
    assert rows.arrays["kw"][[5, 2]].tolist() == [[1.0, 1.5], [3.0, 3.5]]
    assert rows.arrays["n"][[5, 2, 4]].tolist() == [1, 3, 7]
    assert columns == {}


def test_restored_columns_are_released_one_by_one() -> None:
    tracemalloc.start()
    try:
        rows = DeviceRows({name: np.zeros(10_000) for name in "abcdefgh"}, n_rows=1)
        columns = {name: np.ones((2, 10_000)) for name in "abcdefgh"}
        before, _ = tracemalloc.get_traced_memory()
        rows.restore_columns(np.array([1, 2]), columns)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < before + 2 * np.ones((2, 10_000)).nbytes
    assert all((array[1:] == 1).all() for array in rows.arrays.values())


class Target:
    """The target of moved rows; stores the rows, and the number of rows that the source still has at each write."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = columns
        self.written: dict[int, float] = {}
        self.n_left: list[int] = []

    def __setitem__(self, rows: Any, values: Any) -> None:
        assert len(rows) == len(values)
        self.written.update(zip(rows.tolist(), values[:, 0].tolist(), strict=True))
        self.n_left.append(len(self.columns.get("kw", ())))


@pytest.mark.parametrize(("is_held", "n_left"), [(False, [200, 136, 72, 0]), (True, [0])])
def test_moved_rows_are_released_by_blocks_unless_held(is_held: bool, n_left: list[int]) -> None:
    columns = {"kw": np.arange(400.0).reshape(200, 2).copy()}
    held = columns["kw"] if is_held else None
    rows, target = np.arange(200)[::-1] + 1, Target(columns)
    move_rows(target, rows, columns, "kw")  # type: ignore[arg-type]  # records the writes
    assert target.written == {200 - i: 2.0 * i for i in range(200)}
    assert target.n_left == n_left
    assert columns == {}
    assert held is None or len(held) == 200


def test_restored_columns_of_no_device_change_nothing() -> None:
    rows, none = rows_of(4), np.array([], dtype=np.int64)
    rows.restore_columns(none, {"kw": np.empty((0, 2)), "n": np.empty(0)})
    assert rows.arrays["kw"][:4].tolist() == [[1, 2], [5, 5], [5, 5], [5, 5]]
    assert len(rows) == 4
