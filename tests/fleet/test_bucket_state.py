"""A bucket's state in Spark's store: periodic snapshots, and a journal from each, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pyspark.sql import Row, SparkSession

from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.storage.journals import journal
from gapcast_fleet.buckets.bucket import forecast
from gapcast_fleet.buckets.bucket_state import MOST_READINGS_EACH
from gapcast_fleet.buckets.engine_batches import EngineBatch, replay_batches
from gapcast_fleet.engine.worker import WorkerTask, decode, encode, new_engine
from tests.fleet.houses import FIRST, fleet, furthest, of_the_edge, of_the_fleet, shuffled, write_lines
from tests.fleet.test_bad_input import messages, reading, task
from tests.fleet.test_score import run

__all__ = ["task"]
_PLACE = Path("a query/bucket 3")
Readings = Sequence[tuple[str, int, float]]


def journal_lines(task: WorkerTask, engine: Engine, readings: Readings, n_batches: int) -> list[bytes]:
    """Process ``readings`` with ``engine`` in as many micro-batches; return the lines of their journal."""
    n_each = -(-len(readings) // n_batches)
    batches: list[EngineBatch] = []
    for first in range(0, len(readings), n_each):
        came = [(device, reading(minute, kw)) for device, minute, kw in readings[first : first + n_each]]
        list(forecast(task, engine, messages(came), batches))
    return [batch.line() for batch in batches]


@pytest.mark.parametrize("seed", range(4))
def test_bucket_restored_from_snapshot_and_journal_is_exact(task: WorkerTask, seed: int) -> None:
    readings = shuffled(fleet(6, 60), seed)
    cut = len(readings) * (seed + 1) // 9
    engine = new_engine(task)
    journal_lines(task, engine, readings[:cut], 3)
    snapshot = encode(engine)
    lines = journal_lines(task, engine, readings[cut:], 5)
    again = decode(task, 3, snapshot)
    replay_batches(again, lines, _PLACE)
    assert encode(again) == encode(engine)


def test_bucket_is_restored_without_a_snapshot(task: WorkerTask) -> None:
    readings = shuffled(fleet(4, 30))
    engine, again = new_engine(task), new_engine(task)
    lines = journal_lines(task, engine, [one for one in readings for _ in range(2)], 4)  # each of them twice
    replay_batches(again, lines, _PLACE)
    assert encode(again) == encode(engine)
    assert sum(line.count(b'"house-0"') for line in lines) <= sum(device == "house-0" for device, _, _ in readings)


def test_bucket_replayed_batch_does_not_restart_a_stream(task: WorkerTask) -> None:
    engine, again = new_engine(task), new_engine(task)
    minutes: Readings = [("house-0", FIRST + i, 1.0) for i in range(9)]
    lines = journal_lines(task, engine, minutes, 1)
    batches: list[EngineBatch] = []
    echo = messages([(device, reading(minute, kw)) for device, minute, kw in minutes[2:7]], redelivered=True)
    list(forecast(task, engine, echo, batches))
    assert batches == []
    replay_batches(again, lines, _PLACE)
    assert encode(again) == encode(engine)


@pytest.mark.parametrize(
    "spoil", [lambda line: line[:-9], lambda line: line.replace(b"house", b"horse"), lambda _: b""]
)
def test_bucket_damaged_line_is_an_error_with_its_name(task: WorkerTask, spoil: object) -> None:
    lines = journal_lines(task, new_engine(task), shuffled(fleet(2, 9)), 3)
    assert callable(spoil)
    lines[1] = spoil(lines[1])
    with pytest.raises(StateError, match=r"a query/bucket 3: the journal in Spark's state store is damaged"):
        replay_batches(new_engine(task), lines, _PLACE)


def test_bucket_writes_a_snapshot_after_many_readings(spark: SparkSession, tmp_path: Path) -> None:
    houses = fleet(4, 60)
    mixed = shuffled(houses)
    few = len(mixed) // 10
    assert few < MOST_READINGS_EACH * 4 < len(mixed) - few

    def in_store(name: str) -> list[Row]:
        state = spark.read.format("statestore").option("path", str(tmp_path / "checkpoint" / "spark"))
        rows: list[Row] = state.option("stateVarName", name).load().collect()
        return rows

    write_lines(tmp_path / "in", mixed[:few], 1)
    run(spark, tmp_path, cached_devices=0)  # each micro-batch begins from Spark's store
    n_buckets = len(in_store("stamp"))
    assert in_store("snapshot") == []
    assert len(in_store("journal")) >= n_buckets
    write_lines(tmp_path / "in", mixed[few:], 6, first=1)
    run(spark, tmp_path, cached_devices=0)
    assert len(in_store("snapshot")) == n_buckets
    kept = [journal.decode(bytes(row.list_element.line)) for row in in_store("journal")]
    n_kept = sum(len(entry.readings) for entry in kept if isinstance(entry, journal.PersistedBatch))
    assert n_kept == sum(row.value.n_since for row in in_store("stamp")), "a snapshot starts a new journal"
    assert n_kept < MOST_READINGS_EACH * len(houses)
    assert furthest(of_the_fleet(tmp_path / "out"), of_the_edge(tmp_path / "edge", houses)) <= 1e-5
