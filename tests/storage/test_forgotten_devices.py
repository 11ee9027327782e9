"""A forgotten device does not return with the next process, and no file mentions it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.state_changes import ForgottenDevice
from gapcast.storage.checkpoints.checkpoint_rule import REMOVAL_INTERVAL_S
from gapcast.storage.generations import checkpoint_path, files_of, journal_path, remove_old
from tests.storage.test_store import ProcessRun, minutes
from tests.support.disks import no_room_beyond

NOON = 21_476_160
DEVICES = st.sampled_from(["home", "barn", "shed"])


class ForgetfulRun(ProcessRun):
    """An engine and its store, with devices that are forgotten."""

    def forget(self, device: str) -> None:
        self.recorder.engine.forget(device)
        self.store.append_change(ForgottenDevice(device))

    def look(self) -> None:
        """Do what the stream does between batches."""
        if self.store.maintain():
            self.store.write_snapshot(capture_snapshot(self.recorder.engine))
            self.store.catch_up()

    @property
    def devices(self) -> list[str]:
        return sorted(self.recorder.engine.buffers)


def mentions(folder: Path, device: str) -> list[str]:
    return [path.name for path in files_of(folder) if device.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("checkpoints", "clean_from", "left"),
    [
        ((3, 4), 0, [3, 4, 5]),  # if the newest is damaged, the other one is used
        ((3, 4, 5), 0, [4, 5]),
        ((3, 4, 5), 5, [5]),
        ((3, 4), 5, [3, 4, 5]),  # the checkpoint without the device is not complete yet
        ((), 5, [2, 3, 4, 5]),
    ],
)
def test_files_are_removed_once_a_later_checkpoint_is_there(
    tmp_path: Path, checkpoints: tuple[int, ...], clean_from: int, left: list[int]
) -> None:
    for generation in range(2, 6):
        journal_path(tmp_path, generation).touch()
    for generation in checkpoints:
        checkpoint_path(tmp_path, generation).touch()
    remove_old(tmp_path, clean_from)
    assert sorted(set(files_of(tmp_path).values())) == left


@pytest.mark.parametrize("end", [ProcessRun.end, ProcessRun.kill])
def test_forgotten_device_does_not_return(tmp_path: Path, end: Callable[[ProcessRun], None]) -> None:
    for _ in range(2):  # two checkpoints, of which either would do
        process = ForgetfulRun(tmp_path)
        process.run(minutes(0, 20))
        process.end()
    process = ForgetfulRun(tmp_path)
    process.forget("barn")
    process.run(minutes(20, 25, ["home"]))
    end(process)
    after = ForgetfulRun(tmp_path)
    assert after.devices == ["home"]
    assert [forecast.device for forecast in after.recorder.engine.latest()] == ["home"]
    assert after.recorder.windows == {"home": process.recorder.windows["home"]}
    after.kill()


def test_forgotten_device_leaves_the_files(tmp_path: Path) -> None:
    for _ in range(2):
        process = ForgetfulRun(tmp_path)
        process.run(minutes(0, 20))
        process.end()
    process = ForgetfulRun(tmp_path)
    process.run(minutes(20, 25))
    process.forget("barn")
    assert mentions(tmp_path, "barn") != []
    process.look()
    assert mentions(tmp_path, "barn") == []
    assert mentions(tmp_path, "home") != []
    assert not process.store.maintain(), "once is enough"
    process.kill()


def test_forgotten_devices_are_removed_at_most_once_a_minute(tmp_path: Path) -> None:
    """A checkpoint may be 35 MB for 1,500 devices: one for each of many requests would wear an SD card."""
    process = ForgetfulRun(tmp_path)
    process.run(minutes(0, 20, ["home", "barn", "shed"]))
    process.forget("barn")
    process.look()
    process.forget("shed")
    assert not process.store.maintain()
    process.later_s += REMOVAL_INTERVAL_S
    process.look()
    assert mentions(tmp_path, "shed") == []
    process.kill()


def test_forgotten_device_leaves_the_files_after_a_kill(tmp_path: Path) -> None:
    process = ForgetfulRun(tmp_path)
    process.run(minutes(0, 20))
    process.forget("barn")
    process.kill()
    after = ForgetfulRun(tmp_path)
    assert after.devices == ["home"]
    after.look()
    assert mentions(tmp_path, "barn") == []
    after.kill()
    assert ForgetfulRun(tmp_path).devices == ["home"]


def test_forgotten_device_that_returns_starts_as_new(tmp_path: Path) -> None:
    process = ForgetfulRun(tmp_path)
    process.run(minutes(0, 20))
    process.forget("barn")
    process.run([Reading("barn", NOON + 20, 3.0)])
    process.kill()
    after = ForgetfulRun(tmp_path)
    assert after.devices == ["barn", "home"]
    assert after.recorder.windows == process.recorder.windows
    after.kill()


def test_forget_on_a_full_disk_is_written_later(tmp_path: Path) -> None:
    process = ForgetfulRun(tmp_path)
    process.run(minutes(0, 20))
    with capture_logs(), no_room_beyond(1):
        process.forget("barn")
        process.forget("shed")  # nothing is kept by now
    assert process.store.problem
    process.later_s = 31.0
    process.look()
    assert process.store.problem == ""
    assert mentions(tmp_path, "barn") == []
    process.kill()
    assert ForgetfulRun(tmp_path).devices == ["home"]


@pytest.mark.long
@given(
    lives=st.lists(
        st.tuples(st.lists(st.tuples(st.integers(0, 3), DEVICES), max_size=25), st.booleans()), min_size=1, max_size=3
    )
)
def test_forgotten_devices_in_any_order_of_events(
    tmp_path_factory: pytest.TempPathFactory, lives: list[tuple[list[tuple[int, str]], bool]]
) -> None:
    folder, minute = tmp_path_factory.mktemp("state"), NOON
    before: ForgetfulRun | None = None
    for steps, well in lives:
        process = ForgetfulRun(folder)
        if before is not None:
            assert process.devices == before.devices
            assert process.recorder.windows == before.recorder.windows
        for what, device in steps:
            minute += 1
            if what == 0:
                process.forget(device)
            elif what == 1:
                process.look()
            else:
                process.run([Reading(device, minute, 1.0 + minute % 7)])
        if well:
            process.end()
        else:
            process.kill()
        before = process
