"""A device that was forgotten does not come back with the next process, and no file tells of it any more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gapcast.core.reading import Reading
from gapcast.core.snapshot import capture_snapshot
from gapcast.storage.recovery import files_of
from tests.storage.test_store import Life, minutes
from tests.support.disks import no_room_beyond

NOON = 21_476_160
DEVICES = st.sampled_from(["home", "barn", "shed"])


class Forgetful(Life):
    """A life in which devices are forgotten."""

    def forget(self, device: str) -> None:
        self.recorder.engine.forget(device)
        self.store.forget(device)

    def look(self) -> None:
        """What the stream does between two batches."""
        if self.store.maintain():
            self.store.write_snapshot(capture_snapshot(self.recorder.engine))
            self.store.catch_up()

    @property
    def devices(self) -> list[str]:
        return sorted(self.recorder.engine.buffers)


def tells_of(folder: Path, device: str) -> list[str]:
    return [path.name for path in files_of(folder) if device.encode() in path.read_bytes()]


@pytest.mark.parametrize("end", [Life.end, Life.break_off])
def test_it_does_not_come_back_and_the_others_go_on(tmp_path: Path, end: Callable[[Life], None]) -> None:
    for _ in range(2):  # two checkpoints, of which either would do
        life = Forgetful(tmp_path)
        life.run(minutes(0, 20))
        life.end()
    life = Forgetful(tmp_path)
    life.forget("barn")
    life.run(minutes(20, 25, ["home"]))
    end(life)
    after = Forgetful(tmp_path)
    assert after.devices == ["home"]
    assert [forecast.device for forecast in after.recorder.engine.latest()] == ["home"]
    assert after.recorder.windows == {"home": life.recorder.windows["home"]}
    after.break_off()


def test_its_files_go_as_soon_as_the_stream_looks(tmp_path: Path) -> None:
    for _ in range(2):
        life = Forgetful(tmp_path)
        life.run(minutes(0, 20))
        life.end()
    life = Forgetful(tmp_path)
    life.run(minutes(20, 25))
    life.forget("barn")
    assert tells_of(tmp_path, "barn") != []
    life.look()
    assert tells_of(tmp_path, "barn") == []
    assert tells_of(tmp_path, "home") != []
    assert not life.store.maintain(), "once is enough"
    life.break_off()


def test_where_the_process_was_killed_before_that_the_next_one_does_it(tmp_path: Path) -> None:
    life = Forgetful(tmp_path)
    life.run(minutes(0, 20))
    life.forget("barn")
    life.break_off()
    after = Forgetful(tmp_path)
    assert after.devices == ["home"]
    after.look()
    assert tells_of(tmp_path, "barn") == []
    after.break_off()
    assert Forgetful(tmp_path).devices == ["home"]


def test_one_that_comes_again_begins_anew(tmp_path: Path) -> None:
    life = Forgetful(tmp_path)
    life.run(minutes(0, 20))
    life.forget("barn")
    life.run([Reading("barn", NOON + 20, 3.0)])
    life.break_off()
    after = Forgetful(tmp_path)
    assert after.devices == ["barn", "home"]
    assert after.recorder.windows == life.recorder.windows
    after.break_off()


def test_forgotten_on_a_full_disk_it_is_so_when_there_is_room_again(tmp_path: Path) -> None:
    life = Forgetful(tmp_path)
    life.run(minutes(0, 20))
    with capture_logs(), no_room_beyond(1):
        life.forget("barn")
        life.forget("shed")  # nothing is kept by now
    assert life.store.problem
    life.later_s = 31.0
    life.look()
    assert life.store.problem == ""
    assert tells_of(tmp_path, "barn") == []
    life.break_off()
    assert Forgetful(tmp_path).devices == ["home"]


@given(
    lives=st.lists(
        st.tuples(st.lists(st.tuples(st.integers(0, 3), DEVICES), max_size=25), st.booleans()), min_size=1, max_size=3
    )
)
def test_in_whatever_order_things_happen(
    tmp_path_factory: pytest.TempPathFactory, lives: list[tuple[list[tuple[int, str]], bool]]
) -> None:
    folder, minute = tmp_path_factory.mktemp("state"), NOON
    before: Forgetful | None = None
    for steps, well in lives:
        life = Forgetful(folder)
        if before is not None:
            assert life.devices == before.devices
            assert life.recorder.windows == before.recorder.windows
        for what, device in steps:
            minute += 1
            if what == 0:
                life.forget(device)
            elif what == 1:
                life.look()
            else:
                life.run([Reading(device, minute, 1.0 + minute % 7)])
        if well:
            life.end()
        else:
            life.break_off()
        before = life
