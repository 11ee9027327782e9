"""Powers that suggest a wrong unit."""

from __future__ import annotations

import pytest

from gapcast.core.meters.plausibility import plausibility_warning


@pytest.mark.parametrize("powers_kw", [[], [0.0], [0.05, 7.0], [-4.2, -3.9], [0.0, 0.0, 43.0], [19.9]])
def test_plausibility_accepts_household_power(powers_kw: list[float]) -> None:
    assert plausibility_warning(powers_kw) == ""


def test_plausibility_accepts_little_power_of_a_single_load() -> None:
    assert plausibility_warning([0.0012, 0.0003], is_house=False) == ""
    assert plausibility_warning([80.0], is_house=False).startswith("80 kW is high")


@pytest.mark.parametrize(
    ("powers_kw", "words"),
    [([80.0], "80 kW is high"), ([-64.0, -62.0], "63 kW is high"), ([0.0012, 0.0003], "0.00075 kW is very low")],
)
def test_plausibility_doubts_a_factor_of_a_thousand(powers_kw: list[float], words: str) -> None:
    assert plausibility_warning(powers_kw).startswith(words)
    fix = plausibility_warning(powers_kw).partition(": ")[2]
    assert fix.startswith("check that this is the right channel or field; if the meter sends ")
    assert "set unit = " in fix
    assert "1000" not in fix, "no setting scales a power"
