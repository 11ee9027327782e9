"""The rule for a charger of variable power, with the demands of the engine in a real house."""

from __future__ import annotations

import pytest

from tests.support.charger_week import run_charger
from tests.support.evcc_week import sample_week_kw


@pytest.mark.long
def test_charger_by_both_headrooms_causes_no_exceedance() -> None:
    """Half a day and a night of the sample. Announced, the power has no reserve for the next minutes."""
    house_kw = sample_week_kw()[12 * 60 : 30 * 60]
    by_both = run_charger(house_kw, 4.0, with_next=True, is_announced=False, begins_min=180)
    announced = run_charger(house_kw, 4.0, with_next=False, is_announced=True, begins_min=180)
    assert by_both.n_caused == 0
    assert by_both.kwh_per_day > 20
    assert announced.n_caused > 0
    assert announced.kwh_per_day > by_both.kwh_per_day
