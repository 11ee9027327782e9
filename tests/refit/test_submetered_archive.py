"""The archived minutes of submeters: beside the mains, unknown where missing, in a file of version 2."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gapcast.core.readings.reading import Reading
from gapcast.core.readings.submeters import measured_name
from gapcast.refit.minute_archive import MinuteArchive
from gapcast.refit.minutes import MAX_MINUTES, RecordedMinutes
from gapcast.refit.minutes_file import _BLOCK, block, header, read_file, version_for
from tests.support.houses import FIRST

V1, V2 = header(1), header(2)
POWERS = st.floats(-100, 100, width=32) | st.just(math.nan)


def opened(folder: Path) -> MinuteArchive:
    archive = MinuteArchive(folder, 10)
    archive.open()
    return archive


def submetered(first: int, n: int, **submeters_kw: float) -> list[Reading]:
    measured = {measured_name(name): kw for name, kw in submeters_kw.items()} | {"voltage_v": 230.0}
    return [Reading("home", FIRST + i, 1.5, measured=measured) for i in range(first, first + n)]


def store(folder: Path, readings: list[Reading]) -> MinuteArchive:
    archive = opened(folder)
    archive.record(readings)
    archive.flush()
    return archive


def test_submeters_survive_restarts_and_are_unknown_elsewhere(tmp_path: Path) -> None:
    """A car is measured from the first minute on; an oven is added later, when the car has stopped."""
    store(tmp_path, submetered(0, 2, car=7.0))
    store(tmp_path, submetered(2, 2, car=0.5, oven=2.0))
    archive = store(tmp_path, submetered(4, 1, oven=1.0))
    archive.record(submetered(5, 1))
    house = archive.load("home")
    assert house.minutes.tolist() == list(range(FIRST, FIRST + 6))
    assert np.array_equal(house.submeters_kw["car"], [7, 7, 0.5, 0.5, np.nan, np.nan], equal_nan=True)
    assert np.array_equal(house.submeters_kw["oven"], [np.nan, np.nan, 2, 2, 1, np.nan], equal_nan=True)
    assert set(house.submeters_kw) == {"car", "oven"}, "no other feature"
    chosen = house.with_submeters(["pump", "oven"])
    assert list(chosen.submeters_kw) == ["pump", "oven"]
    assert np.isnan(chosen.submeters_kw["pump"]).all()


def test_file_of_version_1_is_continued_with_submeters(tmp_path: Path) -> None:
    store(tmp_path, [Reading("home", FIRST - 2, 1.5, is_filled=True), Reading("home", FIRST - 1, 1.5)])
    path = tmp_path / "home.minutes"
    assert path.read_bytes().startswith(V1)
    assert path.stat().st_size == len(V1) + _BLOCK.size + 2 * 8, "as the version before wrote it"
    store(tmp_path, submetered(0, 2, car=7.0))
    assert path.read_bytes().startswith(V2)
    store(tmp_path, [Reading("home", FIRST + 2, 1.5)])
    house = opened(tmp_path).load("home")
    assert house.minutes.tolist() == list(range(FIRST - 2, FIRST + 3))
    assert house.is_filled.tolist() == [True, False, False, False, False]
    assert np.array_equal(house.submeters_kw["car"], [np.nan, np.nan, 7, 7, np.nan], equal_nan=True)


def test_file_without_a_whole_block_is_continued_with_submeters(tmp_path: Path) -> None:
    (tmp_path / "home.minutes").write_bytes(V1 + b"half")
    with capture_logs() as logs:
        store(tmp_path, submetered(0, 1, car=7.0))
    assert [log["event"] for log in logs] == ["refit.archive_damaged"]
    assert opened(tmp_path).load("home").submeters_kw["car"].tolist() == [7.0]


def test_forgotten_device_starts_with_the_version_it_needs(tmp_path: Path) -> None:
    archive = store(tmp_path, submetered(0, 1, car=7.0))
    archive.forget("home")
    archive.record([Reading("home", FIRST, 1.0)])
    archive.flush()
    assert (tmp_path / "home.minutes").read_bytes().startswith(V1)


def test_submeter_that_is_long_gone_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gapcast.refit.minute_archive._MAX_RECORDS", 10)
    archive = store(tmp_path, submetered(-MAX_MINUTES, 5, car=7.0))
    archive.record(submetered(0, 6))
    archive.flush()
    assert (tmp_path / "home.minutes").read_bytes().startswith(V1)
    assert len(opened(tmp_path).load("home")) == 6


@given(columns=st.lists(st.tuples(*[POWERS] * 3), max_size=20), names=st.lists(st.sampled_from("abc"), unique=True))
def test_block_is_read_as_it_was_written(columns: list[tuple[float, ...]], names: list[str]) -> None:
    n = len(columns)
    values = np.array(columns, dtype=np.float32).reshape(n, 3)
    submeters_kw = {name: values[:, i] for i, name in enumerate(names)}
    minutes = RecordedMinutes(np.arange(FIRST, FIRST + n), np.ones(n, np.float32), np.arange(n) % 2 == 1, submeters_kw)
    version = version_for(minutes)
    found = read_file(header(version) + block(minutes, version))
    assert (found.version, found.minutes.minutes.tolist()) == (version, minutes.minutes.tolist())
    assert found.minutes.is_filled.tolist() == minutes.is_filled.tolist()
    assert {*found.minutes.submeters_kw} == {*names}
    for name, kw in submeters_kw.items():
        assert np.array_equal(found.minutes.submeters_kw[name], kw, equal_nan=True)


@pytest.mark.parametrize("content", [b"", b"\x03\x00car" + bytes(11), b"\xff\xff", bytes(9)])
def test_sound_block_of_another_length_ends_the_file(content: bytes) -> None:
    """A future version may write such a block."""
    damaged = _BLOCK.pack(len(content), zlib.crc32(content)) + content
    assert read_file(V2 + damaged).n_sound in {len(V2), len(V2 + damaged)}
    assert len(read_file(V2 + damaged).minutes) == 0
