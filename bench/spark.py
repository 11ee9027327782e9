"""``scripts/fleet-trial``: readings per second of the engine on Spark, and the size of a meter's state.

Simulated meters, in micro-batches of one file per core, through the stream of ``gapcast-fleet score``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from bench.process import cpu_s, own_cpu_s
from gapcast.config.settings import Settings
from gapcast_fleet.connectors.sinks import to_files
from gapcast_fleet.connectors.sources import from_files
from gapcast_fleet.scoring.score import Plan, start
from gapcast_fleet.spark import session

#: 2010-11-01T00:00Z.
_FIRST_MINUTE = 21_476_160
_MINUTE_MS = 60_000
#: Number of uncounted micro-batches: Java and the workers warm up, and states are new.
_WARM_UP = 2
#: Meters per bucket, and the minimum number of buckets, so that partitions have about equal sizes.
_A_BUCKET, _LEAST_BUCKETS = 400, 4


class Used(NamedTuple):
    """CPU time used so far, s: by Java, and by Python (the workers and this process, the driver)."""

    java_s: float
    python_s: float

    @classmethod
    def by(cls, spark: SparkSession) -> Used:
        """Return the CPU time used by ``spark``."""
        java = spark.sparkContext._gateway.proc.pid
        java_s = own_cpu_s(java)
        return cls(java_s, cpu_s(java) - java_s + time.process_time())


def simulate(folder: Path, n_meters: int, n_batches: int, per_batch: int, n_files: int) -> None:
    """Write ``n_batches`` times ``n_files`` files: a level per meter, with occasional jumps and noise."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(8)
    names = np.array([f"meter-{i:07d}" for i in range(n_meters)])
    level_kw = random.gamma(1.0, 0.8, n_meters)
    for batch in range(n_batches):
        minutes, kw = [], []
        for minute in range(batch * per_batch, (batch + 1) * per_batch):
            level_kw = np.where(random.random(n_meters) < 0.05, random.gamma(1.0, 0.8, n_meters), level_kw)
            kw.append((level_kw * random.normal(1.0, 0.05, n_meters)).round(3))
            minutes.append(np.full(n_meters, (_FIRST_MINUTE + minute) * _MINUTE_MS))
        for part in range(n_files):
            of_part = slice(part, None, n_files)
            table = {
                "device": np.tile(names[of_part], per_batch),
                "ts": np.concatenate([one[of_part] for one in minutes]),
                "gap_kw": np.concatenate([one[of_part] for one in kw]),
            }
            path = folder / f"{batch:04d}-{part}.parquet"
            pq.write_table(pa.table(table), path)
            os.utime(path, (batch + 1, batch + 1))


def run_trial(spark: SparkSession, folder: Path, settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of ``options.meters`` meters."""
    n_files = spark.sparkContext.defaultParallelism
    simulate(folder / "in", options.meters, options.batches, options.per_batch, n_files)
    readings = from_files(spark, folder / "in", "parquet", n_files)
    plan = Plan(folder / "checkpoint", once=True, n_buckets=options.buckets)
    sink, used = to_files(folder / "out", "parquet"), []

    def write(batch: DataFrame, number: int) -> None:
        used.append(Used.by(spark))
        sink(batch, number)

    query = start(settings, readings, write, plan)
    query.awaitTermination()
    used.append(Used.by(spark))
    batches = [json.loads(progress.json) for progress in query.recentProgress]
    counted = [one for one in batches if one["numInputRows"]][_WARM_UP:]
    took_s = [one["batchDuration"] / 1_000 for one in counted]
    state = spark.read.format("statestore").option("path", str(folder / "checkpoint" / "spark"))
    snapshots = state.option("stateVarName", "snapshot").load().select(sf.length("value.content").alias("n_bytes"))
    lines = state.option("stateVarName", "journal").load().select(sf.length("list_element.line"))
    kept = snapshots.union(lines).agg(sf.sum("n_bytes")).first()
    n_forecasts = spark.read.parquet(str(folder / "out")).where("kind = 'forecast'").count()
    return {
        "meters": options.meters,
        "readings_a_batch": counted[0]["numInputRows"],
        "batch_s": [round(one, 1) for one in took_s],
        "readings_a_second": round(counted[0]["numInputRows"] / statistics.median(took_s)),
        "cpu_us_a_reading": _cpu_us(used[_WARM_UP:], counted[0]["numInputRows"]),
        "state_bytes_a_meter": round(kept[0] / options.meters),
        "disk_bytes_a_meter": round(_bytes_under(folder / "checkpoint") / options.meters),
        "forecasts": n_forecasts,
        "forecasts_due": options.meters * (options.batches * options.per_batch - 1),
        "state": {
            name: [one["stateOperators"][0][name] for one in counted] for name in ("allUpdatesTimeMs", "commitTimeMs")
        },
    }


def _cpu_us(used: list[Used], n_readings: int) -> dict[str, int]:
    """Return the median CPU time of the micro-batches between ``used``, µs per reading, ``n_readings`` each."""
    java, python = (
        statistics.median((after[i] - before[i]) / n_readings * 1e6 for before, after in pairwise(used)) for i in (0, 1)
    )
    return {"java": round(java), "python": round(python)}


def _bytes_under(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Run the requested trial, and print the result as a line of JSON."""
    parser = argparse.ArgumentParser(prog="scripts/fleet-trial", description=__doc__)
    parser.add_argument("--meters", type=int, default=100_000)
    parser.add_argument("--per-batch", type=int, default=3, help="readings of each meter per micro-batch")
    parser.add_argument("--batches", type=int, default=7)
    parser.add_argument("--buckets", type=int, help=f"one for every {_A_BUCKET} meters, if not given")
    parser.add_argument("--model", help="the primary model; an ensemble with all others unless --alone")
    parser.add_argument("--alone", action="store_true", help="no other model in the ensemble; learning stays enabled")
    parser.add_argument("--memory", default="4g", help="Java heap size")
    parser.add_argument("--conf", action="append", default=[], metavar="KEY=VALUE", help="set a key of Spark")
    parser.add_argument("--quick", action="store_true", help="smoke test with 500 meters")
    options = parser.parse_args()
    options.buckets = options.buckets or max(_LEAST_BUCKETS, options.meters // _A_BUCKET)
    if options.quick:
        options.meters, options.batches, options.buckets, options.memory = 500, 4, 8, "1g"
    forecast = {"model": options.model} | ({"experts": []} if options.alone else {})
    settings = Settings.model_validate({"forecast": forecast})
    with tempfile.TemporaryDirectory(prefix="gapcast-fleet-") as scratch:
        conf = [f"spark.driver.memory={options.memory}", *options.conf]
        if options.quick:
            conf.append("spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        spark = session("gapcast-fleet trial", conf)
        try:
            found = run_trial(spark, Path(scratch), settings, options)
        finally:
            spark.stop()
    print(json.dumps(found))
    if found["forecasts"] != found["forecasts_due"]:
        message = f"{found['forecasts']} of {found['forecasts_due']} expected forecasts"
        raise SystemExit(message)


if __name__ == "__main__":
    main()
