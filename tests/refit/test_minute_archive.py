"""The archived minutes of a device: appended, read again, repaired, trimmed and forgotten."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gapcast.core.readings.reading import Reading
from gapcast.core.readings.submeters import measured_name
from gapcast.refit import minute_archive
from gapcast.refit.minute_archive import MinuteArchive
from gapcast.refit.minutes import MAX_MINUTES, RecordedMinutes
from tests.support.disks import no_room_beyond
from tests.support.houses import FIRST


def opened(folder: Path, max_devices: int = 10) -> MinuteArchive:
    archive = MinuteArchive(folder, max_devices)
    archive.open()
    return archive


def readings(minutes: list[int], device: str = "home") -> list[Reading]:
    return [Reading(device, minute, minute % 7 / 2, is_filled=minute % 5 == 0) for minute in minutes]


def minutes_of(archive: MinuteArchive, device: str = "home") -> list[int]:
    house = archive.load(device)
    assert house.gap_kw.tolist() == [minute % 7 / 2 for minute in house.minutes.tolist()]
    assert house.is_filled.tolist() == [minute % 5 == 0 for minute in house.minutes.tolist()]
    minutes: list[int] = house.minutes.tolist()
    return minutes


@given(parts=st.lists(st.lists(st.integers(FIRST, FIRST + 500), max_size=20), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_readings_survive_restarts_in_order_and_once(tmp_path: Path, parts: list[list[int]]) -> None:
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    for part in parts:
        archive = opened(folder)
        archive.record(readings(part))
        archive.flush()
    said = [minute for part in parts for minute in part]
    expected = sorted({minute for minute in said if minute <= said[-1]}) if said else []
    assert minutes_of(opened(folder)) == expected


def test_readings_before_a_flush_are_loaded_too(tmp_path: Path) -> None:
    archive = opened(tmp_path)
    archive.record(readings([FIRST, FIRST + 1]))
    assert archive.n_readings("home") == 2
    assert minutes_of(archive) == [FIRST, FIRST + 1]
    assert (archive.n_readings("home"), archive.n_readings("flat")) == (2, 0)


def test_only_the_first_devices_are_archived(tmp_path: Path) -> None:
    archive = opened(tmp_path, max_devices=1)
    archive.record([*readings([FIRST]), *readings([FIRST], "flat")])
    archive.flush()
    assert archive.devices == ["home"]
    archive = opened(tmp_path, max_devices=0)
    assert archive.devices == []


def test_lower_limit_archives_the_devices_that_were_written_last(tmp_path: Path) -> None:
    archive = opened(tmp_path)
    archive.record([*readings([FIRST], "attic"), *readings([FIRST], "home")])
    archive.flush()
    os.utime(tmp_path / "attic.minutes", (1, 1))  # which has sent nothing for a long time
    assert opened(tmp_path, max_devices=1).devices == ["home"]
    assert set(opened(tmp_path, max_devices=2).devices) == {"attic", "home"}


@pytest.mark.parametrize("n_lost", [1, 9, 100])
def test_half_written_block_is_cut_off(tmp_path: Path, n_lost: int) -> None:
    archive = opened(tmp_path)
    for first in (0, 20):
        archive.record(readings(list(range(FIRST + first, FIRST + first + 20))))
        archive.flush()
    path = tmp_path / "home.minutes"
    path.write_bytes(path.read_bytes()[:-n_lost])
    with capture_logs() as logs:
        archive = opened(tmp_path)
    assert [(log["event"], log["log_level"], log["kept"]) for log in logs] == [("refit.archive_damaged", "error", 20)]
    archive.record(readings([FIRST + 50]))
    archive.flush()
    assert minutes_of(opened(tmp_path)) == [*range(FIRST, FIRST + 20), FIRST + 50]


@pytest.mark.parametrize("submeter", ["", "car"])
def test_block_that_the_disk_has_changed_is_removed_alone(tmp_path: Path, submeter: str) -> None:
    """Its CRC-32 does not match: otherwise a wrong power, or a wrong minute, would be learned."""
    archive = opened(tmp_path)
    measured = {measured_name(submeter): 0.5} if submeter else None
    for first in (FIRST, FIRST + 20, FIRST + 40):
        archive.record([one._replace(measured=measured) for one in readings(list(range(first, first + 20)))])
        archive.flush()
    path = tmp_path / "home.minutes"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with capture_logs() as logs:
        archive = opened(tmp_path)
    n_lost = len(content) // 3
    assert [(log["event"], log["kept"]) for log in logs] == [("refit.archive_damaged", 40)]
    assert logs[0]["lost_bytes"] == pytest.approx(n_lost, abs=20)
    assert path.stat().st_size == pytest.approx(len(content) - n_lost, abs=20)
    expected = [*range(FIRST, FIRST + 20), *range(FIRST + 40, FIRST + 60)]
    assert minutes_of(archive) == expected
    assert [*archive.load("home").submeters_kw] == [submeter] * bool(submeter)
    archive.record(readings([FIRST + 70]))
    archive.flush()
    with capture_logs() as logs:
        assert minutes_of(opened(tmp_path)) == [*expected, FIRST + 70]
    assert not logs


def test_failed_repair_keeps_the_sound_minutes(tmp_path: Path) -> None:
    """On a full disk the file stays as it is; the next append writes all of it again."""
    archive = opened(tmp_path)
    for first in (FIRST, FIRST + 20, FIRST + 40):
        archive.record(readings(list(range(first, first + 20))))
        archive.flush()
    path = tmp_path / "home.minutes"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with no_room_beyond(100), capture_logs() as logs:
        archive = opened(tmp_path)
        assert len(minutes_of(archive)) == 40
    assert [log["event"] for log in logs][:2] == ["refit.archive_damaged"] * 2
    assert path.read_bytes() == content
    archive.record(readings([FIRST + 70]))
    archive.flush()
    with capture_logs() as logs:
        assert len(minutes_of(opened(tmp_path))) == 41
    assert not logs


def test_replaced_file_loses_a_day_by_a_damaged_block(tmp_path: Path) -> None:
    archive = opened(tmp_path)
    n = MAX_MINUTES + MAX_MINUTES // 4 + 10
    archive.record(readings(list(range(FIRST, FIRST + n))))
    archive.flush()
    path = tmp_path / "home.minutes"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with capture_logs() as logs:
        assert len(opened(tmp_path).load("home")) == MAX_MINUTES - 24 * 60
    assert [log["event"] for log in logs] == ["refit.archive_damaged"]


@pytest.mark.parametrize(
    ("content", "events"),
    [
        (b"", ["refit.archive_damaged"]),
        (b"something else", ["state.damaged"]),
        (b"gapcast minutes 3\n" + bytes(range(200)), ["state.damaged"]),
        (b"gapcast minutes 1\n" + bytes(range(200)), ["refit.archive_damaged"]),
    ],
)
def test_damaged_file_is_logged_and_starts_again(tmp_path: Path, content: bytes, events: list[str]) -> None:
    (tmp_path / "home.minutes").write_bytes(content)
    with capture_logs() as logs:
        archive = opened(tmp_path)
    assert [log["event"] for log in logs] == events
    if events == ["state.damaged"]:
        assert (tmp_path / "home.minutes.damaged-1").read_bytes() == content, "such as of a newer version"
    archive.record(readings([FIRST]))
    archive.flush()
    assert minutes_of(opened(tmp_path)) == [FIRST]


def test_unreadable_file_is_logged(tmp_path: Path) -> None:
    (tmp_path / "home.minutes").mkdir()
    with capture_logs() as logs:
        archive = opened(tmp_path)
        archive.record(readings([FIRST]))
        archive.flush()
        archive.flush()
    assert [log["event"] for log in logs] == ["refit.archive_damaged", "refit.archive_failed"], "once per problem"
    assert archive.n_readings("home") == 1, "collected until the disk works again"


def test_flush_one_file_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    archive = opened(tmp_path)
    archive.record([*readings([FIRST]), *readings([FIRST], "flat")])
    (tmp_path / "home.minutes").mkdir()
    with capture_logs() as logs:
        archive.flush()
        archive.record([*readings([FIRST + 1]), *readings([FIRST + 1], "flat")])
        archive.flush()
    assert [log["event"] for log in logs] == ["refit.archive_failed"], "once per problem"
    assert minutes_of(opened(tmp_path), "flat") == [FIRST, FIRST + 1]
    (tmp_path / "home.minutes").rmdir()
    archive.flush()
    assert minutes_of(opened(tmp_path)) == [FIRST, FIRST + 1]


def test_readings_wait_for_a_disk_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest readings wait, as many as a file has; the disk problem is logged once."""
    monkeypatch.setattr(minute_archive, "MAX_MINUTES", 5)
    archive, obstacle = opened(tmp_path), tmp_path / "home.minutes"
    obstacle.mkdir()
    with capture_logs() as logs:
        for minute in range(FIRST, FIRST + 8, 2):
            archive.record(readings([minute, minute + 1]))
            archive.flush()
    assert [one["event"] for one in logs] == ["refit.archive_failed"]
    obstacle.rmdir()
    assert minutes_of(archive) == [*range(FIRST + 3, FIRST + 8)]


def test_readings_after_forgotten_ones_wait_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minute_archive, "MAX_MINUTES", 5)
    archive = opened(tmp_path)
    (tmp_path / "home.forest").mkdir()
    archive.forget("home")
    for minute in range(FIRST, FIRST + 8):
        archive.record(readings([minute]))
        archive.flush()
    assert minutes_of(archive) == [*range(FIRST + 3, FIRST + 8)]


def test_block_cut_short_by_a_full_disk_is_written_again(tmp_path: Path) -> None:
    archive = opened(tmp_path)
    archive.record(readings(list(range(FIRST, FIRST + 20))))
    archive.flush()
    archive.record(readings(list(range(FIRST + 20, FIRST + 40))))
    n_bytes = (tmp_path / "home.minutes").stat().st_size
    with capture_logs() as logs, no_room_beyond(n_bytes + 30):
        archive.flush()
    assert [(log["event"], log["problem"]) for log in logs] == [("refit.archive_failed", "no space left on device")]
    archive.flush()
    assert minutes_of(opened(tmp_path)) == [*range(FIRST, FIRST + 40)]


def test_files_of_a_forgotten_device_are_removed_once_that_is_possible(tmp_path: Path) -> None:
    archive = opened(tmp_path)
    archive.record(readings([FIRST]))
    archive.flush()
    (tmp_path / "home.forest").mkdir()
    with capture_logs() as logs:
        archive.forget("home")
        archive.record(readings([FIRST + 7]))
        assert archive.flush() is not None
    assert [log["event"] for log in logs] == ["refit.archive_failed"]
    assert minutes_of(archive) == [FIRST + 7], "collected in memory"
    assert not archive.store_forest("home", b"trees")
    (tmp_path / "home.forest").rmdir()
    assert archive.flush() is None
    assert minutes_of(opened(tmp_path)) == [FIRST + 7]


def test_forest_on_a_full_disk_leaves_no_part(tmp_path: Path) -> None:
    archive = opened(tmp_path)
    archive.record(readings([FIRST]))
    archive.flush()
    with no_room_beyond(100), pytest.raises(OSError, match="File too large"):
        archive.store_forest("home", bytes(1_000))
    assert [path.name for path in tmp_path.iterdir()] == ["home.minutes"]


def test_long_file_is_replaced_by_its_newest_weeks(tmp_path: Path) -> None:
    archive = opened(tmp_path)
    n = MAX_MINUTES + MAX_MINUTES // 4 + 10
    for first in (0, n - 10):
        archive.record(readings(list(range(FIRST + first, FIRST + first + n - 10 if first == 0 else FIRST + n))))
        archive.flush()
    assert minutes_of(archive) == list(range(FIRST + n - MAX_MINUTES, FIRST + n))
    assert (tmp_path / "home.minutes").stat().st_size < 9 * MAX_MINUTES
    assert len(opened(tmp_path).load("home")) == MAX_MINUTES


def test_forgotten_device_leaves_no_file(tmp_path: Path) -> None:
    archive = opened(tmp_path)
    archive.record(readings([FIRST]))
    archive.flush()
    assert archive.store_forest("home", b"trees")
    assert archive.stored_forests() == {"home": b"trees"}
    assert {path.name for path in tmp_path.iterdir()} == {"home.minutes", "home.forest"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir()), "private"
    for name in ("home.minutes.part", "home.forest.part"):  # of a process that was killed
        (tmp_path / name).write_bytes(b"part")
    archive.forget("home")
    assert not list(tmp_path.iterdir())
    assert not archive.store_forest("home", b"trees"), "fitted while it was forgotten"
    assert archive.devices == []
    archive.record(readings([FIRST]))
    assert archive.n_readings("home") == 1, "none of before"


def test_unreadable_forest_is_left_out(tmp_path: Path) -> None:
    archive = opened(tmp_path)
    archive.record(readings([FIRST]))
    archive.flush()
    (tmp_path / "home.forest").mkdir()
    with capture_logs() as logs:
        assert archive.stored_forests() == {}
    assert [log["event"] for log in logs] == ["refit.forest_unreadable"]


def test_newest_minutes_end_at_the_last_reading() -> None:
    """Readings of a clock that was ahead and was set back, or years ahead, are dropped."""
    minutes = np.array([FIRST - MAX_MINUTES, FIRST, FIRST + 900, FIRST + 1, FIRST])
    house = RecordedMinutes(minutes, np.arange(5, dtype=np.float32), np.zeros(5, dtype=bool)).newest()
    assert (house.minutes.tolist(), house.gap_kw.tolist()) == ([FIRST], [4.0])


def test_series_has_gaps_and_outcomes() -> None:
    house = RecordedMinutes(np.array([5, 6, 9]), np.array([1, 2, 3], np.float32), np.array([False, True, False]))
    gap_kw, is_outcome = house.series()
    assert np.isnan(gap_kw).tolist() == [False, False, True, True, False]
    assert is_outcome.tolist() == [True, False, False, False, True]
