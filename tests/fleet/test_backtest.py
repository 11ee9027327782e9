"""The history of many houses on Spark: the scores of ``gapcast backtest``, resumed after an interruption."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from gapcast.app.models.models import load_models
from gapcast.backtest.inputs.engine_settings import with_outlooks
from gapcast.backtest.inputs.houses import FilePart
from gapcast.backtest.outlooks.outlook_tally import HEADER, OutlookRequest
from gapcast.backtest.processes import run_files as run_of_the_edge
from gapcast.backtest.request import BacktestRequest
from gapcast.backtest.results.report import document
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine
from gapcast.core.errors import SettingsError, SourceError
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.outlook.scores.reference_forecasts import KINDS
from gapcast.recordings.text.layout import FileFormat, Layout
from gapcast_fleet.backtest import groups
from gapcast_fleet.backtest.backtest import BacktestOptions, engine_groups, join, lines, run_backtest
from gapcast_fleet.backtest.groups import GroupOutlook, group_runner, outlook_path, read_result, result_path
from gapcast_fleet.engine.identity import identity_of
from gapcast_fleet.engine.worker import WorkerTask
from gapcast_fleet.histories.history import ParquetFormat
from gapcast_fleet.histories.survey import HouseSurvey
from gapcast_fleet.scoring.score import fleet_settings
from tests.backtest.test_batch_tally import Broken
from tests.backtest.test_comparison import train_on
from tests.fleet.houses import AUTUMN_S, FIRST, SPRING_S, fleet, samples, settings
from tests.support.houses import ensemble_engine
from tests.support.models import history_model, shipped_models

BERLIN = ZoneInfo("Europe/Berlin")
FORM = ParquetFormat("house", "at", "watts", "W", zone=BERLIN)
PART = FilePart("2010-11-01T01:10", 150, "2010-11-01T02:00", BERLIN)
#: Rows by house, in order of arrival: epoch s, and W.
HOUSES = {name: [(minute * 60, 1_000 * kw) for minute, kw in minutes] for name, minutes in fleet(5, 200).items()} | {
    "autumn": list(samples(AUTUMN_S)),
    "spring": list(samples(SPRING_S)),
}


def local(second: int) -> datetime:
    """Return the time that a wall clock shows."""
    return datetime.fromtimestamp(second, BERLIN).replace(tzinfo=None)


def write_parquet(folder: Path) -> None:
    """Write the houses part by part, like a data platform: all houses in each file, alternating, in local time."""
    folder.mkdir()
    n_each = 120
    for at in range(0, max(map(len, HOUSES.values())), n_each):
        rows = [(name, *one) for name, its in HOUSES.items() for one in its[at : at + n_each]]
        device, second, watts = zip(*rows, strict=True)
        times = pa.array([local(one) for one in second], pa.timestamp("us"))
        table = {"house": device, "at": times, "watts": watts}
        pq.write_table(pa.table(table), folder / f"part-{at:04d}.parquet")


def write_csv(folder: Path) -> list[Path]:
    """Write a file for each house, in order of time, for `gapcast backtest`."""
    files = []
    for name, rows in HOUSES.items():
        files.append(folder / f"{name}.csv")
        lines_of = [f"{local(second)},{watts}" for second, watts in sorted(rows, key=itemgetter(0))]
        files[-1].write_text("\n".join(["at,watts", *lines_of, ""]), encoding="utf-8")
    return files


@pytest.fixture
def question(tmp_path: Path) -> BacktestOptions:
    write_parquet(tmp_path / "in")
    return BacktestOptions(tmp_path / "in", FORM, PART, houses_at_once=3)


def test_fleet_backtest_equals_gapcast_backtest(spark: SparkSession, question: BacktestOptions, tmp_path: Path) -> None:
    """Minutes out of order, and samples across both clock changes, all in local time, with gaps and duplicates."""
    form, understood = FileFormat(Layout("at", "watts", unit="W", zone=BERLIN)), list[str]()
    shutil.copytree(shipped_models(), tmp_path / "models")
    train_on(tmp_path / "models" / "linear", "2010-11-01T00:00Z", "2010-11-01T01:30Z")
    chosen, results = settings(models={"path": tmp_path / "models"}), tmp_path / "results"
    of_edge = run_of_the_edge(chosen, write_csv(tmp_path), form, PART)
    of_fleet = run_backtest(spark, chosen, question, results, show=understood.append)
    edge, found = document(of_edge), document(of_fleet)
    assert [note.split(",")[0] for note in of_fleet.notes] == [
        "note: linear was trained or selected on data until 2010-11-01T02:30:00Z"
    ]
    assert (of_fleet.notes, of_fleet.notes[0] in lines(of_fleet)) == (of_edge.notes, True)
    assert found["scored"]["n"] > 500
    assert {name: house["scored"]["n"] > 50 for name, house in found["houses"].items()} == dict.fromkeys(HOUSES, True)
    assert flat(found | {"took_s": 0}) == pytest.approx(flat(edge | {"took_s": 0}), abs=1e-5, nan_ok=True)

    text = "\n".join(understood)
    for part in (
        "7 houses",
        "column watts (W)",
        "each timestamp is a time without an offset, in Europe/Berlin",
        "2 houses: a sample every 10 s, averaged over each minute",
        "5 houses: one row a minute",
        "from 2010-11-01 01:00 to 2026-03-29 04:59 (Europe/Berlin)",
        "have the time of another row of the house: ignored",
    ):
        assert part in text, text

    # One group's result is lost: only this group is run again.
    lost, kept = result_path(results, 0), result_path(results, 2)
    lost.unlink()
    written_ns = kept.stat().st_mtime_ns
    before = results / "before.json"
    before.hardlink_to(results / "scores.json")
    again = run_backtest(spark, settings(), question, results)
    assert flat(document(again) | {"took_s": 0}) == pytest.approx(flat(edge | {"took_s": 0}), abs=1e-5)
    assert kept.stat().st_mtime_ns == written_ns
    assert not before.samefile(results / "scores.json"), "it is replaced as a whole, not overwritten"
    assert json.loads((results / "scores.json").read_text())["scored"] == document(again)["scored"]
    assert any("skill by house" in line for line in lines(again))
    other = replace(question, form=replace(FORM, zone=UTC))
    what = "forecast or learning options or limits, --timezone or site.timezone"
    with pytest.raises(SettingsError, match=f"was created with other {what}: use another folder$"):
        run_backtest(spark, settings(forecast={"learn": False}), other, results)
    for changed, what in (
        (replace(question, part=replace(PART, limit=140)), "--limit"),
        (replace(question, houses_at_once=2), "--houses-at-once or number of cores"),
    ):
        with pytest.raises(SettingsError, match=f"was created with other {what}: use another folder$"):
            run_backtest(spark, settings(), changed, results)


def flat(value: object, name: str = "") -> dict[str, object]:
    """Return a document's leaves by their path."""
    if isinstance(value, dict):
        return {key: leaf for part, its in value.items() for key, leaf in flat(its, f"{name}/{part}").items()}
    if isinstance(value, list):
        return {key: leaf for part, its in enumerate(value) for key, leaf in flat(its, f"{name}/{part}").items()}
    return {name: value}


def test_fleet_backtest_invalid_folder_is_rejected(
    spark: SparkSession, question: BacktestOptions, tmp_path: Path
) -> None:
    other = replace(question, form=ParquetFormat("house", "at", "kw"))
    with pytest.raises(SettingsError, match=r"--value-column: there is no column 'kw' among house, at, watts"):
        run_backtest(spark, settings(), other, tmp_path / "results")
    late = replace(question, part=FilePart(score_from="2026-03-29T04:00Z"))
    with pytest.raises(
        SettingsError, match=r"04:00Z: is after the last reading of all houses \(2026-03-29T02:59:00Z\)"
    ):
        run_backtest(spark, settings(), late, tmp_path / "results")
    late = replace(question, part=FilePart(limit=10, score_from="2026-03-29T02:59Z"))
    with pytest.raises(SettingsError, match=r"02:59Z: is after the last reading .*T\d\d:\d\d:\d\dZ, with --limit\)"):
        run_backtest(spark, settings(), late, tmp_path / "results")
    with pytest.raises(SettingsError, match=r"--device-column: there is no column 'device' among house, at, watts"):
        run_backtest(spark, settings(), replace(question, form=ParquetFormat()), tmp_path / "results")
    with pytest.raises(SettingsError, match=r"--value-column: column 'at' is a timestamp_ntz, not a number"):
        run_backtest(spark, settings(), replace(question, form=replace(FORM, value="at")), tmp_path / "results")
    (tmp_path / "ns").mkdir()
    pq.write_table(pa.table({"ts": pa.array([0], pa.timestamp("ns"))}), tmp_path / "ns" / "a.parquet")
    with pytest.raises(SourceError, match=r"holds times in nanoseconds, .* coerce_timestamps=\"us\""):
        run_backtest(spark, settings(), replace(question, folder=tmp_path / "ns"), tmp_path / "results")
    (tmp_path / "in" / "later.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError, match=r"later\.parquet: is not a complete Parquet file"):
        run_backtest(spark, settings(), question, tmp_path / "results")
    columns = {"house": ["a"], "at": pa.array([0], pa.timestamp("us", "UTC")), "watts": [1.0]}
    pq.write_table(pa.table(columns), tmp_path / "in" / "later.parquet")
    with pytest.raises(SourceError, match=r"'at' is timestamp .*, and timestamp .*: write all files with the same"):
        run_backtest(spark, settings(), question, tmp_path / "results")
    with pytest.raises(SourceError, match=r"none: no such folder"):
        run_backtest(spark, settings(), replace(question, folder=tmp_path / "none"), tmp_path / "results")
    (tmp_path / "kwh").mkdir()
    columns = {"device": ["a"], "ts": pa.array([0], pa.timestamp("us")), "energy_kwh": [1.0]}
    pq.write_table(pa.table(columns), tmp_path / "kwh" / "a.parquet")
    energy = replace(question, folder=tmp_path / "kwh", form=ParquetFormat(value="energy_kwh"))
    with pytest.raises(SettingsError, match=r"column 'energy_kwh' is an energy \(kwh\), not a power"):
        run_backtest(spark, settings(), energy, tmp_path / "results")


def test_fleet_backtest_more_houses_than_devices_are_rejected() -> None:
    houses = [HouseSurvey(name, 9, 0) for name in "abcde"]
    assert max(map(len, engine_groups(houses, 100, 2, max_devices=3))) == 3
    with pytest.raises(SettingsError, match=r"devices\.max: 2 is less than the 3 houses of a group.* to 2$"):
        engine_groups(houses, 100, 2, max_devices=2)


def test_fleet_backtest_worker_writes_a_groups_result(tmp_path: Path) -> None:
    chosen = fleet_settings(settings())
    task = WorkerTask("backtest", chosen.model_dump_json(), identity_of(chosen, load_models(chosen)).text(), 0, 0)
    frames = [
        pd.DataFrame(
            {"group": 3, "device": ["a", "b"], "minute": FIRST + i, "gap_kw": [1.0, 2.0 + i % 3], "is_filled": False}
        )
        for i in range(30)
    ]
    rows = pd.concat(list(group_runner(task, tmp_path, FIRST + 20)(iter(frames))))
    assert rows.to_dict("records") == [{"group": 3, "n": 60}]
    result = read_result(result_path(tmp_path, 3))
    assert (result.names, result.n_readings, result.published_model) == (["a", "b"], 60, "blend")
    assert join([result], 1.0).scored.n == 2 * 5  # of the ten forecasts from there on, five have an outcome
    assert list(tmp_path.iterdir()) == [result_path(tmp_path, 3)]
    assert list(group_runner(task, tmp_path, None)(iter([]))) == []


@pytest.mark.parametrize("combines", [False, True])
def test_fleet_backtest_of_a_model_that_returns_nan_has_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, combines: bool
) -> None:
    """The same as of `gapcast backtest`, also for groups of an earlier version, which have no such values."""
    broken = Broken(quantile_levels=None)
    monkeypatch.setattr(groups, "new_engine", lambda _: ensemble_engine(broken) if combines else Engine(broken))
    for group in range(2):
        readings = {"group": group, "device": f"house-{group}", "gap_kw": 1.0, "is_filled": False}
        frames = [pd.DataFrame(readings | {"minute": [FIRST + i]}) for i in range(30)]
        list(group_runner(WorkerTask("", "", "", 0, 0), tmp_path, None)(iter(frames)))
    results = [read_result(result_path(tmp_path, group)) for group in range(2)]
    found = join(results, 1.0)
    warnings = [line for line in lines(found) if line.startswith("warning")]
    replaced = [] if combines else ["warning: 58 forecasts replaced by persistence"]
    assert warnings == ["warning: unusable values, such as NaN, from smooth", *replaced]

    with np.load(result_path(tmp_path, 0)) as archive:
        columns = dict(archive)
    about = json.loads(columns["about"].tobytes())
    del about["n_replaced"], about["failed_models"]
    columns["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    np.savez_compressed(result_path(tmp_path, 0), **columns)
    earlier = read_result(result_path(tmp_path, 0))
    assert (earlier.n_replaced, earlier.failed_models) == (0, [])


def test_fleet_backtest_scores_houses_by_the_members_of_their_horizon(tmp_path: Path) -> None:
    own = {"model": "lstm", "experts": ["lstm-5-3"], "devices": {"b": {"horizon_min": 15}}}
    chosen = fleet_settings(settings(forecast=own))
    task = WorkerTask("backtest", chosen.model_dump_json(), identity_of(chosen, load_models(chosen)).text(), 0, 0)
    readings = {"device": ["a", "b"], "gap_kw": [1.0, 2.0], "is_filled": False}
    frames = [pd.DataFrame({"group": 0, "minute": FIRST + i, **readings}) for i in range(40)]
    list(group_runner(task, tmp_path, None)(iter(frames)))
    found = join([read_result(result_path(tmp_path, 0))], 1.0)
    members = {house.name: [*house.scored.members] for house in found.houses}
    assert members == {
        "a": ["lstm", "lstm-5-3", "learned", "persistence"],
        "b": ["outlook", "learned", "persistence"],
    }
    assert [[*house.live[ALL_TIME].members] for house in found.houses] == [*members.values()]
    assert found.scored.members["outlook"] == found.houses[1].scored.members["outlook"]


# --- outlooks ---------------------------------------------------------------------------------------


def outlook_settings(models: Path) -> Settings:
    """Settings with a folder of two models, one of which makes outlooks."""
    if not models.exists():
        for source in (shipped_models() / "lstm-5-3", history_model()):
            shutil.copytree(source, models / source.name)
        (models / "registry.json").write_text('{"default": "lstm-5-3"}', encoding="utf-8")
    return settings(
        models={"path": models}, forecast={"experts": []}, outlook={"model": history_model().name, "max_devices": 1}
    )


def test_fleet_backtest_worker_writes_a_groups_outlooks(tmp_path: Path) -> None:
    chosen = with_outlooks(fleet_settings(outlook_settings(tmp_path / "models")), 2)
    task = WorkerTask("backtest", chosen.model_dump_json(), identity_of(chosen, load_models(chosen)).text(), 0, 0)
    readings = {"device": ["a", "b"], "gap_kw": [1.0, 2.0], "is_filled": False}
    frames = [pd.DataFrame({"group": 1, "minute": FIRST + i, **readings}) for i in range(40)]
    results = tmp_path / "results"
    results.mkdir()
    list(group_runner(task, results, FIRST + 10, GroupOutlook((5, 20), is_written=True))(iter(frames)))
    assert sorted(results.iterdir()) == [result_path(results, 1), outlook_path(results, 1)]
    found = join([read_result(result_path(results, 1))], 1.0, (5, 20)).outlooks
    assert found is not None
    assert [(one.kind, one.lead_min, one.n) for one in found.for_house("b")] == [
        (kind, lead, 30 - lead) for kind in KINDS for lead in (5, 20)
    ]
    assert [one.n for one in found.overall()] == [2 * one.n for one in found.for_house("a")]
    with outlook_path(results, 1).open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == HEADER
    assert len(rows) == 2 * 39 * len(KINDS) * 2


def test_fleet_backtest_outlooks_equal_gapcast_backtest(
    spark: SparkSession, question: BacktestOptions, tmp_path: Path
) -> None:
    chosen, leads = outlook_settings(tmp_path / "models"), (5, 12)
    form, out = FileFormat(Layout("at", "watts", unit="W", zone=BERLIN)), tmp_path / "outlook.csv"
    files = write_csv(tmp_path)
    killed = tmp_path / "results" / ".group-00000.outlook.csv.1a2b3c4d.part"
    killed.parent.mkdir()
    killed.touch()
    edge = run_of_the_edge(chosen, files, form, PART, BacktestRequest(outlook=OutlookRequest(leads, out)))
    question = replace(question, outlook=GroupOutlook(leads, is_written=True))
    found = run_backtest(spark, chosen, question, tmp_path / "results")
    assert flat(document(found) | {"took_s": 0}) == pytest.approx(
        flat(document(edge) | {"took_s": 0}), abs=1e-5, nan_ok=True
    )
    assert document(found)["outlook"][0]["n"] > 300
    assert any(line.startswith("all 7 houses: outlook") for line in lines(found))
    assert not killed.exists(), "the part of a run that was killed"
    with pytest.raises(SettingsError, match=r"was created with other --horizons or --outlook: use another folder$"):
        run_backtest(spark, chosen, replace(question, outlook=None), tmp_path / "results")
    of_groups = [line for path in (tmp_path / "results").glob("*.outlook.csv") for line in outlook_lines(path)]
    assert_same_outlooks(of_groups, outlook_lines(out))


def outlook_lines(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))[1:]


def assert_same_outlooks(one: list[list[str]], other: list[list[str]]) -> None:
    by_key, others = ({tuple(line[:4]): line[4:] for line in lines_of} for lines_of in (one, other))
    assert by_key.keys() == others.keys()
    assert len(by_key) == len(one) == len(other)
    for key, values in by_key.items():
        assert list(map(float, values)) == pytest.approx(list(map(float, others[key])), abs=1e-5)
