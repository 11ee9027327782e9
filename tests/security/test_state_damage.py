"""Damage to each byte of a checkpoint and a journal: no errors, and the forecasts of the intact state."""

from __future__ import annotations

import hashlib
import json
import shutil
import tracemalloc
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy
from structlog.testing import capture_logs

from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.learning.scores.score_sums import PUBLISHED
from gapcast.core.models.predictor import Prediction
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.samples import Sample
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Trend
from gapcast.service.ports.broker_link import NoMeters
from gapcast.storage.checkpoints import checkpoint
from gapcast.storage.generations import checkpoint_path, journal_path
from gapcast.storage.journals import journal, journal_reader
from gapcast.storage.journals.record_lines import salt_of
from gapcast.storage.store import Store
from tests.support.houses import Smooth, ensemble_engine, house_kw, stream

NOON = 21_476_160
N_DEVICES, N_RECORDS, NEWEST = 20, 200, 3
FIXTURES = Path(__file__).parents[1] / "fixtures" / "state-v1"


def new_engine() -> Engine:
    return Engine(Trend(WindowSpec(4)))


def reading(number: int) -> Reading:
    device, minute = number % N_DEVICES, number // N_DEVICES
    return Reading(f"d{device}", NOON + minute, round(0.2 * (number % 17) + device, 3))


def write_life(folder: Path, first: int, last: int, *, ends_well: bool) -> None:
    """Let one process take the readings with numbers ``first`` to ``last``, one per batch."""
    engine, store = new_engine(), Store(folder)
    store.restore(engine)
    for number in range(first, last):
        engine.forecast(engine.accept([reading(number)]), 9)
        store.append_batch([reading(number)], 9)
    store.close(capture_snapshot(engine) if ends_well else None)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with two checkpoints of 20 devices and a journal of 200 records after the newer one."""
    folder = tmp_path_factory.mktemp("state")
    write_life(folder, 0, 60, ends_well=True)
    write_life(folder, 60, 100, ends_well=True)
    write_life(folder, 100, 100 + N_RECORDS, ends_well=False)
    assert checkpoint_path(folder, NEWEST).exists()
    assert checkpoint_path(folder, NEWEST - 1).exists()
    return folder


def forecasts_of(folder: Path) -> tuple[list[Forecast], str]:
    """Return the forecasts of a gateway that starts with this folder, and the damage that it reports."""
    engine, store = new_engine(), Store(folder)
    with capture_logs():
        store.restore(engine)
        store.close(None)
    assert store.problem == ""
    return engine.latest(), store.damage


def mutations(content: bytes, seed: int) -> Iterator[tuple[int, bytes]]:
    """Yield each byte set to 0, to 255, and with one bit flipped, with its position."""
    draw = Random(seed)
    for at, before in enumerate(content):
        for value in {0, 255, before ^ (1 << draw.randrange(8))} - {before}:
            yield at, b"%b%c%b" % (content[:at], value, content[at + 1 :])


@pytest.mark.long
def test_checkpoint_with_any_byte_damaged_is_rejected(intact: Path) -> None:
    path = checkpoint_path(intact, NEWEST)
    for at, content in mutations(path.read_bytes(), 1):
        try:
            checkpoint.decode(path, content)
        except checkpoint.DamagedError:
            continue
        pytest.fail(f"accepted with byte {at} damaged")


@pytest.mark.long
def test_checkpoint_truncated_anywhere_is_rejected(intact: Path) -> None:
    path = checkpoint_path(intact, NEWEST)
    content = path.read_bytes()
    for n in range(len(content)):
        with pytest.raises(checkpoint.DamagedError):
            checkpoint.decode(path, content[:n])


def test_checkpoint_whose_directory_is_outside_the_file_is_rejected(tmp_path: Path) -> None:
    """Without a digest, and from the disk, where the seek fails with the error of a bad argument."""
    path = FIXTURES / "plain" / "checkpoint-00000002.npz"
    content = bytearray(path.read_bytes())
    at = content.rfind(b"PK\5\6") + 16
    content[at : at + 4] = (int.from_bytes(content[at : at + 4], "little") + 1_000).to_bytes(4, "little")
    copy = tmp_path / path.name
    copy.write_bytes(content)
    with pytest.raises(checkpoint.DamagedError, match="it cannot be parsed"):
        checkpoint.read(copy)


@pytest.mark.parametrize("at", [0, 30, 5_000, -80, -1])
def test_checkpoint_damaged_falls_back_to_the_previous_one(intact: Path, tmp_path: Path, at: int) -> None:
    expected, _ = forecasts_of(intact)
    folder = tmp_path / "state"
    shutil.copytree(intact, folder)
    path = checkpoint_path(folder, NEWEST)
    content = bytearray(path.read_bytes())
    content[at] ^= 0x11
    path.write_bytes(content)
    found, damage = forecasts_of(folder)
    assert found == expected
    assert path.name in damage
    assert f"Used instead: {checkpoint_path(folder, NEWEST - 1).name} and 2 journals" in damage


def entries_of(path: Path, content: bytes) -> tuple[list[journal.Entry], journal_reader.Damage]:
    path.write_bytes(content)
    damage = journal_reader.Damage()
    return list(journal_reader.read(path, damage, salt_of(NEWEST))), damage


@pytest.mark.long
def test_journal_with_any_byte_damaged_loses_no_record(intact: Path, tmp_path: Path) -> None:
    lines = journal_path(intact, NEWEST).read_bytes().splitlines(keepends=True)
    assert len(lines) == N_RECORDS + 1
    path = tmp_path / "journal"
    for number in range(1, N_RECORDS + 1, 8):  # all have one form; scripts/faults --state-damage damages every one
        before, after = b"".join(lines[max(number - 1, 1) : number]), b"".join(lines[number + 1 : number + 2])
        expected, _ = entries_of(path, lines[0] + before + lines[number] + after)
        for at, line in mutations(lines[number], number):
            found, _ = entries_of(path, lines[0] + before + line + after)
            assert found == expected, (number, at, line)


def test_journal_with_its_header_damaged_loses_no_record(intact: Path, tmp_path: Path) -> None:
    content = journal_path(intact, NEWEST).read_bytes()
    n_header = len(journal.encode_header())
    expected, _ = entries_of(tmp_path / "journal", content)
    for at, header in mutations(content[:n_header], 2):
        found, damage = entries_of(tmp_path / "journal", header + content[n_header:])
        assert found == expected, at
        assert damage.has_bad_header


@pytest.mark.long
def test_journal_truncated_keeps_earlier_records(intact: Path, tmp_path: Path) -> None:
    content = journal_path(intact, NEWEST).read_bytes()
    expected, _ = entries_of(tmp_path / "journal", content)
    assert len(expected) == N_RECORDS
    for n in range(len(content) - 200, len(content)):
        found, damage = entries_of(tmp_path / "journal", content[:n])
        whole = content[:n].count(b"\n") - 1
        has_last = content[n : n + 1] == b"\n"  # the newline alone is lost
        assert found == expected[: whole + has_last]
        assert damage.n_lost == 0


@pytest.mark.parametrize("seed", range(12))
def test_journal_with_a_damaged_byte_gives_the_intact_forecasts(intact: Path, tmp_path: Path, seed: int) -> None:
    expected, _ = forecasts_of(intact)
    folder = tmp_path / "state"
    shutil.copytree(intact, folder)
    path = journal_path(folder, NEWEST)
    content = bytearray(path.read_bytes())
    draw = Random(seed)
    at = draw.randrange(len(content))
    content[at] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    found, _ = forecasts_of(folder)
    assert found == expected


@pytest.mark.long
def test_journal_of_another_generation_is_not_replayed(intact: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(journal_path(intact, NEWEST).read_bytes())
    damage = journal_reader.Damage()
    assert list(journal_reader.read(path, damage, salt_of(NEWEST + 1))) == []
    assert damage.n_lost == N_RECORDS


def test_journal_with_repeated_records_replays_each_once(intact: Path, tmp_path: Path) -> None:
    content = journal_path(intact, NEWEST).read_bytes()
    records = content.splitlines(keepends=True)
    expected, _ = entries_of(tmp_path / "journal", content)
    found, damage = entries_of(tmp_path / "journal", content + b"".join(records[-9:]))
    assert found == expected
    assert damage.n_repeated == 9
    found, damage = entries_of(tmp_path / "journal", b"".join(records[:50] + records[53:]))
    assert found == expected[:49] + expected[52:]
    assert damage.n_lost == 3


# --- state of version 1 -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "learned"])
def test_state_of_version_1_gives_the_same_forecasts(tmp_path: Path, name: str) -> None:
    """What version 1 learned is restored; the expected forecasts are those of the present ensemble."""
    folder = tmp_path / "state"
    shutil.copytree(FIXTURES / name, folder)
    engine = Engine(Trend(WindowSpec(8))) if name == "plain" else ensemble_engine(Smooth(WindowSpec(8)))
    store = Store(folder)
    store.restore(engine)
    store.close(None)
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    found = {
        f.device: [f.observed_minute, f.gap_kw, f.median_kw, f.lower_kw, f.upper_kw, f.issued_at_ms]
        for f in engine.latest()
    }
    assert found == expected
    assert (store.problem, store.damage) == ("", "")


def test_journal_of_version_1_is_not_continued(tmp_path: Path) -> None:
    """Its first line promises records that an earlier version can read: a new generation gets the new records."""
    folder = tmp_path / "state"
    shutil.copytree(FIXTURES / "plain", folder)
    engine, store = Engine(Trend(WindowSpec(8))), Store(folder)
    store.restore(engine)
    store.append_batch([reading(1)], 9)
    store.close(None)
    assert not journal_path(folder, 2).exists(), "the new checkpoint has its records"
    assert len(entries_of(folder / "read.jsonl", journal_path(folder, 3).read_bytes())[0]) == 1


@pytest.mark.long
def test_checkpoint_of_version_1_damaged_never_gives_other_values() -> None:
    path = FIXTURES / "plain" / "checkpoint-00000002.npz"
    content = path.read_bytes()
    expected = Engine(Trend(WindowSpec(8)))
    restore_snapshot(expected, checkpoint.decode(path, content))
    n_accepted = 0
    draw = Random(3)
    for at, before in enumerate(content):
        altered = b"%b%c%b" % (content[:at], before ^ (1 << draw.randrange(8)), content[at + 1 :])
        try:
            snapshot = checkpoint.decode(path, altered)
        except checkpoint.DamagedError:
            continue
        engine = Engine(Trend(WindowSpec(8)))  # a byte that means nothing, such as a date
        restore_snapshot(engine, snapshot)
        n_accepted += 1
        assert engine.latest() == expected.latest(), at
    assert n_accepted < len(content)


# --- crafted files, whose digest is right -------------------------------------------------------------


def test_device_with_values_out_of_range_starts_empty(intact: Path) -> None:
    snapshot = checkpoint.read(checkpoint_path(intact, NEWEST))
    spoiled = {"values": np.inf, "last_minute": 7, "latest_kw": np.nan, "latest_when": -1, "observed": 0, "n_seen": -1}
    for row, (name, value) in enumerate(spoiled.items()):
        column = getattr(snapshot, name).copy()
        column[row] = value
        object.__setattr__(snapshot, name, column)
    engine = new_engine()
    unused = restore_snapshot(engine, snapshot)
    assert unused.devices == snapshot.devices[: len(spoiled)]
    assert list(engine.buffers) == snapshot.devices[len(spoiled) :]


def crafted(path: Path, **columns: Any) -> None:
    """Rewrite the checkpoint at ``path`` with other columns and a correct digest."""
    snapshot = checkpoint.read(path)
    assert snapshot is not None
    path.write_bytes(checkpoint.encode(replace(snapshot, **columns)))


@pytest.mark.parametrize("has_journals", [True, False])
def test_checkpoint_not_restorable_falls_back_to_the_previous_one(
    intact: Path, tmp_path: Path, has_journals: bool
) -> None:
    folder = tmp_path / "state"
    shutil.copytree(intact, folder)
    path = checkpoint_path(folder, NEWEST)
    if not has_journals:
        for generation in (NEWEST - 1, NEWEST):
            journal_path(folder, generation).unlink()
    shutil.copytree(folder, tmp_path / "without", ignore=lambda *_: [path.name])
    expected, _ = forecasts_of(tmp_path / "without")
    crafted(path, latest_kw=np.zeros((N_DEVICES, 9), dtype=np.float32))
    found, damage = forecasts_of(folder)
    assert found == expected
    assert f"{path.name}: it cannot be restored (ValueError" in damage
    assert f"Used instead: {checkpoint_path(folder, NEWEST - 1).name}" in damage


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 31, 1 << 31, 1 << 31), (-1,), (1 << 62, 0, 4)])
def test_checkpoint_of_a_huge_declared_shape_allocates_nothing(intact: Path, shape: tuple[int, ...]) -> None:
    path = checkpoint_path(intact, NEWEST)
    archive = BytesIO()
    with zipfile.ZipFile(BytesIO(path.read_bytes())) as source, zipfile.ZipFile(archive, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "values.npy":
                header = BytesIO()
                npy.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
                content = header.getvalue() + content[-64:]
            target.writestr(name, content)
    content = archive.getvalue()
    digest = hashlib.sha256(content).hexdigest().encode()
    tracemalloc.start()
    try:
        with pytest.raises(checkpoint.DamagedError, match="cannot be parsed"):
            checkpoint.decode(path, content + b"\ngapcast-sha256 " + digest + b"\n")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


class RaisingMeters(NoMeters):
    """Meters that raise an error for a certain record."""

    def replay_samples(self, samples: Sequence[Sample], readings: Sequence[Reading], issued_at_ms: int) -> None:
        if readings and readings[0] == reading(150):
            msg = "unlucky"
            raise ZeroDivisionError(msg)


def test_journal_record_that_raises_does_not_block_others(intact: Path, tmp_path: Path) -> None:
    expected, _ = forecasts_of(intact)
    folder = tmp_path / "state"
    shutil.copytree(intact, folder)
    engine, store = new_engine(), Store(folder)
    with capture_logs():
        store.restore(engine, RaisingMeters())
        store.close(None)
    assert store.damage.startswith("readings-00000003.jsonl: 1 records could not be replayed (ZeroDivisionError")
    assert engine.latest() == expected


@dataclass(frozen=True, slots=True)
class Unlucky(Trend):
    """A model that raises an unexpected error."""

    def predict(self, windows: F32) -> Prediction:
        msg = "unlucky"
        raise ZeroDivisionError(msg)


def test_newest_forecasts_that_raise_keep_the_windows(intact: Path, tmp_path: Path) -> None:
    def restored(name: str, engine: Engine) -> tuple[dict[str, list[float]], str]:
        store = Store(shutil.copytree(intact, tmp_path / name))
        with capture_logs():
            store.restore(engine)
            store.close(None)
        return {device: engine.buffers.window(device).tolist() for device in engine.buffers}, store.damage

    windows, damage = restored("unlucky", Engine(Unlucky(WindowSpec(4))))
    assert "the newest forecasts could not be repeated (ZeroDivisionError" in damage
    assert windows == restored("sound", new_engine())[0]


@pytest.mark.parametrize("name", ["memory", "coefficients", "covariance", "usual", "due", "due_minute", "seen"])
def test_learnt_state_out_of_range_is_reset_and_windows_stay(name: str) -> None:
    engine = ensemble_engine(Smooth(WindowSpec(8)))
    for one in stream(house_kw(30)):
        engine.forecast(engine.accept([one]), 7)
        engine.learn()
    snapshot = capture_snapshot(engine)
    snapshot.learning_state[name] = np.full_like(snapshot.learning_state[name], 10**17)
    again = ensemble_engine(Smooth(WindowSpec(8)))
    assert restore_snapshot(again, snapshot) == ("1 rows of learned values or scores are out of range", [])
    assert list(again.buffers) == ["home"]
    assert again.ensemble is not None
    assert (again.ensemble.state.arrays[name][1] == again.ensemble.state.initial(name)).all() or name == "seen"


def test_scores_and_drift_out_of_range_are_reset() -> None:
    engine = ensemble_engine(Smooth(WindowSpec(8)))
    for one in stream(house_kw(30)):
        engine.forecast(engine.accept([one]), 7)
        engine.learn()
    snapshot = capture_snapshot(engine)
    snapshot.scores[f"{PUBLISHED} ever"][:] = np.inf
    snapshot.drift["day"][:] = 2**60
    again = ensemble_engine(Smooth(WindowSpec(8)))
    assert restore_snapshot(again, snapshot).learning.startswith("2 rows")
    assert np.isfinite(again.horizons.main.scores.columns([0])[f"{PUBLISHED} ever"]).all()
    assert again.horizons.main.drift.columns([0])["day"].tolist() == [-1]
