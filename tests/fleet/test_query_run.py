"""A stream continues from its checkpoint if a Python worker did not start in time."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from gapcast_fleet.connectors.sinks import to_files
from gapcast_fleet.connectors.sources import from_files
from gapcast_fleet.scoring.score import Plan, start
from tests.fleet.houses import fleet, furthest, of_the_edge, of_the_fleet, settings, shuffled, write_lines
from tests.fleet.queries import run_to_end


def slow_python(folder: Path, n_slow: int) -> Path:
    """A Python whose first ``n_slow`` processes never connect to Spark."""
    script = folder / "python"
    calls = shlex.quote(str(folder / "calls"))
    script.write_text(
        f'#!/bin/sh\necho >>{calls}\n[ "$(wc -l <{calls})" -gt {n_slow} ] || exec tail -f /dev/null --pid=$PPID\n'
        f'exec {shlex.quote(sys.executable)} "$@"\n'
    )
    script.chmod(0o755)
    return script


def test_run_query_slow_python_worker_continues_from_checkpoint(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    houses = fleet(2, 12)
    write_lines(tmp_path / "in", shuffled(houses), 2)
    monkeypatch.setattr(spark.sparkContext, "pythonExec", str(slow_python(tmp_path, 1)))
    readings = from_files(spark, tmp_path / "in", "json", 1)
    plan = Plan(tmp_path / "checkpoint", once=True, n_buckets=2)
    lines = run_to_end(lambda: start(settings(), readings, to_files(tmp_path / "out", "json"), plan))
    slow_start = "A Python worker did not start within Spark's 10 s; the stream continues from its checkpoint."
    assert set(lines) == {slow_start}  # several on a busy machine, whose workers may need more than Spark's 10 s
    assert furthest(of_the_fleet(tmp_path / "out"), of_the_edge(tmp_path / "edge", houses)) <= 1e-5
