"""Which readings of one or several files are imported."""

from __future__ import annotations

from datetime import UTC
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.errors import SourceError
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.readings.submeters import measured_name
from gapcast.core.time_grid import MINUTE_MS
from gapcast.history_import.past_readings import PastFiles, PastReadings, read_past
from gapcast.recordings.text.layout import FileFormat, Layout, Unit

#: 2026-04-01T12:00Z
FIRST = 29_584_080
COLUMNS = FileFormat(Layout("time", "kw"))


def written(path: Path, first: int, n: int, every_min: int = 1, kw: float = 1.0) -> Path:
    lines = [f"{60 * (first + k * every_min)},{kw}" for k in range(n)]
    path.write_text("\n".join(["time,kw", *lines, ""]), encoding="utf-8")
    return path


def read(*paths: Path, form: FileFormat = COLUMNS, start: int | None = None, now: int = FIRST + 10_000) -> PastReadings:
    return read_past(PastFiles(paths, form, UTC, start), Limits(), now * MINUTE_MS, lambda _: None)


def test_files_are_joined_in_order_of_time(tmp_path: Path) -> None:
    """If two files contain a minute, the file that begins first counts."""
    later = written(tmp_path / "a.csv", FIRST + 5, 10, kw=2.0)
    shown: list[str] = []
    files = PastFiles((later, written(tmp_path / "b.csv", FIRST, 8)), COLUMNS, UTC)
    past = read_past(files, Limits(), (FIRST + 10_000) * MINUTE_MS, shown.append)
    assert past.minutes.tolist() == [FIRST + k for k in range(15)]
    assert past.gap_kw.tolist() == [1.0] * 8 + [2.0] * 7
    assert "  ignored 3 readings that an earlier file contains" in shown
    assert [len(batch) for batch in past.batches("home", 10)] == [10, 5]
    assert next(past.batches("home", 10))[0] == Reading("home", FIRST, 1.0)


@pytest.mark.parametrize("unit", [None, "kW"])
def test_files_of_an_energy_counter_are_not_imported(tmp_path: Path, unit: Unit | None) -> None:
    path = tmp_path / "counter.csv"
    lines = [f"{60 * (FIRST + k)},{45 + k / 1_000:.3f}" for k in range(300)]
    path.write_text("\n".join(["time,kw", *lines, ""]), encoding="utf-8")
    with pytest.raises(SourceError, match="column 'kw' only rises, like an energy counter"):
        read(path, form=FileFormat(Layout("time", "kw", unit)))


def exported(path: Path, first: int, entity: str) -> Path:
    """Write an export of Home Assistant's history."""
    lines = [f"{entity},{1_000 + k % 2},{60 * (first + k)}" for k in range(10)]
    path.write_text("\n".join(["entity_id,state,last_updated", *lines, ""]), encoding="utf-8")
    return path


def influxdb(path: Path, first: int, tags: str) -> Path:
    """Write an export of InfluxDB 1."""
    lines = [f"W,{tags},{60 * (first + k)},1000" for k in range(10)]
    path.write_text("\n".join(["name,tags,time,value", *lines, ""]), encoding="utf-8")
    return path


def test_exports_of_one_sensor_are_joined(tmp_path: Path) -> None:
    names = ("a.csv", "b.csv")
    paths = [exported(tmp_path / name, FIRST + 10 * i, "sensor.grid_power") for i, name in enumerate(names)]
    assert len(read(*paths, form=FileFormat(unit="W"))) == 20


def test_exports_of_different_programs_are_joined(tmp_path: Path) -> None:
    first = exported(tmp_path / "a.csv", FIRST, "sensor.grid_power")
    second = influxdb(tmp_path / "b.csv", FIRST + 10, "entity_id=grid_power")
    assert len(read(first, second, form=FileFormat(unit="W"))) == 20


def test_exports_with_other_tags_are_joined_by_entity(tmp_path: Path) -> None:
    first = influxdb(tmp_path / "a.csv", FIRST, '"entity_id=grid_power,host=a"')
    second = influxdb(tmp_path / "b.csv", FIRST + 10, '"entity_id=grid_power,host=b"')
    with pytest.raises(SourceError, match="or select the series in both by --entity"):
        read(first, second, form=FileFormat())
    assert len(read(first, second, form=FileFormat(entity="grid_power"))) == 20


def test_exports_of_different_sensors_are_refused(tmp_path: Path) -> None:
    grid = exported(tmp_path / "a.csv", FIRST, "sensor.grid_power")
    pump = exported(tmp_path / "b.csv", FIRST + 10, "sensor.heatpump_power")
    words = r"b\.csv: is of sensor\.heatpump_power, but a\.csv of sensor\.grid_power: leave out that of the other"
    with pytest.raises(SourceError, match=words):
        read(grid, pump, form=FileFormat(unit="W"))
    with pytest.raises(SourceError, match="has no --entity"):
        read(grid, pump, form=FileFormat(unit="W", entity="sensor.grid_power"))


def statistics(path: Path, first: int, **named: str) -> Path:
    """Write five-minute means of Home Assistant, with the column ``named``."""
    lines = [",".join([*named.values(), "1000", str(60 * (first + 5 * k))]) for k in range(10)]
    path.write_text("\n".join([",".join([*named, "mean", "start_ts"]), *lines, ""]), encoding="utf-8")
    return path


def test_states_and_statistics_of_one_sensor_are_joined(tmp_path: Path) -> None:
    states = exported(tmp_path / "a.csv", FIRST, "sensor.grid_power")
    means = statistics(tmp_path / "b.csv", FIRST + 10, statistic_id="sensor.grid_power")
    unnamed = statistics(tmp_path / "c.csv", FIRST + 60)
    assert len(read(states, means, unnamed, form=FileFormat(unit="W"))) == 110


def test_states_and_statistics_of_different_sensors_are_refused(tmp_path: Path) -> None:
    states = exported(tmp_path / "a.csv", FIRST, "sensor.grid_power")
    means = statistics(tmp_path / "b.csv", FIRST + 10, statistic_id="sensor.heatpump_power")
    with pytest.raises(SourceError, match=r"b\.csv: is of sensor\.heatpump_power, but a\.csv of sensor\.grid_power"):
        read(states, means, form=FileFormat(unit="W"))


def test_gap_of_a_file_is_filled_from_another(tmp_path: Path) -> None:
    first = written(tmp_path / "a.csv", FIRST, 8)
    lines = first.read_text(encoding="utf-8").splitlines()
    first.write_text("\n".join([*lines[:5], *lines[6:], ""]), encoding="utf-8")  # without the minute FIRST + 4
    shown: list[str] = []
    files = PastFiles((first, written(tmp_path / "b.csv", FIRST + 2, 4, kw=2.0)), COLUMNS, UTC)
    past = read_past(files, Limits(), (FIRST + 10_000) * MINUTE_MS, shown.append)
    assert past.minutes.tolist() == [FIRST + k for k in range(8)]
    assert past.gap_kw.tolist() == [1.0] * 4 + [2.0] + [1.0] * 3
    assert "  ignored 3 readings that an earlier file contains" in shown


def test_submeters_hold_for_three_minutes_as_live(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    powers = ["0.5", "", "", "", "", "0.7", "", "", "", ""]
    for path, at in ((first, FIRST), (second, FIRST + 10)):
        rows = [f"{60 * (at + k)},1.0,{car_kw},0" for k, car_kw in enumerate(powers)]
        path.write_text("\n".join(["time,kw,car,oven", *rows, ""]), encoding="utf-8")
    form = FileFormat(Layout("time", "kw", submeters=("car", "oven")), hold_min=1)
    past = read(second, first, form=form)
    car, oven = measured_name("car"), measured_name("oven")
    measured = [reading.measured for batch in past.batches("home", 7) for reading in batch]
    held = [0.5] * 4 + [None] + [0.7] * 4 + [None]
    assert measured == [({} if kw is None else {car: kw}) | {oven: 0.0} for kw in held * 2]
    no_oven = read(second, first, form=FileFormat(Layout("time", "kw", submeters=("car",)), hold_min=1))
    assert [reading.measured for batch in no_oven.batches("home", 7) for reading in batch][3:6] == [
        {car: 0.5}, None, {car: 0.7},
    ]  # fmt: skip


def test_submeter_before_its_first_value_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"{60 * (FIRST + k)},1.0,{car_kw}" for k, car_kw in enumerate(["", "", "0.5", "0.6", "0.7"])]
    path.write_text("\n".join(["time,kw,car", *rows, ""]), encoding="utf-8")
    past = read(path, form=FileFormat(Layout("time", "kw", submeters=("car",)), hold_min=1))
    car = measured_name("car")
    found = [reading.measured for batch in past.batches("home", 7) for reading in batch]
    assert found == [None, None, {car: 0.5}, {car: 0.6}, {car: 0.7}]


def test_filled_minute_of_a_file_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "plug.csv"
    rows = [f"{60 * FIRST + second},1.0" for second in range(0, 600, 10) if not 300 < second < 350]
    path.write_text("\n".join(["time,kw", *rows, ""]), encoding="utf-8")
    readings = next(read(path).batches("home", 10))
    assert [reading.minute - FIRST for reading in readings if reading.is_filled] == [5]


@given(cuts=st.sets(st.integers(2, 58), max_size=4), overlap=st.integers(0, 5))
def test_files_cut_anywhere_give_the_whole(cuts: set[int], overlap: int) -> None:
    """Parts of a long export, which may overlap, give the readings of the export in one file."""
    with TemporaryDirectory() as folder:
        edges = [0, *sorted(cuts), 60]
        parts = [
            written(Path(folder) / f"{start}.csv", FIRST + start, min(end + overlap, 60) - start)
            for start, end in pairwise(edges)
        ]
        past = read(*reversed(parts))
    assert past.minutes.tolist() == [FIRST + k for k in range(60)]


def test_start_leaves_out_earlier_minutes(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", FIRST, 8)
    assert read(path, start=FIRST + 5).minutes.tolist() == [FIRST + 5, FIRST + 6, FIRST + 7]
    with pytest.raises(SourceError, match="has no completed minute from 2026-04-01T12:08:00Z on"):
        read(path, start=FIRST + 8)


def test_minute_that_is_not_over_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", FIRST, 8)
    assert read(path, now=FIRST + 5).last_minute == FIRST + 4


def test_file_that_reaches_into_the_future_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", FIRST, 60)
    message = r"a\.csv: reaches 2026-04-01T12:59:00Z, after now \(2026-04-01T12:00:00Z\): is it another --timezone, or"
    with pytest.raises(SourceError, match=message):
        read(path, now=FIRST)


def test_readings_too_far_apart_are_refused(tmp_path: Path) -> None:
    """A quarter of an hour hides what happens in five minutes, unless the meter sends only changes."""
    path = written(tmp_path / "a.csv", FIRST, 8, every_min=15)
    with pytest.raises(SourceError, match=r"has a value every 15 min, too few to learn .* set --hold MINUTES"):
        read(path)
    assert len(read(path, form=FileFormat(Layout("time", "kw"), hold_min=60))) == 7 * 15 + 15
    assert len(read(written(tmp_path / "b.csv", FIRST, 8, every_min=5))) == 40
