"""The command line of ``gapcast-fleet``, in this process."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from operator import itemgetter
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pyspark
import pytest
from click.testing import CliRunner, Result

from gapcast.commands.backtest import backtest
from gapcast.core.errors import SettingsError
from gapcast_fleet.buckets.checkpoints import lock_checkpoint
from gapcast_fleet.cli import main
from gapcast_fleet.connectors.planned_files import missing_file_lines, planned_files
from gapcast_fleet.connectors.sinks import check_output
from gapcast_fleet.output_folders import check_outside, make_output_folder
from tests.fleet.conftest import CONF, QUICK
from tests.fleet.houses import FIRST, fleet, furthest, of_the_edge, of_the_fleet, shuffled, write_lines
from tests.fleet.test_backtest import flat, write_parquet
from tests.support.models import shipped_models

_SETTINGS = ("forecast.model=lstm-5-3", "forecast.experts=linear", f"models.path={shipped_models()}")


def run(command: str, *arguments: object, conf: tuple[str, ...] = CONF) -> Result:
    options = [part for one in _SETTINGS for part in ("--set", one)] + [
        part for one in conf for part in ("--conf", one)
    ]
    return CliRunner().invoke(main, [command, *options, *map(str, arguments)])


def test_score_reads_a_folder_once_and_logs_each_micro_batch(tmp_path: Path) -> None:
    houses = fleet(2, 12)
    write_lines(tmp_path / "in", shuffled(houses), 1)
    arguments = ("--from", tmp_path / "in", "--to", tmp_path / "out", "--checkpoint", tmp_path / "checkpoint", "--once")
    result = run("score", *arguments, "--buckets", 2)
    assert result.exit_code == 0, result.output
    assert "batch 0: " in result.output
    assert stat.filemode((tmp_path / "out").stat().st_mode) == "drwx------"
    assert furthest(of_the_fleet(tmp_path / "out"), of_the_edge(tmp_path / "edge", houses)) <= 1e-5
    other = run("score", *arguments, "--set", "forecast.learn=false")
    assert (other.exit_code, "was created with other models or settings" in other.output) == (2, True)


def test_score_second_run_on_a_checkpoint_is_rejected(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    (tmp_path / "in").mkdir()
    arguments = ("--from", tmp_path / "in", "--to", tmp_path / "out", "--checkpoint", checkpoint, "--once")
    with lock_checkpoint(checkpoint):
        second = run("score", *arguments)
    assert (second.exit_code, f"{checkpoint}: in use by another gapcast-fleet" in second.output) == (2, True)
    assert run("score", *arguments).exit_code == 0, "the lock that is left in the folder holds no one up"
    (checkpoint / "lock").unlink()
    (checkpoint / "lock").mkdir()
    third = run("score", *arguments)
    assert (third.exit_code, "must be on a file system that supports writing and locking" in third.output) == (2, True)


def test_score_new_checkpoint_replaces_no_forecasts(tmp_path: Path) -> None:
    """A new checkpoint's micro-batches are numbered from 0 again, like those of the previous checkpoint."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out" / "batch=000000000").mkdir(parents=True)
    arguments = ("--from", tmp_path / "in", "--to", tmp_path / "out", "--checkpoint", tmp_path / "new", "--once")
    result = run("score", *arguments)
    assert (result.exit_code, "has forecasts of another checkpoint (batch=000000000)" in result.output) == (2, True)
    (tmp_path / "new" / "spark" / "offsets").mkdir(parents=True)
    (tmp_path / "new" / "spark" / "offsets" / "0").touch()
    check_output(tmp_path / "out", tmp_path / "new")  # that checkpoint has begun: it repeats or continues its own


def test_score_unreadable_file_is_replaced_in_place_or_reported(tmp_path: Path) -> None:
    """Its name is in the checkpoint: Spark skips it without a message once it is gone."""
    folder, other_type = tmp_path / "in", tmp_path / "in" / "b my.parquet"
    folder.mkdir()
    for path, kw in ((folder / "a.parquet", 1.5), (other_type, 1)):
        pq.write_table(pa.table({"device": ["a"], "ts": [FIRST * 60], "gap_kw": [kw]}), path)
    os.utime(folder / "a.parquet", (1e9, 1e9))
    where = ("--from", folder, "--to", tmp_path / "out", "--checkpoint", tmp_path / "checkpoint")
    arguments = (*where, "--format", "parquet", "--files-at-once", 1, "--buckets", 1, "--once")
    result = run("score", *arguments)
    assert result.exit_code != 0
    assert f"{other_type}: Spark cannot read this file" in result.output
    assert "replace it under the same name before the next start" in result.output
    assert list(planned_files(tmp_path / "checkpoint")) == [str(other_type)]
    assert list(missing_file_lines(tmp_path / "checkpoint")) == []
    other_type.unlink()
    result = run("score", *arguments)
    line = f"{other_type}: was planned for the next micro-batch, but does not exist: its readings are skipped"
    assert (result.exit_code, line in result.output) == (0, True), result.output
    assert list(planned_files(tmp_path / "checkpoint")) == []


def test_score_missing_files_of_another_format_are_not_reported(tmp_path: Path) -> None:
    log = tmp_path / "spark" / "sources" / "0"
    assert list(missing_file_lines(tmp_path)) == []
    log.mkdir(parents=True)
    (log / "9.compact").write_text('v1\n{"path": "file:///gone", "batchId": 9}\n{"file": "other"}\n')
    assert [line.partition(":")[0] for line in missing_file_lines(tmp_path)] == ["/gone"]


def test_fleet_backtest_prints_a_table_and_writes_scores(tmp_path: Path) -> None:
    write_parquet(tmp_path / "in")
    columns = ("--device-column", "house", "--time-column", "at", "--value-column", "watts", "--unit", "W")
    arguments = ("--limit", 40, "--timezone", "Europe/Berlin", *columns)
    result = run("backtest", tmp_path / "in", "--results", tmp_path / "results", *arguments)
    assert result.exit_code == 0, result.output
    assert "all 7 houses: " in result.output
    assert "(Europe/Berlin)" in result.output
    assert len(json.loads((tmp_path / "results" / "scores.json").read_text())["houses"]) == 7


def test_fleet_backtest_timezone_is_that_of_the_time_of_day(tmp_path: Path) -> None:
    """The times are epoch numbers: the option changes nothing else, as in ``gapcast backtest``."""
    rows = sorted(((minute * 60, kw) for minute, kw in fleet(1, 120)["house-0"]), key=itemgetter(0))
    seconds, values = zip(*rows, strict=True)
    (tmp_path / "in").mkdir()
    columns = {"device": ["a\x1b[2J"] * len(rows), "ts": seconds, "gap_kw": values}
    pq.write_table(pa.table(columns), tmp_path / "in" / "a.parquet")
    file = tmp_path / "a.csv"
    file.write_text("\n".join(["ts,gap_kw", *(f"{second},{kw}" for second, kw in rows), ""]), encoding="utf-8")
    zone = ("--timezone", "Asia/Tokyo")
    result = run("backtest", tmp_path / "in", "--results", tmp_path / "results", *zone)
    assert result.exit_code == 0, result.output
    assert "\na\\x1b[2J: " in result.output, "no control characters for the terminal"
    assert "houses" not in result.stdout, "of one house there is no distribution"
    found = json.loads((tmp_path / "results" / "scores.json").read_text())
    for its_zone, is_same in ((zone, True), ((), False)):
        options = [part for one in (*_SETTINGS, "learning.refit=false") for part in ("--set", one)]
        options += ["--time-column", "ts", "--value-column", "gap_kw", "--json", str(tmp_path / "edge.json")]
        edge = CliRunner().invoke(backtest, [*options, str(file), *its_zone])
        assert edge.exit_code == 0, edge.output
        scored = flat(json.loads((tmp_path / "edge.json").read_text())["scored"])
        assert (flat(found["scored"]) == pytest.approx(scored, abs=1e-6)) is is_same


def test_fleet_backtest_explains_wrong_horizons(tmp_path: Path) -> None:
    folders = (tmp_path, "--results", tmp_path / "results")
    for arguments, error in (
        (("--outlook",), "--outlook needs the lead times to write: add --horizons"),
        (("--horizons", "15,61"), "61 min is not between 1 and 60"),
    ):
        result = run("backtest", *folders, *arguments)
        assert (result.exit_code != 0, error in result.output) == (True, True), result.output


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--from", "mqtt", "--once"), "an MQTT source does not end"),
        (("--from", "kafka", "--kafka", "subscribe=readings"), "Spark's Kafka connector is not on the class path"),
        (("--from", "kafka", "--kafka", "subscribe"), "'subscribe' must be KEY=VALUE"),
        (("--from", "x", "--set", "forecast.modle=y"), "forecast.modle: there is no such key"),
        (("--from", "x", "--set", "forecast.\x1b[2J=y"), "forecast.\\x1b[2J"),
    ],
)
def test_fleet_errors_are_one_sentence(arguments: tuple[str, ...], error: str, tmp_path: Path) -> None:
    result = run("score", *arguments, "--to", tmp_path / "out", "--checkpoint", tmp_path / "checkpoint")
    assert (result.exit_code, error in result.output) == (2, True), result.output


@pytest.mark.parametrize(
    ("command", "source", "option"),
    [
        ("score", ("--from", "in", "--to", "out"), "--checkpoint"),
        ("score", ("--from", "in", "--checkpoint", "checkpoint"), "--to"),
        ("backtest", ("in",), "--results"),
        ("prepare", ("in",), "--to"),
    ],
)
def test_fleet_folder_within_the_input_is_rejected(
    command: str, source: tuple[str, ...], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be read as input; Spark does not start."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for folder, where in (("in", "is"), ("./in/deep/x", "is in"), (str(tmp_path / "in" / "x"), "is in")):
        result = run(command, *source, option, folder, conf=("spark.master=none",))
        error = f"{option} {Path(folder)}: {where} the input folder in, which would be read"
        assert (result.exit_code, error in result.output) == (2, True), result.output
    assert list(Path("in").iterdir()) == []


def test_fleet_folder_within_the_input_that_spark_skips_is_accepted(tmp_path: Path) -> None:
    for name in ("_checkpoint", ".results/x", "../out"):
        check_outside(tmp_path / "in", "--checkpoint", tmp_path / "in" / name)


@pytest.mark.parametrize(
    ("command", "source", "option"),
    [
        ("score", ("--from", "in", "--checkpoint", "checkpoint"), "--to"),
        ("score", ("--from", "in", "--to", "out", "--format", "parquet"), "--checkpoint"),
        ("backtest", ("in",), "--results"),
        ("prepare", ("in",), "--to"),
    ],
)
def test_fleet_input_that_does_not_exist_leaves_no_folder(
    command: str, source: tuple[str, ...], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(command, *source, option, "new/folder", conf=("spark.master=none",))
    assert (result.exit_code, "in: no such folder" in result.output) == (2, True), result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "source", "option", "error"),
    [
        ("score", ("--from", "in", "--format", "parquet", "--to", "out"), "--checkpoint", "contains no .parquet file"),
        ("backtest", ("in",), "--results", "holds no .parquet"),
        ("prepare", ("in",), "--to", "holds no .parquet"),
    ],
)
def test_fleet_input_without_parquet_leaves_no_folder(
    command: str, source: tuple[str, ...], option: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    result = run(command, *source, option, "new/folder", conf=("spark.master=none",))
    assert (result.exit_code, f"in: {error}" in result.output) == (2, True), result.output
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]


@pytest.mark.parametrize(
    ("command", "source", "option"),
    [
        ("score", ("--from", "in", "--checkpoint", "checkpoint"), "--to"),
        ("backtest", ("in",), "--results"),
        ("prepare", ("in",), "--to"),
    ],
)
def test_fleet_folder_that_cannot_be_created_is_an_error(
    command: str, source: tuple[str, ...], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Spark starts."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in/a.parquet").touch()
    Path("file").touch()
    result = run(command, *source, option, "file/out", conf=("spark.master=none",))
    error = f"{option} file/out: cannot be written (file: File exists): use another folder"
    assert (result.exit_code, error in result.output) == (2, True), result.output


@pytest.mark.parametrize(("flags", "error"), [(0, "Permission denied"), (os.ST_RDONLY, "Read-only file system")])
def test_fleet_folder_that_is_read_only_is_an_error(
    flags: int, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_flag=flags))
    with pytest.raises(SettingsError, match=rf"--results .*: cannot be written \(.*: {error}\)"):
        make_output_folder("--results", tmp_path)


@pytest.mark.parametrize(("protocol", "is_limited"), [("3.1.1", True), ("auto", False)])
def test_score_mqtt_3_1_1_reports_the_brokers_limit(protocol: str, is_limited: bool, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    arguments = ("--from", "mqtt", "--to", "mqtt", "--checkpoint", tmp_path / "file" / "checkpoint")
    result = run("score", *arguments, "--set", f"mqtt.protocol={protocol}")
    assert ("mosquitto to 20 by default: set max_inflight_messages 65535" in result.output) is is_limited
    assert "must be on a file system that supports writing and locking" in result.output


def test_fleet_spark_setting_must_be_valid(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.parquet").touch()
    result = run("backtest", tmp_path / "in", "--results", tmp_path / "results", conf=("memory=4g",))
    assert "--conf 'memory=4g' must be KEY=VALUE with a key like spark.driver.memory" in result.output


def test_fleet_session_keeps_spark_submits_settings(tmp_path: Path) -> None:
    script = tmp_path / "where.py"
    script.write_text(
        "from gapcast_fleet.spark import session\n"
        "spark = session('where')\n"
        "print('master', spark.sparkContext.master, spark.conf.get('spark.sql.session.timeZone'))\n"
        "print('partitions', spark.conf.get('spark.sql.shuffle.partitions'))\n"
        "spark.stop()\n",
        encoding="utf-8",
    )
    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    environment = os.environ | {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    options = ["--master", "local[1]", "--conf", QUICK, "--conf", "spark.sql.shuffle.partitions=7"]
    command = [str(submit), *options, str(script)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "master local[1] UTC" in result.stdout, result.stderr
    assert "partitions 7" in result.stdout, "and not as many as this machine has cores"
