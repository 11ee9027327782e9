"""A real EMHASS, by its command line: without Home Assistant, one load that it may move, and a price for the peak."""

from __future__ import annotations

import csv
import json
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.waiting import GUARD_S

STEP_MIN, LOAD_W, LOAD_HOURS = 15, 2_000, 1
#: Only what differs from EMHASS's defaults. One kWh costs the same at all times: the peak alone decides.
_CONFIGURATION = {
    "optimization_time_step": STEP_MIN,
    "set_use_pv": False,
    "load_forecast_method": "typical",
    "load_peak_hours_cost": 0.3,
    "load_offpeak_hours_cost": 0.3,
    "capacity_cost_per_kw": 50.0,
    "number_of_deferrable_loads": 1,
    "nominal_power_of_deferrable_loads": [LOAD_W],
    "minimum_power_of_deferrable_loads": [0],
    "operating_hours_of_each_deferrable_load": [LOAD_HOURS],
    "start_timesteps_of_each_deferrable_load": [0],
    "end_timesteps_of_each_deferrable_load": [0],
    "treat_deferrable_load_as_semi_cont": [True],
    "set_deferrable_load_single_constant": [True],
}
#: EMHASS's word for: there is no Home Assistant.
_SECRETS = """\
hass_url: empty
long_lived_token: empty
time_zone: UTC
Latitude: 51.0
Longitude: 4.0
Altitude: 10.0
"""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of EMHASS's plan, W."""

    start: datetime
    load_w: float
    deferrable_w: float
    grid_w: float
    status: str


class Emhass:
    """EMHASS's command, with its files in ``folder``."""

    def __init__(self, command: str, folder: Path) -> None:
        (folder / "data").mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(_CONFIGURATION), encoding="utf-8")
        (folder / "secrets.yaml").write_text(_SECRETS, encoding="utf-8")
        self._command, self._folder = command, folder

    def plan(self, parameters: dict[str, Any]) -> list[PlannedStep]:
        """Return the plan of its model predictive control with the given runtime parameters."""
        ended = subprocess.run(
            [self._command, "--action", "naive-mpc-optim", "--config", "config.json", "--data", "data",
             "--secrets", "secrets.yaml", "--runtimeparams", json.dumps(parameters)],
            cwd=self._folder, capture_output=True, text=True, timeout=GUARD_S, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr[-4_000:]
        with (self._folder / "data" / "opt_res_latest.csv").open(encoding="utf-8", newline="") as file:
            return [
                PlannedStep(
                    datetime.fromisoformat(row["timestamp"]),
                    float(row["P_Load"]),
                    float(row["P_deferrable0"]),
                    float(row["P_grid"]),
                    row["optim_status"],
                )
                for row in csv.DictReader(file)
            ]
