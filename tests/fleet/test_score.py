"""The stream on Spark gives the edge's forecasts for any order of devices, batches and format."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.types import StringType

from gapcast.core.errors import ModelError, SettingsError, SourceError
from gapcast_fleet.connectors.sinks import to_files, to_kafka
from gapcast_fleet.connectors.sources import FileFormat, _as_json, from_files
from gapcast_fleet.failures import worker_error
from gapcast_fleet.scoring.score import Plan, start
from tests.fleet.houses import (
    FIRST,
    MESSAGE_S,
    fleet,
    furthest,
    of_the_edge,
    of_the_fleet,
    settings,
    shuffled,
    write_lines,
)
from tests.fleet.queries import run_to_end
from tests.support.models import ModelCopy

_AT_MOST_KW = 1e-5


def run(spark: SparkSession, folder: Path, file_format: FileFormat = "json", **options: Any) -> None:
    readings = from_files(spark, folder / "in", file_format, 2)
    plan = Plan(folder / "checkpoint", once=True, n_buckets=2, **options)
    run_to_end(lambda: start(settings(), readings, to_files(folder / "out", file_format), plan))


def test_score_equals_the_edge_with_gaps_and_restarts(spark: SparkSession, tmp_path: Path) -> None:
    houses = fleet()
    mixed = shuffled(houses)
    third = len(mixed) // 3
    write_lines(tmp_path / "in", mixed[:third], 3)
    run(spark, tmp_path)
    write_lines(tmp_path / "in", mixed[third : 2 * third], 3, first=3)
    run(spark, tmp_path, cached_devices=1)  # too few for any bucket: the state comes from what workers leave each other
    write_lines(tmp_path / "in", mixed[2 * third :], 3, first=6)
    run(spark, tmp_path, cached_devices=0)  # it comes from Spark's store
    found = of_the_fleet(tmp_path / "out")
    assert len(found) > 200
    assert furthest(found, of_the_edge(tmp_path / "edge", houses)) <= _AT_MOST_KW


def test_score_parquet_in_and_out_with_rejections(spark: SparkSession, tmp_path: Path) -> None:
    readings = shuffled(fleet(3, 12))
    bad = [("my meter", readings[0][1], 1.0), ("house-0", 5, 1.0), ("house-1", readings[0][1], 1e9)]
    (tmp_path / "in").mkdir()
    devices, minutes, kw = map(list, zip(*readings, *bad, strict=True))
    ts = pa.array([minute * 60_000 for minute in minutes]).cast(pa.timestamp("ms", "UTC"))
    pq.write_table(pa.table({"device": devices, "ts": ts, "gap_kw": kw}), tmp_path / "in" / "a.parquet")
    run(spark, tmp_path, file_format="parquet")
    rows = spark.read.parquet(str(tmp_path / "out"))
    forecasts = rows.where("kind = 'forecast'").toPandas()
    edge = of_the_edge(tmp_path / "edge", fleet(3, 12))
    columns = (forecasts[name] for name in ("device", "observed_at", "gap_kw"))
    found = {(device, f"{at:%Y-%m-%dT%H:%M:%SZ}"): kw for device, at, kw in zip(*columns, strict=True)}
    assert found == pytest.approx({key: its.gap_kw for key, its in edge.items()}, abs=_AT_MOST_KW)
    rejections = [json.loads(row.rejection) for row in rows.where("kind = 'rejected'").collect()]
    assert sorted(one["reason"] for one in rejections) == ["bad_device", "clock_not_set", "out_of_range"]


def test_score_file_that_is_not_utf8_is_rejected_line_by_line(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    good = [json.dumps({"device": "a", "ts": (FIRST + i) * 60, "gap_kw": 1.0}).encode() for i in range(2)]
    bad = ['{"device": "küche", "gap_kw": 1}'.encode("latin-1"), '{"device": "a", "room": "küche"}'.encode("latin-1")]
    lines = [*bad, b"", b"\xff\xfe\x00", b" \t", b'{"device": "b", "ts": 1, "gap_kw": NaN}', *good, b""]
    (tmp_path / "in" / "a.json").write_bytes(b"\n".join(lines))
    run(spark, tmp_path)
    assert {device for device, _ in of_the_fleet(tmp_path / "out")} == {"a"}
    files = (tmp_path / "out").glob("batch=*/kind=rejected/part-*.txt")
    rejections = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert sorted((one["reason"], one["topic"]) for one in rejections) == [
        ("bad_device", "k\ufffdche"), ("not_finite", "b"), ("not_json", ""), ("not_json", "a"),
    ]  # fmt: skip


def test_source_device_of_any_bytes_becomes_a_text(spark: SparkSession, tmp_path: Path) -> None:
    """A Parquet column that is not marked as text."""
    columns = {"ts": [FIRST * 60], "gap_kw": [1.0]}
    pq.write_table(pa.table({"device": [b"k\xfcche"], **columns}), tmp_path / "a.parquet")
    device = from_files(spark, tmp_path, "parquet", 2).select(sf.hex("device").alias("bytes"))
    query = device.writeStream.format("memory").queryName("bytes").start()
    try:
        query.processAllAvailable()
        assert [bytes.fromhex(row.bytes).decode() for row in spark.table("bytes").collect()] == ["k\ufffdche"]
    finally:
        query.stop()


def test_source_old_file_moved_in_later_is_read(spark: SparkSession, tmp_path: Path) -> None:
    """A copy that preserves modification times, or a meter's backlog, is years older than the newest file."""
    columns = {"ts": [FIRST * 60], "gap_kw": [1.0]}
    pq.write_table(pa.table({"device": ["new"], **columns}), tmp_path / "new.parquet")
    readings = from_files(spark, tmp_path, "parquet", 2).select("device")
    query = readings.writeStream.format("memory").queryName("read").start()
    try:
        query.processAllAvailable()
        old = tmp_path / ".old"
        pq.write_table(pa.table({"device": ["old"], **columns}), old)
        os.utime(old, (MESSAGE_S, MESSAGE_S))
        old.rename(tmp_path / "old.parquet")
        query.processAllAvailable()
        assert sorted(row.device for row in spark.table("read").collect()) == ["new", "old"]
    finally:
        query.stop()


def test_source_parquet_times_in_nanoseconds_are_rejected(spark: SparkSession, tmp_path: Path) -> None:
    """pandas writes such times by default."""
    times = pa.array([FIRST * 60 * 10**9], pa.timestamp("ns"))
    pq.write_table(pa.table({"device": ["a"], "ts": times, "gap_kw": [1.0]}), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=r"holds times in nanoseconds, .* coerce_timestamps=\"us\""):
        from_files(spark, tmp_path, "parquet", 1)


def test_source_devices_that_are_numbers_become_texts(spark: SparkSession, tmp_path: Path) -> None:
    pq.write_table(pa.table({"device": [17], "ts": [FIRST * 60], "gap_kw": [1.0]}), tmp_path / "a.parquet")
    assert from_files(spark, tmp_path, "parquet", 2).schema["device"].dataType == StringType()


@pytest.mark.parametrize(("kind", "filled"), [("boolean", [True, False]), ("double", [1.0, 0.0])])
def test_score_parquet_row_is_the_reading_of_its_columns(spark: SparkSession, kind: str, filled: list[Any]) -> None:
    """Filled minutes are not outcomes: the column must reach the decoder, as in JSON."""
    rows = [("a", 60_000, 1.5, filled[0], "x"), ("a", 120_000, 1.0, filled[1], "x")]
    frame = spark.createDataFrame(rows, f"device string, ts long, gap_kw float, filled {kind}, note string")
    payloads = [row.payload for row in frame.select(_as_json(frame.schema).alias("payload")).collect()]
    assert [json.loads(payload) for payload in payloads] == [
        {"ts": 60_000, "gap_kw": 1.5, "filled": True},
        {"ts": 120_000, "gap_kw": 1.0},
    ]


def test_score_other_models_or_buckets_are_rejected(spark: SparkSession, tmp_path: Path) -> None:
    write_lines(tmp_path / "in", shuffled(fleet(2, 3)), 1)
    run(spark, tmp_path)
    readings = from_files(spark, tmp_path / "in", "json", 1)
    sink = to_files(tmp_path / "out", "json")
    other = settings(forecast={"experts": []})
    with pytest.raises(SettingsError, match=r"was created with other models or settings.*linear"):
        start(other, readings, sink, Plan(tmp_path / "checkpoint", once=True))
    with pytest.raises(SettingsError, match=r"--buckets 8: .* was created with 2"):
        start(settings(), readings, sink, Plan(tmp_path / "checkpoint", once=True, n_buckets=8))


def test_score_models_changed_on_a_worker_end_the_stream(spark: SparkSession, tmp_path: Path) -> None:
    copy = ModelCopy(tmp_path / "models", "linear")
    its = settings(models={"path": copy.models}, forecast={"model": "linear", "experts": []})
    (tmp_path / "in").mkdir()
    readings = from_files(spark, tmp_path / "in", "json", 1)
    sink, plan = to_files(tmp_path / "out", "json"), Plan(tmp_path / "checkpoint", every_s=0)

    def start_and_change_models() -> StreamingQuery:
        copy.alter_card(lambda card: card.update(version="first"))
        query = start(its, readings, sink, plan)
        copy.alter_card(lambda card: card.update(version="another"))
        write_lines(tmp_path / "in", shuffled(fleet(2, 3)), 1)
        return query

    with pytest.raises(ModelError, match=r"this worker's models differ from the driver's.*another"), worker_error():
        run_to_end(start_and_change_models)


def test_score_without_kafkas_jar_names_it(spark: SparkSession) -> None:
    batch = spark.createDataFrame([("forecast", "a", "{}")], "kind string, device string, document string")
    with pytest.raises(SettingsError, match="Kafka connector is not on the class path"):
        to_kafka({"kafka.bootstrap.servers": "127.0.0.1:9"}, "forecasts", "rejected")(batch, 0)
