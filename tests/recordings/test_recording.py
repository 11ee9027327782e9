"""One reader for all files of readings: local time, samples, duplicates, archives, and reports."""

from __future__ import annotations

import gzip
import os
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.core.errors import SettingsError, SourceError
from gapcast.core.readings.reading import Limits
from gapcast.recordings.recording import Minute, RecordingMinutes, minute_at, read_recording
from gapcast.recordings.text.layout import FileFormat, Layout
from gapcast.sample import sample_path
from tests.support.approximate import approx
from tests.support.disks import open_folder, unprivileged
from tests.support.uci_files import HEADER, rows, write_text

BERLIN = ZoneInfo("Europe/Berlin")
LOCAL = FileFormat(Layout("time", "power_w", "W", zone=BERLIN))
#: 2025-10-26T00:00Z: an hour before the clock goes back in Berlin, from 03:00 to 02:00.
AUTUMN_S = 1_761_436_800
#: 2026-03-29T00:00Z: an hour before the clock goes forward in Berlin, from 02:00 to 03:00.
SPRING_S = 1_774_742_400


def local_samples(path: Path, first_s: int, n: int, every_s: int = 10) -> Path:
    """Write watts every ten seconds, timed by a wall clock: 0 W, 1 W, 2 W ..."""
    lines = [f"{datetime.fromtimestamp(first_s + i * every_s, BERLIN):%Y-%m-%d %H:%M:%S},{i}" for i in range(n)]
    path.write_text("\n".join(["time,power_w", *lines, ""]), encoding="utf-8")
    return path


@pytest.mark.parametrize("first_s", [AUTUMN_S, SPRING_S])
def test_local_samples_across_a_clock_change_give_every_minute_once(tmp_path: Path, first_s: int) -> None:
    recording = read_recording(local_samples(tmp_path / "plug.csv", first_s, n=3 * 360), LOCAL)
    minutes = list(recording.minutes())
    assert [minute.minute for minute in minutes] == [first_s // 60 + i for i in range(180)]
    assert [minute.gap_kw for minute in minutes] == pytest.approx([(6 * i + 2.5) / 1_000 for i in range(180)])
    assert recording.report.n_missing == 0


def test_recording_states_what_was_understood(tmp_path: Path) -> None:
    path = local_samples(tmp_path / "plug.csv", AUTUMN_S, n=3 * 360)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    del lines[1 + 60 * 6 : 1 + 70 * 6]  # ten minutes
    lines.insert(10, lines[9])
    path.write_text("".join(lines), encoding="utf-8")
    text = "\n".join(read_recording(path, LOCAL).lines(BERLIN))
    for part in (
        "plug.csv: 1,021 rows, a sample every 10 s, averaged over each minute",
        "column power_w (W)",
        "each timestamp is a time without an offset, in Europe/Berlin",
        "180 minutes from 2025-10-26 02:00 to 2025-10-26 03:59 (Europe/Berlin)",
        "10 of them missing in 1 gap, the longest 10 min",
        "0.0025 to 1.077 kW, mean 0.5483 kW",
        "1 row has the time of the row before: ignored",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("every_s", "hold_min", "said"),
    [
        (60, None, ""),
        (110, None, ""),
        (120, None, "a value every 2 min, constant in between: scores are not representative"),
        (900, None, "a value every 15 min, constant in between: scores are not representative"),
        (900, 60, ""),
    ],
)
def test_recording_of_few_values_states_that_minutes_are_unknown(
    tmp_path: Path, every_s: int, hold_min: float | None, said: str
) -> None:
    path = local_samples(tmp_path / "portal.csv", AUTUMN_S, n=20, every_s=every_s)
    form = FileFormat(LOCAL.layout, hold_min=hold_min)
    text = "\n".join(read_recording(path, form).lines(BERLIN))
    assert ("constant in between" in text) == bool(said)
    assert said in text
    assert "ignored" not in text, "no row has the time of the one before"


@pytest.mark.parametrize(("column", "kw", "median"), [("w", 0.4, "0.0004"), ("kw", 0.4, ""), ("kw", 60, "60")])
def test_recording_in_a_wrong_unit_states_its_median(tmp_path: Path, column: str, kw: float, median: str) -> None:
    path = tmp_path / "house.csv"
    path.write_text(f"time,{column}\n" + "".join(f"{AUTUMN_S + 60 * k},{kw}\n" for k in range(20)), encoding="utf-8")
    text = "\n".join(read_recording(path, FileFormat(Layout("time", column))).lines(UTC))
    assert ("is the unit right? (--unit)" in text) == bool(median)
    assert not median or f"a median of {median} kW is unusual for a house" in text


def on_change(path: Path) -> Path:
    """Write two values a minute apart, then nothing for eight minutes, and so on."""
    lines = [f"{AUTUMN_S + 600 * i + later_s},{kw}" for i in range(20) for later_s, kw in ((0, 0.3), (60, 2.0))]
    path.write_text("\n".join(["time,power_kw", *lines, ""]), encoding="utf-8")
    return path


def test_recording_of_changes_states_the_option_for_them(tmp_path: Path) -> None:
    path = on_change(tmp_path / "plug.csv")
    recording = read_recording(path, FileFormat(Layout("time", "power_kw")))
    text = "\n".join(recording.lines(UTC))
    assert recording.report.n_missing == 19 * 8
    assert "most minutes are missing: if the meter writes only changes, set --hold MINUTES" in text
    assert "constant in between" not in text


def test_recording_of_rows_without_a_value_does_not_state_hold(tmp_path: Path) -> None:
    lines = [f"{AUTUMN_S + 60 * i},{'' if i % 3 else 0.5}" for i in range(2_000)]
    (tmp_path / "plug.csv").write_text("\n".join(["time,power_kw", *lines, ""]), encoding="utf-8")
    recording = read_recording(tmp_path / "plug.csv", FileFormat(Layout("time", "power_kw")))
    assert recording.remarks == ("most minutes are missing: 1,333 rows have no value",)


def test_recording_of_changes_at_longer_intervals_states_the_option(tmp_path: Path) -> None:
    """The most frequent interval is a minute, and the usual one, the median, is not."""
    ends_s = np.cumsum([0, *[60, 60, 60, 300, 600, 900, 1_200] * 10])
    lines = [f"{AUTUMN_S + end_s},{i % 2}" for i, end_s in enumerate(ends_s)]
    path = tmp_path / "plug.csv"
    path.write_text("\n".join(["time,power_kw", *lines, ""]), encoding="utf-8")
    text = "\n".join(read_recording(path, FileFormat(Layout("time", "power_kw"))).lines(UTC))
    assert "set --hold" in text
    assert "constant in between" not in text


def test_recording_without_option_hold_does_not_state_it(tmp_path: Path) -> None:
    recording = read_recording(write_text(tmp_path / "raw.txt", rows([1.0, *[float("nan")] * 9])))
    assert recording.report.is_mostly_missing
    assert "--hold" not in "\n".join(recording.lines(UTC))


def test_recording_of_changes_is_held_as_stated(tmp_path: Path) -> None:
    path = on_change(tmp_path / "plug.csv")
    recording = read_recording(path, FileFormat(Layout("time", "power_kw"), hold_min=60))
    assert recording.report.n_missing == 0
    assert recording.series.gap_kw[:11].tolist() == [0.3, *[2.0] * 9, 0.3]
    assert "most minutes" not in "\n".join(recording.lines(UTC))


def test_recording_begins_with_the_first_minute_that_has_a_mean(tmp_path: Path) -> None:
    recording = read_recording(local_samples(tmp_path / "plug.csv", AUTUMN_S + 40, n=8), LOCAL)
    assert list(recording.minutes()) == [Minute(AUTUMN_S // 60 + 1, approx(0.0045))]


@pytest.mark.parametrize("hold_min", [None, 60])
def test_recording_held_for_a_stated_time_has_no_filled_minute(tmp_path: Path, hold_min: float | None) -> None:
    """Without a stated time, a minute in which nothing was measured is filled and is not an outcome."""
    path = tmp_path / "plug.csv"
    lines = [f"{AUTUMN_S + second},{second}" for second in (*range(0, 600, 20), 640)]
    path.write_text("\n".join(["time,power_w", *lines, ""]), encoding="utf-8")
    minutes = list(read_recording(path, FileFormat(LOCAL.layout, hold_min=hold_min)).minutes())
    assert [one.is_filled for one in minutes] == [False] * 10 + [hold_min is None]


def test_local_times_read_by_another_clock_name_its_option(tmp_path: Path) -> None:
    path = local_samples(tmp_path / "plug.csv", AUTUMN_S, n=3 * 360)
    with pytest.raises(SourceError) as caught:
        read_recording(path, FileFormat(Layout("time", "power_w", "W", zone=UTC)))
    assert str(caught.value).endswith(
        "plug.csv, line 362: 2025-10-26T02:00:00Z is earlier than the row before it: rows must be in order of time, "
        "the oldest first; each timestamp is a time without an offset, in UTC: is that the meter's clock? (--timezone)"
    )


def test_local_times_a_day_back_name_the_order(tmp_path: Path) -> None:
    path = tmp_path / "joined.csv"
    days = ("2025-10-02", "2025-10-03", "2025-10-01")
    rows = [f"{day} 12:{minute:02d}:00,100" for day in days for minute in range(3)]
    path.write_text("\n".join(["time,power_w", *rows]) + "\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"line 8: .* the oldest first; sort them \(docs/data\.md"):
        read_recording(path, FileFormat(Layout("time", "power_w", "W", zone=UTC)))


def test_rows_newest_first_are_rejected_with_the_fix(tmp_path: Path) -> None:
    path = local_samples(tmp_path / "plug.csv", AUTUMN_S - 86_400, n=60)
    header, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(header + "".join(reversed(lines)), encoding="utf-8")
    with pytest.raises(SourceError, match=r"plug\.csv, line 3: the newest row is first: reverse the rows"):
        read_recording(path, LOCAL)


def test_unit_that_nothing_states_is_named_as_assumed(tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    path.write_text("t,power\n2025-01-01T00:00Z,1\n2025-01-01T00:01Z,2\n", encoding="utf-8")
    found = read_recording(path, FileFormat(Layout("t", "power", default_unit="kW")))
    assert "column power (kW, assumed: its name states no unit)" in found.report.source
    with pytest.raises(SourceError, match="does not state whether 'power' is in W or kW: use --unit"):
        read_recording(path, FileFormat(Layout("t", "power")))


def test_recording_begins_at_the_requested_minute(tmp_path: Path) -> None:
    recording = read_recording(write_text(tmp_path / "a.txt", rows([1.0, float("nan"), 3.0, 4.0])))
    first = recording.series.first_minute
    assert list(recording.minutes(first + 1)) == [Minute(first + 2, 3.0), Minute(first + 3, 4.0)]
    assert list(recording.minutes(first - 1)) == list(recording.minutes(first - 9)) == list(recording.minutes())
    assert list(recording.minutes(first + 4)) == []


def test_power_outside_the_limits_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.txt", rows([1.0, 12.0]))
    with pytest.raises(SourceError, match=r"a\.txt, line 3: 12 kW is outside -1 to 10 kW"):
        read_recording(path, limits=Limits(-1, 10))


@pytest.mark.parametrize(
    ("text", "minute"),
    [
        ("2025-10-26T01:00", AUTUMN_S // 60 - 60),
        ("2025-10-26T01:00Z", AUTUMN_S // 60 + 60),
        ("2025-10-26", AUTUMN_S // 60 - 120),
    ],
)
def test_option_without_offset_is_in_the_files_zone(text: str, minute: int) -> None:
    assert minute_at("--start", text, BERLIN) == minute
    assert minute_at("--start", "2025-10-26T00:00") == AUTUMN_S // 60
    with pytest.raises(SettingsError, match="--start '9999-12-31T23:59' is not from 2000 to 2099"):
        minute_at("--start", "9999-12-31T23:59", BERLIN)
    with pytest.raises(SettingsError, match="--start 'soon' is not a time like"):
        minute_at("--start", "soon", UTC)


def test_bundled_week_is_a_week() -> None:
    minutes = list(read_recording(sample_path()).minutes())
    assert len(minutes) == 10_079
    assert minutes[-1].minute - minutes[0].minute == 7 * 1_440 - 1


def test_endless_quoted_field_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text('time,power_w\n"' + "2006\n" * 100_000, encoding="utf-8")
    with pytest.raises(SourceError, match=r"bad\.csv, line \d+: field larger"):
        read_recording(path, LOCAL)


def test_damaged_gz_is_an_error(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress((HEADER + "\n" + "\n".join(rows([1.0] * 50))).encode()))
    packed[40:60] = b"\xff" * 20
    (tmp_path / "a.gz").write_bytes(packed)
    with pytest.raises(SourceError, match=r"a\.gz: cannot be read"):
        read_recording(tmp_path / "a.gz")


def test_stream_is_an_error_with_the_fix(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("-")):
        with pytest.raises(SourceError, match="is a stream, which cannot be read twice: save it to a file"):
            read_recording(path, LOCAL)


def test_file_in_a_folder_without_permission_is_named() -> None:
    with open_folder() as above:
        path = above / "house.csv"
        path.write_text("time,kw\n", encoding="utf-8")
        above.chmod(0o700)
        with unprivileged(), pytest.raises(SourceError, match=r"house\.csv: cannot be read \(Permission denied\)"):
            read_recording(path)


def test_encrypted_zip_is_an_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("a.txt", "x")
    packed = bytearray((tmp_path / "a.zip").read_bytes())
    packed[6] |= 1  # "encrypted", of the file
    packed[packed.index(b"PK\x01\x02") + 8] |= 1  # and of its entry in the directory
    (tmp_path / "a.zip").write_bytes(packed)
    with pytest.raises(SourceError, match=r"a\.zip: is a zip that cannot be opened .*encrypted"):
        read_recording(tmp_path / "a.zip")


def test_zip_with_an_unnamed_file_is_read_or_an_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr(zipfile.ZipInfo(""), HEADER + "\n" + "\n".join(rows([1.0])))
    assert len(list(read_recording(tmp_path / "a.zip").minutes())) == 1
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as made:
        made.writestr("b.txt", "x")
    with pytest.raises(SourceError, match=r"a\.zip: is a zip without one household_power_consumption\.txt"):
        read_recording(tmp_path / "a.zip")


def test_parquet_without_pyarrow_is_an_error_with_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError, match=r"a\.parquet: is Parquet, which needs pyarrow: pip install"):
        read_recording(tmp_path / "a.parquet")


def test_missing_file_and_damaged_parquet_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.csv: cannot be read \(No such file"):
        read_recording(tmp_path / "nowhere.csv")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(SourceError, match=r"a\.parquet: is Parquet of .*needs no --time-column"):
        read_recording(tmp_path / "a.parquet", LOCAL)


def test_minutes_of_a_house_one_by_one_and_as_columns() -> None:
    minutes = RecordingMinutes(np.arange(7), np.arange(7) / 2, np.arange(7) == 3)
    assert next(minutes) == Minute(0, 0.0)
    taken, gap_kw, is_filled = minutes.take(3)
    assert (taken.tolist(), gap_kw.tolist(), is_filled.tolist()) == ([1, 2, 3], [0.5, 1.0, 1.5], [False, False, True])
    assert len(minutes) == 3
    assert list(minutes.first(2)) == [Minute(4, 2.0), Minute(5, 2.5)]
    assert list(minutes.first(None)) == list(minutes)
    assert len(minutes) == 0
    assert [column.tolist() for column in minutes.take(2)] == [[], [], []]
