"""Examples in documents: the numbers that they show are those that the code computes, and no reason is left out."""

from __future__ import annotations

import csv
import gzip
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from gapcast import Forecaster
from gapcast.cli import main
from gapcast.core.billing.limit_changes import NO_DEMAND
from gapcast.mqtt.payloads import OWN_ECHO
from gapcast.sample import sample_path
from tests.support.optional_tools import ROOT

pytestmark = pytest.mark.once

#: Runtimes and machines differ by less: about a milliwatt (docs/models.md).
TOLERANCE_KW = 1e-4
#: The same in a back-test's table, which is rounded: kW or kW², and percent.
TABLE_TOLERANCE, PERCENT_TOLERANCE = 3e-4, 0.11
#: A row of a table of scores: the name, MSE and skill, MAE and skill.
ROW = re.compile(r"^ {2}(\S.*?) +(\d\.\d{4}) +([+-][\d.]+)% +(\d\.\d{4}) +([+-][\d.]+)%", re.MULTILINE)
WITHOUT_REFIT = ("--set", "learning.refit=false")
#: Reasons are the first argument; those of ``gapcast check`` alone are not published.
REASON = re.compile(r'\bPayloadError\(\s*"([a-z_]+)"')


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def rows_of(output: str) -> dict[str, list[float]]:
    return {name: [float(number) for number in numbers] for name, *numbers in ROW.findall(output)}


def test_forecast_of_the_readme_follows_from_its_readings() -> None:
    shown = next(
        block for block in re.findall(r"```json\n(.*?)```", text_of("README.md"), re.DOTALL) if "blend" in block
    )
    document = json.loads(re.sub(r", \.\.\.\}\s*$", "}", shown))
    house, forecast = Forecaster(), None
    for payload in re.findall(r"gap/home/reading -m '(\{.*?\})'", text_of("README.md")):
        reading = json.loads(payload)
        forecast = house.add(reading["gap_kw"], datetime.fromisoformat(reading["ts"]))
    assert forecast is not None
    computed = {**forecast.document(), "device": "home"}
    powers = {key: value for key, value in document.items() if key.endswith("_kw")}
    assert len(powers) == 4
    assert {key: computed[key] for key in document.keys() - powers} == {
        key: value for key, value in document.items() if key not in powers
    }
    assert {key: computed[key] for key in powers} == pytest.approx(powers, abs=TOLERANCE_KW)


def assert_scores_are_those_of(documented: dict[str, list[float]], printed: dict[str, list[float]]) -> None:
    assert documented
    assert list(printed) == list(documented)
    for name, (mse, mse_skill, mae, mae_skill) in documented.items():
        row = printed[name]
        assert row[::2] == pytest.approx([mse, mae], abs=TABLE_TOLERANCE), name
        assert row[1::2] == pytest.approx([mse_skill, mae_skill], abs=PERCENT_TOLERANCE), name


@pytest.mark.long
@pytest.mark.usefixtures("restored_logs")
def test_back_test_of_the_sample_prints_the_documented_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["backtest", *WITHOUT_REFIT, str(sample_path())], catch_exceptions=False)
    block = re.search(r"```text\n(uci-household-2010-week: .*?)```", text_of("docs/accuracy.md"), re.DOTALL)
    assert block
    assert_scores_are_those_of(rows_of(block[1]), rows_of(done.output))


@pytest.mark.long
@pytest.mark.usefixtures("restored_logs")
def test_import_of_the_sample_prints_the_documented_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with gzip.open(sample_path(), "rt") as sample, Path("history.csv").open("w", encoding="utf-8") as history:
        history.write("entity_id,state,last_changed\n")
        for row in csv.DictReader(sample, delimiter=";"):
            if row["Global_active_power"] != "?":
                day, month, year = map(int, row["Date"].split("/"))
                watts = float(row["Global_active_power"]) * 1_000
                history.write(f"sensor.grid_power,{watts:.0f},{year}-{month:02}-{day:02}T{row['Time']}.000Z\n")
    options = ["--device", "home", "--unit", "W", *WITHOUT_REFIT, "--set", "site.timezone=Europe/Paris"]
    done = CliRunner().invoke(
        main, ["import", "history.csv", *options, "--set", f"state.path={tmp_path / 'state'}"], catch_exceptions=False
    )
    block = re.search(r"```text\n(history\.csv: .*?)```", text_of("docs/import.md"), re.DOTALL)
    assert block
    before, scores = block[1].split("                           MSE", 1)
    assert before in done.output
    assert_scores_are_those_of(rows_of(scores), rows_of(done.output))


def test_page_lists_every_reason_of_a_rejection() -> None:
    folder = ROOT / "edge" / "gapcast"
    sources = [path for path in folder.rglob("*.py") if path.parent != folder / "check"]
    published = {reason for path in sources for reason in REASON.findall(path.read_text(encoding="utf-8"))}
    section = text_of("docs/mqtt.md").partition("\n## Rejected messages\n")[2].partition("\n## ")[0]
    table = section.partition("| reason | when |\n| --- | --- |\n")[2].partition("\n\n")[0]
    listed = {reason for row in table.splitlines() for reason in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    assert listed == published | {NO_DEMAND, OWN_ECHO}


def examples_on_the_pages() -> dict[str, Any]:
    """Return the forecast and the outlook of messages.md, and the demand of demand-messages.md."""
    text = text_of("docs/messages.md") + text_of("docs/demand-messages.md")
    blocks = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    found = [json.loads(block) for block in blocks if block.startswith('{"v": 1')]
    keys = {"forecast": "path", "outlook": "mean_to_kw", "demand": "so_far_kw"}
    return {name: next(each for each in found if key in each) for name, key in keys.items()}


def examples_of_asyncapi() -> dict[str, Any]:
    messages = yaml.safe_load(text_of("docs/asyncapi.yaml"))["components"]["messages"]
    return {name: message["examples"][0]["payload"] for name, message in messages.items() if "examples" in message}


@pytest.mark.parametrize("examples", [examples_on_the_pages(), examples_of_asyncapi()], ids=["pages", "asyncapi"])
def test_examples_of_one_reading_agree(examples: dict[str, Any]) -> None:
    """The rules of the pages hold in its examples: whoever writes a client checks it with them."""
    forecast, outlook, demand = examples["forecast"], examples["outlook"], examples["demand"]
    at = outlook["lead_min"].index(forecast["horizon_min"])
    for key in ("median_kw", "lower_kw", "upper_kw"):
        assert outlook[key][at] == forecast[key]
    assert outlook["mean_kw"][at] == forecast["gap_kw"]
    assert outlook["mean_to_kw"][at] == pytest.approx(sum(forecast["path"]) / len(forecast["path"]), abs=0.005)
    window_min, elapsed_min = 15, demand["elapsed_min"]
    left_min = window_min - elapsed_min
    for window, minutes in ((demand, left_min), (demand["next"], window_min)):
        room_kw = (window["limit_kw"] - window["upper_kw"]) * window_min / minutes
        assert window["headroom_w"] == int(round(room_kw * 1_000, 3))
    if "maxPower" in examples:
        rest_kw = (window_min * demand["expected_kw"] - elapsed_min * demand["so_far_kw"]) / left_min
        assert examples["headroom"] == demand["headroom_w"]
        assert examples["maxPower"] == pytest.approx(rest_kw * 1_000 + demand["headroom_w"], abs=1)
