"""``gapcast-fleet`` without Spark, as in the environment of these tests: an error with its fix."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.once


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gapcast_fleet", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_fleet_without_spark_names_the_extra() -> None:
    assert find_spec("pyspark") is None, "these tests run without Spark; tests/fleet have it"
    ended = run("score", "--from", "in", "--to", "out", "--checkpoint", "checkpoint")
    assert ended.returncode == 2
    assert "pyspark is not installed: pip install '.[fleet]' in the checkout" in ended.stderr
    assert run("--help").returncode == 0
