"""Exports of InfluxDB: annotated CSV of Flux, and CSV of InfluxQL."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest

from gapcast.core.errors import SettingsError, SourceError
from gapcast.recordings.recording import read_recording
from gapcast.recordings.text.layout import FileFormat, FileOptions, file_format

#: 2026-04-01T12:00Z
START_S = 1_775_044_800
ANNOTATIONS = (
    "#group,false,false,true,true,false,false,true,true,true,true\r\n"
    "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,{type},string,string,string,string\r\n"
    "#default,_result,,,,,,,,,\r\n"
    ",result,table,_start,_stop,_time,_value,_field,_measurement,domain,entity_id\r\n"
)
WINDOW = "2026-04-01T12:00:00Z,2026-04-01T13:00:00Z"
OPTIONS = FileOptions(
    time_column=None, value_column=None, unit=None, separator=None, decimal=".", time_format=None, zone=UTC,
    hold_min=None, entity=None,
)  # fmt: skip


def table(
    entity: str, values: list[object], *, field: str = "value", measurement: str = "W", kind: str = "double"
) -> str:
    """Return a table of minutes, in the format of ``influx query --raw``."""
    rows = [
        f",,0,{WINDOW},2026-04-01T12:{k:02}:00.123456789Z,{value},{field},{measurement},sensor,{entity}\r\n"
        for k, value in enumerate(values)
    ]
    return ANNOTATIONS.format(type=kind) + "".join(rows) + "\r\n"


def powers(folder: Path, text: str, form: FileFormat | None = None) -> list[float]:
    """Return the power of each minute, kW."""
    path = folder / "influx.csv"
    path.write_bytes(text.encode())
    found = list(read_recording(path, form or FileFormat()).minutes())
    assert found[0].minute == START_S // 60
    return [round(one.gap_kw, 6) for one in found]


@pytest.mark.parametrize("kind", ["string", "boolean", "duration", "base64Binary"])
def test_annotated_csv_of_one_series(tmp_path: Path, kind: str) -> None:
    """Home Assistant's integration names the measurement after the unit; a field with texts is not a series."""
    text = table("house_power", ["on", "on"], field="icon_str", kind=kind) + table("house_power", [250, 260.5, 270])
    assert powers(tmp_path, text) == [0.25, 0.2605, 0.27]
    source = read_recording(tmp_path / "influx.csv").report.source
    assert source == "influx.csv, W value domain=sensor entity_id=house_power (W), InfluxDB's annotated CSV"


def test_annotated_csv_of_several_series_is_selected_by_words(tmp_path: Path) -> None:
    text = table("house", [1, 2]) + table("plug", [3, 4]) + table("plug", [5, 6], field="mean_value")
    words: str | None
    for words in ("plug value", "entity_id=plug value", "W value domain=sensor entity_id=plug"):
        assert powers(tmp_path, text, FileFormat(entity=words)) == [0.003, 0.004]
    for words, error in (
        (None, "holds 3 series: choose one by --entity: W mean_value domain=sensor entity_id=plug, W value "),
        ("plug", "--entity 'plug' names 2 series: add a word that only one has"),
        ("garage", "has no --entity 'garage'"),
    ):
        with pytest.raises(SourceError, match=error):
            powers(tmp_path, text, FileFormat(entity=words))


def test_annotated_csv_without_annotations(tmp_path: Path) -> None:
    """The user interface offers such downloads; a blank line begins another table, with its header."""
    header = "result,table,_time,_value,_field,_measurement\n"
    rows = [f"mean,0,2026-04-01T12:0{k}:00Z,{value},power_kw,grid\n" for k, value in enumerate(["1.5", "", "2.5"])]
    text = header + "".join(rows[:1]) + "\n" + header + "".join(rows[1:])
    assert powers(tmp_path, text) == [1.5, 2.5]


def test_annotated_csv_without_values_names_the_column(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no column _value among .*: export without pivot"):
        powers(tmp_path, "#datatype,string\n,result,table,_time,house\n")
    with pytest.raises(SourceError, match="does not state whether mem m is in W or kW: use --unit"):
        powers(
            tmp_path,
            ANNOTATIONS.format(type="double").splitlines()[3] + f"\n,,0,{WINDOW},2026-04-01T12:00:00Z,1,m,mem,,",
        )
    with pytest.raises(SourceError, match="kWh value domain=sensor entity_id=e is in kWh: choose a power in W or kW"):
        powers(tmp_path, table("e", [1], measurement="kWh"))


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
def test_influxql_epochs_of_each_precision(tmp_path: Path, unit: int) -> None:
    rows = "".join(f"W,{(START_S + 60 * k) * unit},{100 + k}\n" for k in range(3))
    assert powers(tmp_path, "name,time,value\n" + rows) == [0.1, 0.101, 0.102]
    plain = "time,value\n" + rows.replace("W,", "")
    assert powers(tmp_path, plain, FileFormat(unit="W")) == [0.1, 0.101, 0.102]


def test_influxql_tags_select_a_series(tmp_path: Path) -> None:
    grouped = "".join(
        f'name,tags,time,mean\nW,"domain=sensor,entity_id={entity}",{START_S}000000000,{watts}\n'
        f'W,"domain=sensor,entity_id={entity}",{START_S + 60}000000000,\n\n'
        for entity, watts in (("house", 250), ("plug", 20))
    )
    assert powers(tmp_path, grouped, FileFormat(entity="plug")) == [0.02]
    every_column = f"name,time,domain,entity_id,value\nW,{START_S},sensor,house,250\nW,{START_S},sensor,plug,20\n"
    assert powers(tmp_path, every_column, FileFormat(entity="house")) == [0.25]
    with pytest.raises(SourceError, match="holds 2 series"):
        powers(tmp_path, every_column)


def test_influxql_row_of_another_field_leaves_the_value(tmp_path: Path) -> None:
    rows = f"W,{START_S},100,\nW,{START_S + 10},,230\nW,{START_S + 60},110,\nW,{START_S + 120},,231\n"
    assert powers(tmp_path, "name,time,power_w,voltage\n" + rows, FileFormat(entity="power_w")) == [0.1, 0.11]


def test_influxql_without_time_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="line 4: has no column time among 'name,value'"):
        powers(tmp_path, f"name,time,value\nW,{START_S},1\n\nname,value\n")


def test_options_of_exports_and_of_named_columns_do_not_mix() -> None:
    assert file_format({**OPTIONS, "unit": "W", "entity": "plug"}) == FileFormat(None, None, "W", UTC, "plug")
    with pytest.raises(SettingsError, match="--entity plug: is for exports, which need no --time-column"):
        file_format({**OPTIONS, "time_column": "t", "value_column": "v", "entity": "plug"})
    of_columns: list[FileOptions] = [{**OPTIONS, "separator": ";"}, {**OPTIONS, "time_format": ";"}]
    for options in of_columns:
        with pytest.raises(SettingsError, match="for another file name its columns by --time-column"):
            file_format(options)
    assert file_format({**OPTIONS, "time_column": "t", "value_column": "v", "hold_min": 5.0}).hold_min == 5


def test_entity_for_a_file_without_series_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not an export: UCI's format and Parquet"):
        powers(tmp_path, "Date;Time\n", FileFormat(entity="plug"))
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError, match="is not an export"):
        read_recording(tmp_path / "a.parquet", FileFormat(unit="W"))
