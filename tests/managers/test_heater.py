"""The rules of the recipes for a water heater, with the demands of the engine in a real house."""

from __future__ import annotations

import pytest

from tests.support.evcc_week import sample_week_kw
from tests.support.heater_week import as_compressor, as_heater, by_running_window, run_heater


@pytest.mark.long
def test_heater_at_a_low_limit_runs_by_the_running_window_only() -> None:
    """With 2.5 kW, a whole next window never has room for 2 kW; half a day and a night of the sample."""
    house_kw = sample_week_kw()[12 * 60 : 30 * 60]
    always, heater, compressor = (
        run_heater(house_kw, 2.5, 2.0, rule, 180) for rule in (by_running_window, as_heater, as_compressor)
    )
    assert compressor.runs_per_day == 0.0
    assert heater.kwh_per_day > 5.0
    assert heater.runs_per_day < always.runs_per_day
    assert max(heater.n_caused, always.n_caused) <= 1
