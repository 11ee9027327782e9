"""deploy/emhass/gapcast_load.py: the minutes over which a step is the mean, and when it prints nothing."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gapcast.core.time_grid import minute_label
from tests.support.deployed import EMHASS_LOAD, script_module
from tests.support.http_servers import QuietHandler, serving

LOAD = script_module(EMHASS_LOAD)
#: 2026-01-02T18:07Z, the newest reading: seven minutes of its quarter are over, eight are ahead.
OBSERVED = 29_456_287
OUTLOOK: dict[str, Any] = {
    "observed_at": minute_label(OBSERVED),
    "lead_min": [1, 5, 15, 60],
    "mean_to_kw": [1.0, 2.0, 4.0, 1.5],
}


def readings(first: int, last: int, power_kw: float) -> list[dict[str, Any]]:
    return [{"ts": minute_label(minute), "gap_kw": power_kw} for minute in range(first, last + 1)]


def steps(found: dict[str, float]) -> list[float]:
    return list(found.values())


def test_outlook_minutes_keep_the_energy_of_each_lead_time() -> None:
    minutes = LOAD.outlook_minutes(OUTLOOK)
    assert list(minutes) == list(range(OBSERVED + 1, OBSERVED + 61))
    for lead, mean_to_kw in zip(OUTLOOK["lead_min"], OUTLOOK["mean_to_kw"], strict=True):
        assert sum(list(minutes.values())[:lead]) == pytest.approx(lead * mean_to_kw)


def test_first_step_begins_with_its_measured_minutes() -> None:
    found = LOAD.load_forecast(OUTLOOK, readings(OBSERVED - 7, OBSERVED, 0.3), 15, 2)
    ahead = list(LOAD.outlook_minutes(OUTLOOK).values())
    assert list(found) == ["2026-01-02T18:00:00+00:00", "2026-01-02T18:15:00+00:00"]
    assert steps(found) == pytest.approx(
        [1000 * (8 * 0.3 + sum(ahead[:7])) / 15, 1000 * sum(ahead[7:22]) / 15], abs=0.1
    )


def test_first_step_begins_with_the_next_minute_at_its_border() -> None:
    at_the_border = OUTLOOK | {"observed_at": minute_label(OBSERVED + 7)}
    found = LOAD.load_forecast(at_the_border, [], 15, 4)
    assert next(iter(found)) == "2026-01-02T18:15:00+00:00"
    assert sum(steps(found)) == pytest.approx(4 * 1_500, abs=0.5)  # the hour of the outlook, whole


@pytest.mark.parametrize(("step_min", "first"), [(60, "17:30"), (30, "18:00"), (20, "17:50")])
def test_steps_begin_at_full_steps_of_the_local_time(step_min: int, first: str) -> None:
    """In Adelaide, UTC+10:30, an hour of EMHASS begins at half past by UTC."""
    found = LOAD.load_forecast(OUTLOOK, [], step_min, 2, 630)
    assert next(iter(found)) == f"2026-01-02T{first}:00+00:00"


def test_parameters_use_the_time_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "ACDT-10:30")
    time.tzset()
    try:
        found = parameters(OBSERVED, "--step", "60", "--hours", "2")["load_power_forecast"]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert list(found)[:2] == ["2026-01-02T17:30:00+00:00", "2026-01-02T18:30:00+00:00"]


def test_later_steps_repeat_yesterday_and_the_day_before() -> None:
    yesterday = readings(OBSERVED - 1_439, OBSERVED - 720, 0.5) + readings(OBSERVED - 719, OBSERVED, 0.9)
    found = steps(LOAD.load_forecast(OUTLOOK, yesterday, 30, 96))
    assert found[3] == 500  # 19:30, by yesterday's
    assert found[30] == 900  # 09:00
    assert found[48 + 3] == 500  # the day after
    assert len(found) == 96


def test_step_without_a_known_minute_gets_the_mean_of_the_history() -> None:
    few = readings(OBSERVED - 10, OBSERVED, 0.7)
    assert LOAD.load_forecast(OUTLOOK, few, 15, 20)["2026-01-02T20:00:00+00:00"] == 700


def test_step_without_a_history_gets_the_mean_of_the_outlook() -> None:
    assert steps(LOAD.load_forecast(OUTLOOK, [], 60, 3))[2] == 1_500


class StoredAnswers:
    """A gateway that answers with given documents by the beginning of their path."""

    def __init__(self, **documents: Any) -> None:
        self.documents = documents

    def get(self, path: str) -> Any:
        return self.documents[path.lstrip("/").partition("?")[0].partition("/")[0]]


def parameters(now_min: int, *arguments: str, **documents: Any) -> dict[str, Any]:
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=now_min)
    gateway = StoredAnswers(outlook=OUTLOOK, devices={"readings": []}, **documents)
    found: dict[str, Any] = LOAD.parameters(gateway, LOAD.options_of(arguments), now)
    return found


def test_parameters_have_the_horizon_and_what_is_merged() -> None:
    found = parameters(OBSERVED + 2, "--step", "15", "--hours", "6", "--merge", '{"soc_init": 0.5}')
    assert (found["prediction_horizon"], found["soc_init"]) == (24, 0.5)
    assert "current_period_peak" not in found


@pytest.mark.parametrize("step_min", [5, 15, 60])
@pytest.mark.parametrize("age_min", [1, 5])
def test_parameters_have_each_step_however_the_present_is_rounded(step_min: int, age_min: int) -> None:
    """EMHASS rounds it to the step before, to the next one or to the nearest one (``method_ts_round``)."""
    now_min = OBSERVED + age_min
    found = parameters(now_min, "--step", str(step_min), "--hours", "2")
    for first in (now_min // step_min * step_min, -(-now_min // step_min) * step_min):
        planned = range(first, first + 120, step_min)
        assert len(planned) == found["prediction_horizon"]
        starts = {datetime.fromtimestamp(minute * 60, UTC).isoformat() for minute in planned}
        assert starts <= found["load_power_forecast"].keys()


def demand_of(month_peak_kw: float | None, limit_kw: float | None, limit_source: str) -> dict[str, Any]:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=OBSERVED)
    limit = {"limit_kw": limit_kw, "limit_source": limit_source}
    return {"observed_at": at.isoformat(), "month_peak_kw": month_peak_kw, **limit}


@pytest.mark.parametrize(
    ("demand", "peak_w"),
    [
        (demand_of(2.61, 2.61, "month_peak"), 2_610),
        (demand_of(0.8, 2.5, "month_peak"), 2_500),  # floor_kw: less is not billed
        (demand_of(None, 2.5, "month_peak"), 2_500),
        (demand_of(2.61, 2.0, "set"), 2_610),
        (demand_of(2.61, 4.0, "fixed"), 2_610),
        (demand_of(2.61, None, "none"), 2_610),
        (demand_of(-0.4, 4.0, "fixed"), 0),  # the house exports
    ],
)
def test_parameters_have_the_billed_peak_on_request(demand: dict[str, Any], peak_w: float) -> None:
    assert parameters(OBSERVED, "--peak", demand=demand)["current_period_peak"] == peak_w


def test_parameters_without_a_peak_have_none() -> None:
    assert "current_period_peak" not in parameters(OBSERVED, "--peak", demand=demand_of(None, 4.0, "fixed"))


def test_parameters_have_the_peak_of_the_billed_meter() -> None:
    """The forecast's device lacks the loads that EMHASS plans; the billed peak contains them."""
    asked: list[str] = []

    class AskedGateway(StoredAnswers):
        def get(self, path: str) -> Any:
            asked.append(path)
            return super().get(path)

    gateway = AskedGateway(outlook=OUTLOOK, devices={"readings": []}, demand=demand_of(4.2, 4.2, "month_peak"))
    options = LOAD.options_of(["--device", "base", "--peak", "meter 1"])
    found = LOAD.parameters(gateway, options, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=OBSERVED))
    assert asked[0] == "/outlook?device=base"
    assert asked[-1] == "/demand?device=meter%201"
    assert found["current_period_peak"] == 4_200


def test_parameters_of_an_old_reading_are_refused() -> None:
    assert parameters(OBSERVED + 5)
    with pytest.raises(LOAD.NoForecastError, match="6 minutes old"):
        parameters(OBSERVED + 6)


def test_peak_of_an_old_reading_is_refused() -> None:
    """The meter stopped last month: its peak is not this month's."""
    demand = demand_of(6.1, 6.1, "month_peak")
    demand["observed_at"] = "2026-01-28T20:00:00Z"
    outlook = {**OUTLOOK, "observed_at": "2026-02-01T10:00:00Z"}
    gateway = StoredAnswers(outlook=outlook, devices={"readings": []}, demand=demand)
    options = LOAD.options_of(["--device", "base", "--peak", "home"])
    with pytest.raises(LOAD.NoForecastError, match="demand of home: the newest reading is 5160 minutes old"):
        LOAD.parameters(gateway, options, datetime(2026, 2, 1, 10, 0, tzinfo=UTC))
    demand["observed_at"] = "2026-02-01T09:55:00Z"
    assert LOAD.parameters(gateway, options, datetime(2026, 2, 1, 10, 0, tzinfo=UTC))["current_period_peak"] == 6_100


@pytest.mark.parametrize("address", ["ftp://gateway", "http://127.0.0.1:1"])
def test_main_without_a_gateway_prints_nothing(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert LOAD.main(["--gapcast", address]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert address in err


def test_main_prints_the_problem_of_the_gateway(capsys: pytest.CaptureFixture[str]) -> None:
    class UnknownDevice(QuietHandler):
        def answer_get(self) -> None:
            self.respond(b'{"status":404,"detail":"device \'base\' is unknown"}', 404)

    with serving(UnknownDevice) as url:
        assert LOAD.main(["--gapcast", url, "--device", "base"]) == 1
    out, err = capsys.readouterr()
    assert (out, "device 'base' is unknown" in err) == ("", True), err


def test_main_without_its_token_file_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert LOAD.main(["--token-file", "/does/not/exist"]) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("text", ["soc_init=0.5", "[1]", "{"])
def test_merge_accepts_only_a_json_object(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads('{"a": 1}') == LOAD.options_of(["--merge", '{"a": 1}']).merge
    with pytest.raises(SystemExit):
        LOAD.options_of(["--merge", text])
    assert f"--merge: {text!r} is not a JSON object, such as" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "day"])
def test_hours_are_one_or_more(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert LOAD.options_of(["--hours", "1"]).hours == 1
    with pytest.raises(SystemExit):
        LOAD.options_of(["--hours", text])
    assert f"--hours: {text!r} is not a whole number of hours, 1 or more" in capsys.readouterr().err
