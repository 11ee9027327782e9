"""EMHASS plans with the load forecast of a running gapcast.

Skipped without EMHASS: scripts/try-emhass installs it and runs this file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.brokers import MosquittoBroker
from tests.support.deployed import EMHASS_LOAD
from tests.support.emhass import LOAD_HOURS, LOAD_W, STEP_MIN, Emhass
from tests.support.gateways import Gateway, gateway_settings, running
from tests.support.optional_tools import emhass_command
from tests.support.peers import peer_of
from tests.support.waiting import GUARD_S

pytestmark = [pytest.mark.emhass, pytest.mark.mosquitto]
DAY_MIN, HORIZON_H = 1_440, 12
#: The house is cooking now; a day ago, from an hour after this time, it drew more than at any other time.
USUAL_KW, COOKING_KW, YESTERDAY_KW = 0.4, 3.0, 4.0
COOKING_MIN = 20
#: Yesterday's hours of high power: minutes after this time of the day.
HIGH_MIN = range(180, 300)


def power_kw(minutes_ago: int) -> float:
    """Return the power of the house this many minutes before its newest reading."""
    if minutes_ago < COOKING_MIN:
        return COOKING_KW
    return YESTERDAY_KW if DAY_MIN - minutes_ago in HIGH_MIN else USUAL_KW


@pytest.fixture
def gateway(mosquitto: MosquittoBroker, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with the last 24 hours of a house, up to the last full minute."""
    demand = {"limit_kw": "month_peak"}
    with (
        running(gateway_settings(mosquitto.port, tmp_path / "state", demand=demand)) as started,
        peer_of(mosquitto.host, mosquitto.port) as meter,
    ):
        newest = int(time.time()) // 60 - 1
        for minutes_ago in range(DAY_MIN - 1, -1, -1):
            document = {"ts": (newest - minutes_ago) * 60, "gap_kw": power_kw(minutes_ago)}
            meter.publish("gap/home/reading", json.dumps(document))
        started.wait_taken(DAY_MIN)
        yield started


def printed_parameters(gateway: Gateway) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, EMHASS_LOAD, "--gapcast", gateway.url, "--step", str(STEP_MIN), "--hours", str(HORIZON_H),
         "--max-age", "60", "--peak"],
        capture_output=True, text=True, timeout=GUARD_S, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    printed: dict[str, Any] = json.loads(ended.stdout)
    return printed


def test_emhass_plans_with_the_forecast_of_gapcast(gateway: Gateway, tmp_path: Path) -> None:
    """Each step of the plan has gapcast's forecast load, and EMHASS puts its own load where the house draws little."""
    command = emhass_command()
    assert command is not None
    parameters = printed_parameters(gateway)
    plan = Emhass(command, tmp_path / "emhass").plan(parameters)
    assert {step.status for step in plan} == {"Optimal"}
    assert parameters["current_period_peak"] > 0

    forecast_w = {datetime.fromisoformat(start): watts for start, watts in parameters["load_power_forecast"].items()}
    assert {step.start for step in plan} <= forecast_w.keys(), "however EMHASS rounds the present"
    assert [step.load_w for step in plan] == pytest.approx([forecast_w[step.start] for step in plan])

    planned = [step for step in plan if step.deferrable_w > 0]
    assert len(planned) == LOAD_HOURS * 60 // STEP_MIN
    highest_w = max(step.grid_w for step in plan)
    assert highest_w == pytest.approx(max(step.load_w for step in plan))  # nothing was added to the highest step
    assert all(step.load_w + LOAD_W <= highest_w + 1 for step in planned)
