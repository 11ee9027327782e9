"""Training windows of several houses, on Spark: equal to the trainer's, balanced over houses, no look-ahead."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from gapcast.core.errors import SettingsError, SourceError
from gapcast.core.readings.reading import Limits
from gapcast.core.time_grid import DAY_MIN, minute_label
from gapcast.core.windows.training_set import (
    MANIFEST_FILE,
    PARTS,
    TEST,
    TRAIN,
    VALIDATE,
    Contract,
    Draw,
    Manifest,
    row_type,
)
from gapcast.core.windows.window import WindowSpec
from gapcast.recordings.minutes.series import Series
from gapcast.recordings.recording import read_recording
from gapcast.recordings.text.layout import FileFormat, Layout
from gapcast_fleet.cli import main
from gapcast_fleet.histories.history import ParquetFormat, read_history
from gapcast_fleet.histories.survey import HouseSurvey
from gapcast_fleet.training_sets.balance import balance
from gapcast_fleet.training_sets.prepare import PrepareOptions, _n_readings_done, _validation_begins, lines, prepare
from gapcast_fleet.training_sets.window_draw import chunk_list_path, places, progress_path
from gapcast_trainer.data import clean_file_writer
from gapcast_trainer.data.split import MinuteSplit, SplitPart
from gapcast_trainer.data.windows import WindowTask, cut_examples
from tests.fleet.conftest import CONF
from tests.fleet.houses import AUTUMN_S, SPRING_S, samples
from tests.fleet.test_kills import Command
from tests.trainer.training_sets import manifest_of, write_set

#: 2010-11-01T00:00Z, a midnight.
FIRST = 21_476_160
CONTRACT = Contract(context=40, lead_times_min=(1, 5))
#: Number of days of each house; the houses begin a day after each other.
DAYS = {"short": 2, "usual": 3, "long": 6, "unseen": 3}
BEGINS = {name: FIRST + DAY_MIN * place for place, name in enumerate(DAYS)}


def power_of(name: str) -> np.ndarray:
    """Return a house's power minute by minute, kW, with short and long gaps and an outage."""
    random = np.random.default_rng(len(name))
    kw = np.round(random.uniform(0.1, 4.0, DAYS[name] * DAY_MIN), 3)
    for start, length in ((50, 1), (300, 5), (500, 6), (900, 200), (1_500, 3)):
        kw[start : start + length] = np.nan
    return kw


def write_parquet(folder: Path) -> None:
    """Write the houses to files in no order; one minute occurs twice, and two rows are not readings."""
    folder.mkdir()
    rows = [
        (name, BEGINS[name] + minute, kw)
        for name in DAYS
        for minute, kw in enumerate(power_of(name).tolist())
        if not np.isnan(kw)
    ]
    rows += [("usual", BEGINS["usual"] + 10, 5_000.0), ("long", 1_000, 1.0)]
    np.random.default_rng(1).shuffle(rows)
    rows += [("short", BEGINS["short"] + 10, 9.0)]  # comes last: the first one stands
    for number, part in enumerate(np.array_split(np.arange(len(rows)), 3)):
        device, minute, kw = zip(*(rows[at] for at in part), strict=True)
        table = {"device": device, "ts": [at * 60 for at in minute], "gap_kw": kw}
        pq.write_table(pa.table(table), folder / f"part-{number}.parquet")


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fleet") / "history"
    write_parquet(folder)
    return folder


@pytest.fixture
def wanted(readings: Path) -> PrepareOptions:
    return PrepareOptions(readings, ParquetFormat(), CONTRACT, Draw(validate_share=0.2), ("unseen",))


def rows_of(folder: Path, manifest: Manifest, part: str) -> np.ndarray:
    """Return all rows of a part, by house and time; check each chunk against the manifest."""
    kind = row_type(manifest.contract.context, len(manifest.contract.lead_times_min))
    found = [np.zeros(0, kind)]
    for chunk in manifest.chunks:
        content = (folder / chunk.file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == chunk.sha256
        if chunk.part == part:
            found.append(np.load(folder / chunk.file, allow_pickle=False))
            assert (found[-1].size, found[-1].dtype) == (chunk.n_rows, kind)
    return np.sort(np.concatenate(found), order=("house", "observed_minute"))


def test_prepare_houses_give_equal_counts_in_disjoint_parts(
    spark: SparkSession, wanted: PrepareOptions, tmp_path: Path
) -> None:
    manifest = prepare(spark, Limits(), wanted, tmp_path / "set")
    assert manifest.names(left_out=False) == ("long", "short", "usual")
    assert manifest.names(left_out=True) == ("unseen",)
    of = {house.name: house for house in manifest.houses}
    assert (of["short"].n_duplicates, of["usual"].n_refused, of["long"].n_refused) == (1, 1, 1)
    assert of["long"].first == minute_label(BEGINS["long"])
    fewest = {part: min(of[name].n_found[part] for name in ("long", "short", "usual")) for part in (TRAIN, VALIDATE)}
    for part in (TRAIN, VALIDATE):
        rows = rows_of(tmp_path / "set", manifest, part)
        houses, counts = np.unique(rows["house"], return_counts=True)
        assert (len(houses), set(counts.tolist())) == (3, {fewest[part]})
    unseen = rows_of(tmp_path / "set", manifest, TEST)
    assert [manifest.houses[place].name for place in np.unique(unseen["house"])] == ["unseen"]
    assert len(unseen) == of["unseen"].n_found[TEST] > 3_000

    train, validate = (rows_of(tmp_path / "set", manifest, part) for part in (TRAIN, VALIDATE))
    for place in (0, 1, 3):
        house = manifest.houses[place]
        trained_on, validated_on = (rows["observed_minute"][rows["house"] == place] for rows in (train, validate))
        assert trained_on.max() + 5 < validated_on.min() - 39  # the last target, and the first minute of any window
        assert minute_label(int(validated_on.min()) // DAY_MIN * DAY_MIN) >= str(house.validate_from)
    days = train["observed_minute"][train["house"] == 0] // DAY_MIN
    each = np.bincount(days - days.min())
    assert len(each) == 4  # two of its six days are more than a fifth, one is less
    assert each[1:].max() - each[1:].min() < 0.3 * each[1:].mean()

    kw = {name: power_of(name) for name in ("long", "short", "usual")}
    until = {name: int((BEGINS[name] + DAY_MIN * days - CONTRACT.embargo_min) - BEGINS[name])
             for name, days in (("long", 4), ("short", 1), ("usual", 2))}  # fmt: skip
    for name, its in kw.items():
        training_kw = its[: until[name]]
        assert of[name].mean_kw == pytest.approx(np.nanmean(training_kw))
        assert of[name].mean_square_kw2 == pytest.approx(np.nanmean(training_kw**2))


def windows_equal_the_trainers(folder: Path, manifest: Manifest, houses: Mapping[str, Series]) -> None:
    """Fail if a window of the set is not one that the trainer cuts from the house, or if one is missing."""
    task = WindowTask(WindowSpec(manifest.contract.context), manifest.contract.lead_times_min)
    late = datetime(2030, 1, 1, tzinfo=UTC)
    for place, house in enumerate(manifest.houses):
        begins = datetime.fromisoformat(house.validate_from or "2010-01-02T00:00Z")
        ends = late if house.validate_from else late.replace(year=2010, month=1, day=3)
        split = MinuteSplit(begins, ends, late.replace(year=2031), manifest.embargo_min)
        for part, its in ((TRAIN, SplitPart.TRAIN), (VALIDATE, SplitPart.VALIDATE), (TEST, SplitPart.TEST)):
            rows = rows_of(folder, manifest, part)
            rows = rows[rows["house"] == place]
            expected = cut_examples(houses[house.name], task, split, its)
            np.testing.assert_array_equal(rows["observed_minute"], expected.observed_minute)
            np.testing.assert_array_equal(rows["window_kw"], expected.inputs()[:, :, 0])
            np.testing.assert_array_equal(rows["target_kw"], expected.target_kw)
            np.testing.assert_array_equal(rows["n_observed"], expected.n_observed)
            np.testing.assert_array_equal(rows["n_recent"], expected.n_recent)


def test_prepare_of_local_samples_equals_the_trainers(spark: SparkSession, tmp_path: Path) -> None:
    """Samples across both clock changes, from rows of all houses, and from a clean file for each house."""
    zone, time_format = ZoneInfo("Europe/Berlin"), "%d.%m.%Y %H:%M:%S"
    layout, series, rows = Layout("at", "power_w", time_format=time_format, zone=zone), dict[str, Series](), []
    for name, first_s in (("autumn", AUTUMN_S), ("spring", SPRING_S)):
        its = [(f"{datetime.fromtimestamp(s, zone):{time_format}}", watts) for s, watts in samples(first_s)]
        text = "\n".join(["at,power_w", *(f"{at},{watts}" for at, watts in its), ""])
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
        recording = read_recording(tmp_path / f"{name}.csv", FileFormat(layout))
        series[name] = recording.series
        (tmp_path / "clean").mkdir(exist_ok=True)
        clean_file_writer.write(recording.series, recording.report, tmp_path / "clean" / f"{name}.parquet")
        rows += [(name, at, watts) for at, watts in its]
    (tmp_path / "raw").mkdir()
    pq.write_table(
        pa.table(dict(zip(("home", "at", "power_w"), zip(*rows, strict=True), strict=True))),
        tmp_path / "raw" / "all.parquet",
    )
    draw = Draw(windows_a_house=1_000, validate_from="2025-10-26T03:30")  # 02:30Z
    raw = PrepareOptions(
        tmp_path / "raw", ParquetFormat("home", "at", "power_w", time_format=time_format, zone=zone),
        Contract(context=10, lead_times_min=(1, 5)), draw, ("spring",),
    )  # fmt: skip
    clean = replace(raw, folder=tmp_path / "clean", form=ParquetFormat(zone=zone))
    of_raw, of_clean = (prepare(spark, Limits(), its, tmp_path / f"set-{its.folder.name}") for its in (raw, clean))
    assert [its.n_duplicates for its in of_raw.houses] == [11, 11]
    assert [its.validate_from for its in of_raw.houses] == ["2025-10-26T02:30:00Z", None]
    assert of_raw.columns == {
        "device": "home", "time": "at", "value": "power_w", "unit": "W", "time_format": time_format,
        "zone": "Europe/Berlin",
    }  # fmt: skip
    assert (of_clean.source_sha256, of_clean.chunks) == (of_raw.source_sha256, of_raw.chunks)
    assert [of_raw.n_rows(part) > 10 for part in PARTS] == [True] * 3
    windows_equal_the_trainers(tmp_path / "set-raw", of_raw, series)


def test_prepare_windows_equal_the_trainers(spark: SparkSession, wanted: PrepareOptions, tmp_path: Path) -> None:
    everything = replace(wanted, draw=replace(wanted.draw, windows_a_house=100_000, validate_share=0.2))
    manifest = prepare(spark, Limits(), everything, tmp_path / "set")
    windows_equal_the_trainers(
        tmp_path / "set", manifest, {name: Series(BEGINS[name], power_of(name)) for name in DAYS}
    )

    # It ended before a group was done, and before the manifest: it resumes with the same result.
    before = {path.name: path.read_bytes() for path in (tmp_path / "set").iterdir()}
    lost = json.loads(chunk_list_path(tmp_path / "set", 1).read_text())
    for name in (MANIFEST_FILE, chunk_list_path(tmp_path, 1).name, *(chunk["file"] for chunk in lost)):
        (tmp_path / "set" / name).unlink()
    kept = next(chunk.file for chunk in manifest.chunks if chunk.file not in {one["file"] for one in lost})
    written_ns = (tmp_path / "set" / kept).stat().st_mtime_ns
    assert prepare(spark, Limits(), everything, tmp_path / "set") == manifest
    assert {path.name: path.read_bytes() for path in (tmp_path / "set").iterdir()} == before
    assert (tmp_path / "set" / kept).stat().st_mtime_ns == written_ns
    with pytest.raises(SettingsError, match=r"was created with other --windows-a-house: use another folder$"):
        prepare(spark, Limits(), wanted, tmp_path / "set")


def test_prepare_killed_resumes_with_the_same_result(
    spark: SparkSession, readings: Path, wanted: PrepareOptions, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    Command(
        tmp_path, "prepare", readings, "--to", out, "--context", CONTRACT.context, "--leave-out", *wanted.leave_out,
        "--lead-times", ",".join(map(str, CONTRACT.lead_times_min)), "--validate-share", wanted.draw.validate_share,
    ).kill_when(chunk_list_path(out, 0).exists)  # fmt: skip
    assert prepare(spark, Limits(), wanted, out) == prepare(spark, Limits(), wanted, tmp_path / "undisturbed")
    left, whole = ({path.name: path.read_bytes() for path in it.iterdir()} for it in (out, tmp_path / "undisturbed"))
    assert left == whole


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (
            lambda its: replace(its, leave_out=("strangr",)),
            "--leave-out strangr: unknown house; there are 4: long, sh",
        ),
        (lambda its: replace(its, leave_out=tuple(DAYS)), "--leave-out: all 4 houses are left out"),
        (
            lambda its: replace(its, draw=Draw(validate_from="soon")),
            "--validate-from 'soon' is not a time",
        ),
        (
            lambda its: replace(its, draw=Draw(validate_from="2010-11-03T12:00")),
            "house short has no window to validate on, so that no house could contribute any: exclude it",
        ),
    ],
)
def test_prepare_errors_write_nothing(
    change: Callable[[PrepareOptions], PrepareOptions],
    error: str,
    spark: SparkSession,
    wanted: PrepareOptions,
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsError) as caught:
        prepare(spark, Limits(), change(wanted), tmp_path / "set")
    assert error in str(caught.value)
    assert not list(tmp_path.glob("set/*"))


def test_prepare_killed_after_an_error_leaves_no_counts_alone(
    spark: SparkSession, wanted: PrepareOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other options would use the counts of these if nothing named the options."""
    unlink, out = Path.unlink, tmp_path / "set"
    left: list[list[str]] = []

    def unlink_and_note(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        if path.parent == out and path.suffix == ".json":
            left.append(sorted(its.name for its in out.iterdir()))

    monkeypatch.setattr(Path, "unlink", unlink_and_note)
    late = replace(wanted, draw=Draw(validate_from="2010-11-03T12:00"))
    with pytest.raises(SettingsError):
        prepare(spark, Limits(), late, out)
    assert left == [["prepare.json"], []]


def test_prepare_progress_removed_by_a_worker_meanwhile_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, progress = Path.read_text, progress_path(tmp_path, 3)

    def done_meanwhile(path: Path, *arguments: Any, **options: Any) -> str:
        if path == progress:
            chunk_list_path(tmp_path, 3).touch()
            path.unlink(missing_ok=True)
        return read(path, *arguments, **options)

    assert _n_readings_done(tmp_path, 3, 100) == 0
    progress.write_text("40")
    assert _n_readings_done(tmp_path, 3, 100) == 40
    monkeypatch.setattr(Path, "read_text", done_meanwhile)
    assert _n_readings_done(tmp_path, 3, 100) == 100


def test_prepare_folder_without_readings_is_rejected(
    spark: SparkSession, tmp_path: Path, wanted: PrepareOptions
) -> None:
    (tmp_path / "in").mkdir()
    empty = {"device": pa.array([], "string"), "ts": pa.array([], "int64"), "gap_kw": pa.array([], "double")}
    pq.write_table(pa.table(empty), tmp_path / "in" / "none.parquet")
    with pytest.raises(SourceError, match="holds no reading"):
        prepare(spark, Limits(), replace(wanted, folder=tmp_path / "in"), tmp_path / "set")


def test_history_text_that_is_not_utf8_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    """pyarrow checks the rows that reach Python, and one such text would end the command."""
    times = [f"2010-11-01T00:0{minute}Z".encode() for minute in range(4)]
    columns = {
        "device": pa.array([b"a", b"a", b"a", "küche".encode("latin-1")]),
        "ts": pa.array([*times[:2], "März".encode("latin-1"), times[3]]),
    }
    columns = {name: pa.Array.from_buffers(pa.string(), 4, column.buffers()) for name, column in columns.items()}
    pq.write_table(pa.table({**columns, "gap_kw": [1.0] * 4}), tmp_path / "a.parquet")
    with read_history(spark, tmp_path, ParquetFormat(), Limits()) as history:
        refused, house = history.surveys
    assert (refused.name, refused.n_refused, refused.problem) == ("", 1, "the rows name no house, or not in UTF-8")
    assert (house.name, house.n_readings, house.n_refused) == ("a", 2, 1)
    assert "M\ufffdrz" in house.problem


def test_prepare_command_prints_progress_and_result(readings: Path, tmp_path: Path) -> None:
    conf = [word for one in CONF for word in ("--conf", one)]
    words = ("prepare", readings, "--to", tmp_path / "set", "--context", 10, "--lead-times", "1,5", *conf)
    result = CliRunner().invoke(main, [str(word) for word in (*words, "--windows-a-house", 700)])
    assert result.exit_code == 0, result.output
    for text in (
        "counting the windows of 4 houses",
        "train: 2,800 windows of 4 houses, 700 each",
        "no house is left out",
        f"wrote {tmp_path / 'set' / MANIFEST_FILE}",
    ):
        assert text in result.output, result.output
    written = json.loads((tmp_path / "set" / MANIFEST_FILE).read_text())
    assert (written["contract"]["context"], written["draw"]["windows_a_house"]) == (10, 700)


@pytest.mark.parametrize("leads", ["5,1", "0,5", "1,x,5", ""])
def test_prepare_lead_times_must_rise_from_one(leads: str, tmp_path: Path) -> None:
    words = ["prepare", str(tmp_path), "--to", str(tmp_path / "set"), "--lead-times", leads]
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, "must be minutes in ascending order from 1" in result.output) == (2, True)


COUNTS = st.integers(0, 5_000)


@given(st.integers(0, 2**32 - 1), COUNTS, COUNTS)
def test_window_draw_takes_one_of_each_run(seed: int, n_found: int, n_wanted: int) -> None:
    n = min(n_found, n_wanted)
    chosen = places(seed, "house", TRAIN, n_found, n)
    assert chosen.size == n
    edges = np.arange(n + 1) * n_found // max(n, 1)
    assert ((edges[:-1] <= chosen) & (chosen < edges[1:])).all()
    np.testing.assert_array_equal(chosen, places(seed, "house", TRAIN, n_found, n))


@given(st.lists(st.tuples(st.integers(1, 900), st.integers(1, 900)), min_size=1), st.none() | st.integers(1, 999))
def test_window_draw_houses_have_equal_weight(found: list[tuple[int, int]], most: int | None) -> None:
    of = {f"house-{at}": [*its, 0] for at, its in enumerate(found)}
    taken = balance(of, dict.fromkeys(of, 1), Draw(windows_a_house=most, validate_share=0.2))
    for at in range(len(PARTS)):
        if most is None:
            assert len({its[at] for its in taken.values()}) == 1
            continue
        limit = -(-most // 4) if PARTS[at] == VALIDATE else most
        assert all(its[at] == min(of[name][at], limit) for name, its in taken.items())


def test_window_draw_of_a_house_does_not_depend_on_others(tmp_path: Path) -> None:
    """This holds for frames that end anywhere, in any group."""
    houses = {name: (BEGINS[name], power_of(name)) for name in DAYS}
    begins = {"short": BEGINS["short"] + DAY_MIN, "usual": FIRST + 3 * DAY_MIN, "long": FIRST + 5 * DAY_MIN}
    all_begin: dict[str, int | None] = begins | {"unseen": None}
    manifest = write_set(tmp_path / "all", houses, all_begin, CONTRACT, 500)
    assert [house.name for house in manifest.houses] == sorted(DAYS)
    for place, name in enumerate(sorted(DAYS)):
        alone = write_set(tmp_path / name, {name: houses[name]}, {name: all_begin[name]}, CONTRACT, 500)
        for part in PARTS:
            its, together = rows_of(tmp_path / name, alone, part), rows_of(tmp_path / "all", manifest, part)
            its["house"] = place
            np.testing.assert_array_equal(its, together[together["house"] == place])
            assert its.size == (500 if (part == TEST) == (name == "unseen") else 0)


def test_prepare_house_without_windows_is_named() -> None:
    begins: dict[str, int | None] = {"a": 1, "b": 1}
    with pytest.raises(SettingsError, match="house b has no window to validate on"):
        balance({"a": [9, 9, 0], "b": [9, 0, 0]}, begins, Draw())
    assert balance({"a": [9, 9, 0], "b": [9, 0, 0]}, begins, Draw(windows_a_house=5)) == {
        "a": [5, 1, 0],
        "b": [5, 0, 0],
    }
    with pytest.raises(SettingsError, match="no house has a window to validate on: see --validate-share"):
        balance({"b": [9, 0, 0]}, {"b": 1}, Draw(windows_a_house=5))


def test_prepare_copy_of_a_house_left_out_is_rejected() -> None:
    """A model would be tested on readings that it was trained on."""
    houses = [HouseSurvey(name, 9, 0, digest=digest) for name, digest in (("a", "1"), ("b", "2"), ("copy", "1"))]
    options = PrepareOptions(Path("history"), ParquetFormat(), CONTRACT, Draw(), ("a",))
    with pytest.raises(SettingsError, match="house copy has the same readings as a, which is left out"):
        _validation_begins(houses, options)
    begins = _validation_begins(houses, replace(options, leave_out=("a", "copy")))
    assert begins == {"a": None, "b": 0, "copy": None}


def test_prepare_reports_the_house_with_fewest_windows() -> None:
    output = "\n".join(lines(manifest_of({"a": 30, "b\x07": 20}, left_out={"c": 7})))
    assert "train: 50 windows of 2 houses, 20 (b\\x07) to 30 each" in output
    assert "test: 7 windows of 1 house, 7 each" in output
