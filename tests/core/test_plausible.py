"""Which powers speak of a wrong unit."""

from __future__ import annotations

import pytest

from gapcast.core.meters.plausibility import plausibility_warning


@pytest.mark.parametrize("powers_kw", [[], [0.0], [0.05, 7.0], [-4.2, -3.9], [0.0, 0.0, 43.0], [19.9]])
def test_what_a_house_draws_or_feeds_in_is_in_order(powers_kw: list[float]) -> None:
    assert plausibility_warning(powers_kw) == ""


@pytest.mark.parametrize(
    ("powers_kw", "words"),
    [([80.0], "80 kW is high"), ([-64.0, -62.0], "63 kW is high"), ([0.0012, 0.0003], "0.00075 kW is very low")],
)
def test_a_thousand_times_too_much_or_too_little_is_doubted(powers_kw: list[float], words: str) -> None:
    assert plausibility_warning(powers_kw).startswith(words)
    assert "set unit" in plausibility_warning(powers_kw)
