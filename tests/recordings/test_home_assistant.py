"""Exports of Home Assistant: the history page's download, and statistics."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gapcast.core.errors import SourceError
from gapcast.recordings.recording import read_recording
from gapcast.recordings.text.layout import FileFormat

HEADER = "entity_id,state,last_changed"
WATTS = FileFormat(unit="W")
START = datetime(2026, 4, 1, 12, tzinfo=UTC)


def stamp(seconds: float) -> str:
    """Return a time in the format of the page's ``Date.toISOString``."""
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def written(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "history.csv"
    path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    return path


def state(seconds: float, watts: object, entity: str = "sensor.house_power") -> str:
    return f"{entity},{watts},{stamp(seconds)}"


def powers(path: Path, form: FileFormat = WATTS) -> dict[int, float]:
    """Return power, W, by minutes after the start, rounded."""
    first = int(START.timestamp()) // 60
    return {minute - first: round(1_000 * kw, 3) for minute, kw, _ in read_recording(path, form).minutes()}


def test_history_state_holds_until_the_next_row(tmp_path: Path) -> None:
    path = written(tmp_path, state(0.25, 100), state(15.25, 300), state(600.25, 900), state(640, 0))
    found = powers(path)
    assert found[0] == pytest.approx((100 * 15 + 300 * 44.75) / 59.75, abs=0.01)
    assert [found[k] for k in range(1, 10)] == [300] * 9
    assert found[10] == pytest.approx((0.25 * 300 + 39.75 * 900) / 60, abs=0.01)


@pytest.mark.parametrize("missing", ["unavailable", "unknown", ""])
def test_history_missing_state_ends_the_one_before(tmp_path: Path, missing: str) -> None:
    path = written(tmp_path, state(0, 100), state(120, missing), state(300, 200), state(420, 50))
    assert powers(path) == {0: 100, 1: 100, 5: 200, 6: 200, 7: 50, 8: 50}, "the last state holds the usual interval"


def test_history_hold_option_limits_a_state(tmp_path: Path) -> None:
    path = written(tmp_path, *(state(10 * k, 100) for k in range(30)), state(1_200, 200), state(1_260, 200))
    assert set(powers(path, FileFormat(unit="W", hold_min=2))) == {*range(5), 20}
    assert set(powers(path)) == {*range(21)}


def test_history_state_holds_for_a_day_at_most(tmp_path: Path) -> None:
    """A longer gap means that the gateway was off: the state before it holds for the usual interval, a minute."""
    hour_s = 3_600
    path = written(tmp_path, *(state(60 * k, 100) for k in range(5)), state(20 * hour_s, 200), state(45 * hour_s, 50))
    assert powers(path) == {**dict.fromkeys(range(1_200), 100), 1_200: 200, 2_700: 50}
    assert not any(one.is_filled for one in read_recording(path, WATTS).minutes())


def test_history_with_several_entities_lists_them(tmp_path: Path) -> None:
    """Rows of climate entities have more fields than others, and other entities have texts."""
    lines = [
        *(state(60 * k, "heat", "climate.hall") + ",21.5,heating" for k in range(3)),
        *(state(60 * k, 200 + k) for k in range(3)),
        *(state(60 * k, "on", "light.desk") for k in range(3)),
    ]
    path = written(tmp_path, *lines, header=f"{HEADER},current_temperature,hvac_action")
    with pytest.raises(SourceError, match=r"3 series: choose one by --entity: climate\.hall, light\.desk, sensor\.hou"):
        read_recording(path, WATTS)
    assert powers(path, FileFormat(unit="W", entity="sensor.house_power")) == {0: 200, 1: 201, 2: 202}
    with pytest.raises(SourceError, match=r"has no --entity 'sensor\.home'; it holds: climate\.hall"):
        read_recording(path, FileFormat(unit="W", entity="sensor.home"))
    with pytest.raises(SourceError, match=r"line 8: light\.desk is 'on', not a number"):
        read_recording(path, FileFormat(unit="W", entity="light.desk"))


def test_history_unit_must_be_stated(tmp_path: Path) -> None:
    path = written(tmp_path, state(0, 1.5), state(60, 1.5))
    with pytest.raises(SourceError, match=r"does not state whether sensor\.house_power is in W or kW: use --unit"):
        read_recording(path)
    assert powers(path, FileFormat(unit="kW"))[0] == 1_500
    named = written(tmp_path, state(0, 1.5, "sensor.house_power_kw"), state(60, 1.5, "sensor.house_power_kw"))
    assert powers(named, FileFormat())[0] == 1_500


@pytest.mark.parametrize("form", [WATTS, FileFormat()])
def test_history_of_an_energy_counter_is_refused(tmp_path: Path, form: FileFormat) -> None:
    energy = [state(60 * k, 0.01 * (k % 200), "sensor.grid_energy") for k in range(300)]
    energy[7] = state(60 * 7, "unavailable", "sensor.grid_energy")
    words = r"sensor\.grid_energy only rises, like an energy counter: choose a sensor of power"
    with pytest.raises(SourceError, match=words):
        read_recording(written(tmp_path, *energy), form)


@pytest.mark.parametrize("watts", [range(100), [*range(150), 100, *range(101, 150)], [*range(15)] * 20])
def test_history_of_a_power_that_rises_is_read(tmp_path: Path, watts: list[int]) -> None:
    assert powers(written(tmp_path, *(state(60 * k, one) for k, one in enumerate(watts))))


def test_history_leaves_out_the_hourly_means_before_the_states(tmp_path: Path) -> None:
    means = [state(3_600 * k, 250) for k in range(-40, 0)]
    recording = read_recording(written(tmp_path, *means, state(7.5, 100), state(65, 200), state(190, 300)), WATTS)
    assert recording.report.first == "2026-04-01T12:00:00Z"
    assert "skipped 40 hourly means before 2026-04-01T12:00:07.500Z (too coarse" in "\n".join(recording.lines(UTC))


def test_history_leaves_out_a_single_hourly_mean(tmp_path: Path) -> None:
    """States have the milliseconds of their change; a mean is at the full hour."""
    path = written(tmp_path, state(0, 2_000), state(1_800.123, 300), state(1_860.456, 310))
    recording = read_recording(path, WATTS)
    assert recording.report.first == "2026-04-01T12:30:00Z"
    left_out = "skipped 1 hourly mean before 2026-04-01T12:30:00.123Z (too coarse"
    assert left_out in "\n".join(recording.lines(UTC))


def test_history_keeps_the_state_at_the_beginning_of_its_period(tmp_path: Path) -> None:
    """It counts until the first change, hours later; an hourly mean would be followed by that of the next hour."""
    path = written(tmp_path, state(0, 300), state(2 * 3_600 + 0.123, 310), state(2 * 3_600 + 60.456, 320))
    recording = read_recording(path, WATTS)
    assert recording.report.first == "2026-04-01T12:00:00Z"
    assert not recording.remarks


def test_history_of_hourly_means_alone_is_too_coarse(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="an hourly mean is too coarse to learn five-minute forecasts; export the"):
        read_recording(written(tmp_path, *(state(3_600 * k, 250) for k in range(40))), WATTS)


def test_history_from_the_recorder_database_has_epoch_times(tmp_path: Path) -> None:
    path = written(tmp_path, *(f"sensor.p_w,{100 + k},{START.timestamp() + 60 * k:.4f}" for k in range(3)))
    assert powers(path, FileFormat()) == {0: 100, 1: 101, 2: 102}


def test_short_term_statistics_are_read_with_a_remark(tmp_path: Path) -> None:
    lines = [f"sensor.p,W,{START.timestamp() + 300 * k},{100 * k}" for k in range(4)]
    path = written(tmp_path, *lines, header="statistic_id,unit,start,mean")
    recording = read_recording(path)
    assert powers(path, FileFormat()) == {k: 100 * (k // 5) for k in range(20)}
    assert "means of five minutes hide what happens within them" in "\n".join(recording.lines(UTC))


def test_long_term_statistics_are_too_coarse(tmp_path: Path) -> None:
    local = [f"sensor.p\tW\t{START + timedelta(hours=k):%d.%m.%Y %H:%M}\t{k}" for k in range(4)]
    path = written(tmp_path, *local, header="statistic_id\tunit\tstart\tmean")
    with pytest.raises(SourceError, match=r"holds means of 60 min \(long-term statistics\): each is too coarse"):
        read_recording(path, FileFormat(zone=ZoneInfo("Europe/Berlin")))


def test_statistics_of_an_energy_are_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, f"sensor.e,kWh,{START.timestamp()},1", header="statistic_id,unit,start,mean")
    with pytest.raises(SourceError, match=r"sensor\.e is in kWh: choose a power in W or kW"):
        read_recording(path)


def test_export_without_values_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds a header and no values"):
        read_recording(written(tmp_path), WATTS)
    with pytest.raises(SourceError, match="line 2: has no last_changed"):
        read_recording(written(tmp_path, "sensor.p_w,1"))
    assert math.isclose(powers(written(tmp_path, "", state(0, 60), "", state(60, 60)))[0], 60)
