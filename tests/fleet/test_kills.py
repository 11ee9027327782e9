"""A stream killed at any moment and restarted writes each forecast once, unchanged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

from gapcast_fleet.connectors.sinks import to_files
from gapcast_fleet.connectors.sources import from_files
from gapcast_fleet.scoring.score import Plan, start
from tests.fleet.conftest import QUICK
from tests.fleet.houses import fleet, furthest, of_the_edge, of_the_fleet, settings, shuffled, write_lines
from tests.fleet.queries import run_to_end
from tests.support.models import shipped_models
from tests.support.waiting import wait_until

_N_FILES = 4
_LONGEST_S = 900  # Spark starts twice, beside whatever else runs


class Command:
    """``gapcast-fleet`` in its own processes."""

    def __init__(self, folder: Path, *words: object) -> None:
        self.log = folder / "log"
        conf = ("--conf", "spark.master=local[1]", "--conf", QUICK)
        command = [sys.executable, "-m", "gapcast_fleet", *map(str, words), *conf]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)

    def kill_when(self, happened: Callable[[], bool]) -> None:
        """Send SIGKILL to the driver, Java and all their children, as soon as ``happened`` returns true."""
        wait_until(lambda: happened() or self.process.poll() is not None, self._output, _LONGEST_S)
        assert self.process.poll() is None, self._output()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


def scoring(folder: Path) -> Command:
    options = ("--buckets", 2, "--files-at-once", 1, "--every", 0, "--set", f"models.path={shipped_models()}")
    return Command(
        folder, "score", "--from", folder / "in", "--to", folder / "out", "--checkpoint", folder / "checkpoint",
        "--set", "forecast.model=lstm-5-3", "--set", "forecast.experts=linear", *options,
    )  # fmt: skip


def test_score_killed_in_and_between_batches_writes_each_once(spark: SparkSession, tmp_path: Path) -> None:
    houses = fleet(4, 40)
    write_lines(tmp_path / "in", shuffled(houses), _N_FILES)
    out = tmp_path / "out"

    def is_writing(number: int) -> bool:
        batch = out / f"batch={number:09d}"
        return batch.is_dir() and not (batch / "_SUCCESS").exists()

    scoring(tmp_path).kill_when(lambda: is_writing(1))
    scoring(tmp_path).kill_when((out / "batch=000000002" / "_SUCCESS").exists)
    readings = from_files(spark, tmp_path / "in", "json", 1)  # and now here, where Java runs already
    plan = Plan(tmp_path / "checkpoint", once=True, n_buckets=2)
    run_to_end(lambda: start(settings(), readings, to_files(out, "json"), plan))
    found = of_the_fleet(out)
    assert {path.name for path in out.iterdir()} == {f"batch={number:09d}" for number in range(_N_FILES)}
    assert furthest(found, of_the_edge(tmp_path / "edge", houses)) <= 1e-5
