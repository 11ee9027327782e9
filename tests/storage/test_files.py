"""Journal and checkpoint files: they read back as written, and damage is detected."""

from __future__ import annotations

import errno
import json
import math
import os
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.samples import MeterState, OpenMinute, Sample, SampleValues
from gapcast.core.readings.state_limits import FIRST_MINUTE, LAST_MINUTE
from gapcast.core.snapshots.snapshot import Snapshot, capture_snapshot
from gapcast.core.time_grid import LATEST_MS
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Persistence
from gapcast.storage.checkpoints import checkpoint, checkpoint_columns
from gapcast.storage.checkpoints.npz_archive import read_arrays
from gapcast.storage.journals import journal, journal_reader
from gapcast.storage.journals.journal import PersistedBatch, encode, encode_header
from gapcast.storage.journals.journal_reader import Damage
from gapcast.storage.journals.record_lines import Record, RecordReader, encode_line, encode_line_v1
from gapcast.storage.store import Store
from tests.support.houses import EngineRun, ensemble_engine, house_kw, stream

NOON = 21_476_160
DEVICES = st.text("abcXYZ019_.-", min_size=1, max_size=64).filter(lambda name: name not in {".", ".."})
KW = st.floats(-1e6, 1e6)
MINUTES = st.integers(FIRST_MINUTE, LAST_MINUTE)
INSTANTS = st.integers(0, LATEST_MS)
MEASURED = st.none() | st.dictionaries(st.sampled_from(["voltage_v", "current_a"]), KW, min_size=1)
READINGS = st.lists(st.builds(Reading, DEVICES, MINUTES, KW, redelivered=st.just(False), measured=MEASURED))
BATCHES = st.lists(st.tuples(READINGS, INSTANTS))


def written(path: Path, batches: list[tuple[list[Reading], int]]) -> bytes:
    records = (encode(PersistedBatch(at_ms, readings), n=n) for n, (readings, at_ms) in enumerate(batches, start=1))
    content = encode_header() + b"".join(records)
    path.write_bytes(content)
    return content


def read(path: Path) -> tuple[list[tuple[list[Reading], int]], Damage]:
    damage = Damage()
    entries = list(journal_reader.read(path, damage))
    assert all(isinstance(entry, PersistedBatch) for entry in entries)
    return [
        (list(entry.readings), entry.issued_at_ms) for entry in entries if isinstance(entry, PersistedBatch)
    ], damage


@given(batches=BATCHES)
def test_journal_reads_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, batches: list[tuple[list[Reading], int]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "readings"
    written(path, batches)
    found, damage = read(path)
    assert found == batches
    assert not damage
    signs = [[math.copysign(1, r.gap_kw) for r in readings] for readings, _ in found]
    assert signs == [[math.copysign(1, r.gap_kw) for r in readings] for readings, _ in batches], "-0.0 is not 0.0"


SAMPLES = st.lists(
    st.builds(
        Sample,
        st.text(max_size=20),
        st.none() | INSTANTS,
        st.dictionaries(st.text(max_size=9), st.none() | KW, max_size=3),
        st.dictionaries(st.sampled_from(["voltage_v", "current_a"]), KW),
    )
)


@given(readings=READINGS, samples=SAMPLES)
def test_journal_reads_back_samples(
    tmp_path_factory: pytest.TempPathFactory, readings: list[Reading], samples: list[Sample]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "readings"
    batch = PersistedBatch(9, readings, samples)
    path.write_bytes(encode_header() + encode(batch))
    assert list(journal_reader.read(path, Damage())) == [batch]


@given(readings=READINGS, samples=SAMPLES, filled=st.sets(st.integers(0, 9)))
def test_journal_reads_back_filled_minutes(
    tmp_path_factory: pytest.TempPathFactory, readings: list[Reading], samples: list[Sample], filled: set[int]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "readings"
    readings = [reading._replace(is_filled=i in filled) for i, reading in enumerate(readings)]
    batch = PersistedBatch(9, readings, samples)
    path.write_bytes(encode_header() + encode(batch))
    assert list(journal_reader.read(path, Damage())) == [batch]


def test_journal_lists_filled_minutes_beside_the_readings() -> None:
    """An older gapcast ignores the list, and reads the rest."""
    readings = [Reading("home", NOON, 1.0), Reading("barn", NOON, 2.5, is_filled=True)]
    _, _, document = encode(PersistedBatch(9, readings), n=1).split(b" ", 2)
    assert document == b'[9,[["home",%d,1.0],["barn",%d,2.5]],[],[1]]\n' % (NOON, NOON)


def test_journal_does_not_store_redelivery(tmp_path: Path) -> None:
    written(tmp_path / "j", [([Reading("home", NOON, 1.0, redelivered=True)], 1)])
    assert read(tmp_path / "j")[0] == [([Reading("home", NOON, 1.0)], 1)]


BATCH = [([Reading("home", NOON + i, 1.0 + i)], i) for i in range(4)]


def test_journal_truncated_anywhere_keeps_earlier_lines(tmp_path: Path) -> None:
    path = tmp_path / "j"
    content = written(path, BATCH)
    last = content.rstrip(b"\n").rindex(b"\n") + 1
    for n in range(last + 1, len(content) - 1):
        path.write_bytes(content[:n])
        found, damage = read(path)
        assert found == BATCH[:3]
        assert (damage.n_bytes_cut, damage.n_lost) == (n - last, 0)
    path.write_bytes(content + b"\0" * 4_096)  # as a file system may leave it after a power cut
    found, damage = read(path)
    assert (found, damage.n_bytes_cut) == (BATCH, 4_096)


def test_journal_without_a_newline_between_records_loses_none(tmp_path: Path) -> None:
    path = tmp_path / "j"
    lines = written(path, BATCH).splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2].rstrip() + b"".join(lines[3:]))
    found, damage = read(path)
    assert (found, bool(damage)) == (BATCH, False)
    path.write_bytes(b"".join(lines).rstrip())
    found, damage = read(path)
    assert (found, str(damage), bool(damage)) == (BATCH, "", True), "nothing may be appended"


@pytest.mark.parametrize("end", [b"", b"\n", b"\n" + b"x" * 200_000 + b"\n"])
def test_journal_repair_of_a_long_line_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    """A file system may leave megabytes of zeros: trying each length would copy them as many times."""
    n_tried, try_line = 0, RecordReader._try

    def counted(reader: RecordReader, line: bytes) -> Record | None:
        nonlocal n_tried
        n_tried += 1
        return try_line(reader, line)

    monkeypatch.setattr(RecordReader, "_try", counted)
    path = tmp_path / "j"
    path.write_bytes(written(path, BATCH) + b"\0" * 200_000 + end)
    assert read(path)[0] == BATCH
    assert n_tried < 20_000


def test_journal_damaged_in_several_bytes_loses_one_record(tmp_path: Path) -> None:
    path = tmp_path / "j"
    content = bytearray(written(path, BATCH))
    second = content.index(b"21476161")
    content[second : second + 3] = b"999"
    path.write_bytes(content)
    found, damage = read(path)
    assert found == [BATCH[0], *BATCH[2:]]
    assert damage.n_lost == 1


@pytest.mark.parametrize(
    "document",
    [
        b'{"a": 1}',
        b"[1]",
        b"[1, [[]]]",
        b'[1, [["home"]]]',
        b'[1, [], [["t"]]]',
        b"[1, [], 7]",
        b"not JSON",
        b"7",
        b"[-1, []]",
        b'[1, [["a b", 21476161, 1]]]',
        b'[1, [["home", 21476161, 1e7]]]',
        b'[1, [["home", 3, 1]]]',
        b'[1, [["home", 21476161, null]]]',
        b'[1, [], [["t", 1, {"a": 1e16}]]]',
    ],
)
def test_journal_line_with_a_bad_document_is_damage(tmp_path: Path, document: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(
        encode_header() + encode_line(document, 1, journal.NO_SALT) + encode(PersistedBatch(0, BATCH[0][0]), n=2)
    )
    found, damage = read(path)
    assert found == BATCH[:1]
    assert damage.n_lost == 1


def test_journal_of_a_newer_version_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(encode_line_v1(b'{"gapcast":"readings","version":3}'))
    with pytest.raises(StateError, match=r"j is of version 3, and this gapcast reads versions up to 2"):
        read(path)


# --- checkpoints --------------------------------------------------------------------------------------


def snapshot_of(n_devices: int = 3, context: int = 30) -> Snapshot:
    engine = Engine(Persistence(WindowSpec(context)))
    for minute in range(40):
        readings = [Reading(f"d{d}", NOON + minute, 0.1 * minute + d) for d in range(n_devices)]
        engine.forecast(engine.accept(readings), 7)
    if n_devices > 1:  # one that waits to be confirmed, and one that is late
        engine.accept([Reading("d0", NOON + 9_999, 1.0), Reading("d1", NOON, 1.0, measured={"voltage_v": 230.5})])
    now_ms = NOON * 60_000 + 1
    current = SampleValues(now_ms, (0.1, None))
    open_minute = OpenMinute(NOON, now_ms, (0.1 + 0.2, 0.0), (7, 0), current, (current,), (), now_ms + 1)
    plug = MeterState("tele/plug", {"a.b": -0.0}, 1, now_ms + 1, -5, open_minute, (now_ms - 1, (1e-9, 3.5)))
    fresh = MeterState("meter/é", {"a": None}, 0, None, 0, OpenMinute(0, 0, (0.0,), (0,), None, (), (), None), None)
    return capture_snapshot(engine, [plug, fresh][: n_devices - 1])


def assert_same(found: Snapshot | None, given_: Snapshot) -> None:
    assert found is not None
    for name in Snapshot.__slots__:
        left, right = getattr(found, name), getattr(given_, name)
        if isinstance(left, np.ndarray):
            assert (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes()), name
        elif isinstance(left, dict):
            assert left.keys() == right.keys(), name
            for column, values in left.items():
                assert (values.dtype, values.tobytes()) == (right[column].dtype, right[column].tobytes()), (
                    name,
                    column,
                )
        else:
            assert left == right, name


@pytest.mark.parametrize(("n_devices", "context"), [(0, 30), (1, 30), (3, 30), (300, 180)])
def test_checkpoint_reads_back_exactly(tmp_path: Path, n_devices: int, context: int) -> None:
    snapshot = snapshot_of(n_devices, context)
    path = tmp_path / "c"
    path.write_bytes(checkpoint.encode(snapshot))
    assert_same(checkpoint.read(path), snapshot)


def snapshot_with_filled_minutes() -> Snapshot:
    """A snapshot with a filled reading, a held reading, and part of an open minute."""
    engine = Engine(Persistence(WindowSpec(4)))
    for i in range(4):
        engine.forecast(engine.accept([Reading(d, NOON + i, 1.0, is_filled=i == 2) for d in ("d0", "d1")]), 7)
    engine.accept([Reading("d0", NOON + 9_999, 1.0, is_filled=True), Reading("d1", NOON, 1.0)])
    now_ms = NOON * 60_000 + 30_000
    open_minute = OpenMinute(NOON, now_ms, (60_000.0,), (30_000,), None, (), (), now_ms, 20_000)
    return capture_snapshot(engine, [MeterState("plug", {"": 1.0}, 0, None, 0, open_minute, None)])


def test_checkpoint_reads_back_filled_minutes(tmp_path: Path) -> None:
    snapshot, path = snapshot_with_filled_minutes(), tmp_path / "c"
    assert snapshot.filled is not None
    path.write_bytes(checkpoint.encode(snapshot))
    assert_same(checkpoint.read(path), snapshot)
    path.write_bytes(checkpoint.encode(replace(snapshot, filled=snapshot.filled[:1])))
    assert "filled is of shape" in damage_of(path)


def test_checkpoint_meters_have_the_members_of_earlier_versions(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(checkpoint.encode(snapshot_with_filled_minutes()))
    header = json.loads(read_arrays(BytesIO(path.read_bytes()))["about"].tobytes())
    (meter,), (held,), ((late,),) = header["meters"], header["held"], header["late_runs"]
    assert (len(meter[5]), len(late), len(held)) == (8, 5, 6)
    assert header["filled_ms"] == {"plug": 20_000}


def test_checkpoint_reads_back_the_ends_of_imports(tmp_path: Path) -> None:
    engine, path = Engine(Persistence()), tmp_path / "c"
    engine.accept([Reading("home", NOON, 1.0)])
    engine.buffers.end_import("home")
    path.write_bytes(checkpoint.encode(capture_snapshot(engine)))
    assert checkpoint.read(path).imported == ["home"]


def test_checkpoint_with_an_impossible_filled_time_drops_the_meter(tmp_path: Path) -> None:
    snapshot, path = snapshot_with_filled_minutes(), tmp_path / "c"
    meter = snapshot.meters[0]
    damaged = meter._replace(open_minute=meter.open_minute._replace(filled_ms=60_001))
    path.write_bytes(checkpoint.encode(replace(snapshot, meters=[damaged])))
    assert checkpoint.read(path).meters == []


def damage_of(path: Path) -> str:
    with pytest.raises(checkpoint.DamagedError) as caught:
        checkpoint.read(path)
    return str(caught.value)


def test_checkpoint_with_bad_columns_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "c"
    snapshot = snapshot_of()
    path.write_bytes(checkpoint.encode(replace(snapshot, last_minute=snapshot.last_minute[:1])))
    assert "last_minute is of shape" in damage_of(path)
    path.write_bytes(checkpoint.encode(replace(snapshot, n_seen=snapshot.n_seen.astype(np.float64))))
    assert "cannot be parsed (TypeError" in damage_of(path)
    path.write_bytes(checkpoint.encode(replace(snapshot, devices=["d0"] * 3)))
    assert "named twice" in damage_of(path)


def test_checkpoint_of_a_newer_version_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_columns, "VERSION", 3)
    path = tmp_path / "c"
    path.write_bytes(checkpoint.encode(snapshot_of()))
    with pytest.raises(StateError, match=r"c is of version 3"):
        checkpoint.read(path)


def test_checkpoint_with_bad_learnt_columns_keeps_readings(tmp_path: Path) -> None:
    run = EngineRun(ensemble_engine()).process(stream(house_kw(50)))
    snapshot = capture_snapshot(run.engine)
    state = snapshot.learning_state | {"memory": snapshot.learning_state["memory"] * np.nan}
    (tmp_path / "checkpoint-00000000.npz").write_bytes(checkpoint.encode(replace(snapshot, learning_state=state)))
    engine = ensemble_engine()
    with capture_logs() as logs:
        Store(tmp_path).restore(engine)
    assert engine.latest() == run.engine.latest()
    (entry,) = [entry for entry in logs if entry["event"] == "state.learning_not_restored"]
    assert entry["problem"] == "1 rows of learned values or scores are out of range"


@pytest.mark.parametrize("is_begun", [False, True])
def test_checkpoint_on_a_full_disk_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_begun: bool
) -> None:
    def no_room(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    snapshot = capture_snapshot(ensemble_engine())
    monkeypatch.setattr(checkpoint, "_write_digest" if is_begun else "write_arrays", no_room)
    with pytest.raises(OSError, match="No space left on device"):
        checkpoint.replace_file(tmp_path / "checkpoint.npz", tmp_path / "checkpoint.part", snapshot)
    assert list(tmp_path.iterdir()) == []
