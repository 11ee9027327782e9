"""Columns of submeters in files: UCI's own three columns, and columns of a meter's CSV."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import numpy as np
import pytest

from gapcast.core.errors import SettingsError, SourceError
from gapcast.recordings.recording import read_recording
from gapcast.recordings.text.layout import FileFormat, Layout, with_submeters
from tests.support.uci_files import rows, write_text

NAN = float("nan")
CSV = FileFormat(Layout("time", "mains_w", zone=UTC))
UCI = FileFormat(submeters=True)


def written(folder: Path, *lines: str) -> Path:
    path = folder / "house.csv"
    path.write_text("\n".join(["time,mains_w,car,pump", *lines]) + "\n", encoding="utf-8")
    return path


def test_uci_submeters_are_converted_from_watt_hours_to_kw(tmp_path: Path) -> None:
    recording = read_recording(write_text(tmp_path / "a.txt", rows([1.5, NAN, 1.6])), UCI)
    assert [*recording.series.submeters] == [f"submeter sub_metering_{i}" for i in (1, 2, 3)]
    np.testing.assert_allclose(recording.series.submeters["submeter sub_metering_3"], [1.02, NAN, 1.02])
    assert [recording.submeters_kw(one.minute) for one in recording.minutes()] == [
        {"submeter sub_metering_1": 0.0, "submeter sub_metering_2": 0.06, "submeter sub_metering_3": 1.02}
    ] * 2
    assert "  submeters: sub_metering_1, sub_metering_2, sub_metering_3" in recording.lines(UTC)
    assert [*recording.series.extra] == ["reactive_kvar", "voltage_v", "current_a"]


def test_uci_file_is_read_without_submeters_unless_wanted(tmp_path: Path) -> None:
    recording = read_recording(write_text(tmp_path / "a.txt", rows([1.5, 1.6])))
    assert not recording.series.submeters
    assert [recording.submeters_kw(one.minute) for one in recording.minutes()] == [{}, {}]


def test_uci_file_without_submeters_is_an_error_with_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("Date;Time;Global_active_power\n1/1/2020;00:00:00;1.0\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"has no Global_reactive_power.*Sub_metering_3: leave out --submeters"):
        read_recording(path, UCI)
    with pytest.raises(SourceError, match="is not UCI's set: name the columns of submeters by --submeter-column"):
        read_recording(written(tmp_path), FileFormat(CSV.layout, submeters=True))


def test_csv_submeters_have_the_unit_of_the_power(tmp_path: Path) -> None:
    path = written(tmp_path, "2020-01-01T00:00,2000,1500,", "2020-01-01T00:01,500,0,20", "2020-01-01T00:02,600,,30")
    recording = read_recording(path, with_submeters(CSV, ["car", "pump"], of_uci=False))
    assert [recording.submeters_kw(one.minute) for one in recording.minutes()] == [
        {"submeter car": 1.5},
        {"submeter car": 0.0, "submeter pump": 0.02},
        {"submeter pump": 0.03},
    ]


@pytest.mark.parametrize("watts", [1_500_000, -1_500_000])
def test_csv_submeter_out_of_range_is_an_error_with_its_line(tmp_path: Path, watts: int) -> None:
    path = written(tmp_path, "2020-01-01T00:00,2000,1500,1", f"2020-01-01T00:01,2000,{watts},1")
    with pytest.raises(SourceError, match=r"line 3: .*submeter car is outside -100 to 100 kW"):
        read_recording(path, with_submeters(CSV, ["car"], of_uci=False))


def test_csv_submeter_out_of_range_in_an_ignored_row_is_no_error(tmp_path: Path) -> None:
    lines = [f"2020-01-01T{i // 60:02}:{i % 60:02},2000,1500,1" for i in range(300)]
    lines[7] = "2020-01-01T00:07,2000000,1500000,1"
    recording = read_recording(written(tmp_path, *lines), with_submeters(CSV, ["car"], of_uci=False))
    assert recording.report.n_missing == 1
    assert recording.submeters_kw(recording.series.first_minute + 7) == {}
    lines[8] = "2020-01-01T00:08,2000,1500000,1"
    with pytest.raises(SourceError, match=r"line 10: .*submeter car is outside -100 to 100 kW"):
        read_recording(written(tmp_path, *lines), with_submeters(CSV, ["car"], of_uci=False))


@pytest.mark.parametrize(
    ("form", "columns", "of_uci", "problem"),
    [
        (FileFormat(), ["car"], False, "name the other columns too, by --time-column and --value-column$"),
        (CSV, ["car"], True, "leave out --submeters, which is for UCI's set"),
        (CSV, ["car", "car"], False, "--submeter-column car: the column is named twice"),
        (CSV, ["mains_w"], False, "--submeter-column mains_w: the column is named twice"),
    ],
)
def test_submeter_columns_without_sense_are_refused(
    form: FileFormat, columns: list[str], of_uci: bool, problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        with_submeters(form, columns, of_uci=of_uci)
