"""``gapcast-fleet`` where Spark is not installed, as in the environment of these tests: a sentence and its cure."""

from __future__ import annotations

from importlib.util import find_spec

from click.testing import CliRunner

from fleet.cli import main


def test_without_spark_the_extra_is_named() -> None:
    assert find_spec("pyspark") is None, "these tests run without Spark; tests/fleet have it"
    result = CliRunner().invoke(main, ["score", "--from", "in", "--to", "out", "--checkpoint", "checkpoint"])
    assert result.exit_code == 2
    assert "pyspark is not installed: pip install '.[fleet]' in the checkout" in result.output
    assert CliRunner().invoke(main, ["--help"]).exit_code == 0
