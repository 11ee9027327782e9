"""The history of many houses on Spark: the scores of ``gapcast backtest``, resumed after an interruption."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from gapcast.app.models import load_models
from gapcast.backtest.houses import HouseFile
from gapcast.backtest.report import document
from gapcast.backtest.run import run_backtest as run_of_the_edge
from gapcast.core.errors import SettingsError, SourceError
from gapcast.core.grid import minute_label
from gapcast.recordings.layout import FileFormat, Layout
from gapcast_fleet.backtest import BacktestOptions, join, lines, run_backtest
from gapcast_fleet.groups import group_runner, read_result, result_path
from gapcast_fleet.history import ParquetColumns
from gapcast_fleet.identity import identity_of
from gapcast_fleet.score import fleet_settings
from gapcast_fleet.worker import WorkerTask
from tests.fleet.houses import FIRST, fleet, settings

HOUSES = fleet(5, 200)
PART = HouseFile(minute_label(FIRST + 10), 150, minute_label(FIRST + 60))


def write_parquet(folder: Path) -> None:
    """The houses by the hour, as a data platform keeps them: all houses in each file, in turn."""
    folder.mkdir()
    n_each = 40
    for at in range(0, 400, n_each):
        rows = [(name, *one) for name, minutes in HOUSES.items() for one in minutes[at : at + n_each]]
        if rows:
            device, minute, kw = zip(*rows, strict=True)
            times = pa.array([one * 60_000_000 for one in minute]).cast(pa.timestamp("us"))
            table = {"house": device, "at": times, "watts": [1_000 * one for one in kw]}
            pq.write_table(pa.table(table), folder / f"part-{at:04d}.parquet")


@pytest.fixture
def question(tmp_path: Path) -> BacktestOptions:
    write_parquet(tmp_path / "in")
    return BacktestOptions(tmp_path / "in", ParquetColumns("house", "at", "watts", "W"), PART, houses_at_once=2)


def test_fleet_backtest_equals_gapcast_backtest(spark: SparkSession, question: BacktestOptions, tmp_path: Path) -> None:
    files = []
    for name, minutes in HOUSES.items():
        files.append(tmp_path / f"{name}.csv")
        its = [f"{minute_label(minute)},{kw}" for minute, kw in minutes]
        files[-1].write_text("\n".join(["time,kw", *its]) + "\n", encoding="utf-8")
    edge = document(run_of_the_edge(settings(), files, FileFormat(Layout("time", "kw", unit="kW")), PART))
    results = tmp_path / "results"
    found = document(run_backtest(spark, settings(), question, results, quiet=True))
    assert found["scored"]["n"] > 300
    assert flat(found | {"took_s": 0}) == pytest.approx(flat(edge | {"took_s": 0}), abs=1e-5, nan_ok=True)

    # One group is lost: it is run again, the others are not.
    lost, kept = result_path(results, 0), result_path(results, 2)
    lost.unlink()
    written_ns = kept.stat().st_mtime_ns
    again = run_backtest(spark, settings(), question, results, quiet=True)
    assert flat(document(again) | {"took_s": 0}) == pytest.approx(flat(edge | {"took_s": 0}), abs=1e-5)
    assert kept.stat().st_mtime_ns == written_ns
    assert json.loads((results / "scores.json").read_text())["scored"] == document(again)["scored"]
    assert any("skill by house" in line for line in lines(again))
    with pytest.raises(SettingsError, match="belongs to another back-test"):
        run_backtest(spark, settings(forecast={"learn": False}), question, results, quiet=True)


def flat(value: object, name: str = "") -> dict[str, object]:
    """A document's leaves by their path."""
    if isinstance(value, dict):
        return {key: leaf for part, its in value.items() for key, leaf in flat(its, f"{name}/{part}").items()}
    if isinstance(value, list):
        return {key: leaf for part, its in enumerate(value) for key, leaf in flat(its, f"{name}/{part}").items()}
    return {name: value}


def test_fleet_backtest_invalid_folder_is_rejected(
    spark: SparkSession, question: BacktestOptions, tmp_path: Path
) -> None:
    other = BacktestOptions(question.folder, ParquetColumns("house", "at", "kw"), PART)
    with pytest.raises(SettingsError, match=r"--value-column: there is no column 'kw' among house, at, watts"):
        run_backtest(spark, settings(), other, tmp_path / "results")
    with pytest.raises(SourceError, match=r"holds no \.parquet"):
        run_backtest(
            spark, settings(), BacktestOptions(tmp_path / "none", ParquetColumns(), PART), tmp_path / "results"
        )


def test_fleet_backtest_worker_writes_a_groups_result(tmp_path: Path) -> None:
    chosen = fleet_settings(settings())
    task = WorkerTask("backtest", chosen.model_dump_json(), identity_of(chosen, load_models(chosen)).text(), 0, 0)
    frames = [
        pd.DataFrame({"group": 3, "device": ["a", "b"], "minute": FIRST + i, "gap_kw": [1.0, 2.0 + i % 3]})
        for i in range(30)
    ]
    rows = pd.concat(list(group_runner(task, tmp_path, FIRST + 20)(iter(frames))))
    assert rows.to_dict("records") == [{"group": 3, "n": 60}]
    result = read_result(result_path(tmp_path, 3))
    assert (result.names, result.n_readings, result.published_model) == (["a", "b"], 60, "blend")
    assert join([result], 1.0).scored.n == 2 * 5  # of the ten forecasts from there on, five have an outcome
    assert list(tmp_path.iterdir()) == [result_path(tmp_path, 3)]
    assert list(group_runner(task, tmp_path, None)(iter([]))) == []
