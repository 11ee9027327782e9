"""Quarter-hours turned into the means of spans that begin at any minute."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast_trainer.families.outlook_parts.alignment import span_weights


@pytest.mark.parametrize("phase", [0, 1, 7, 14])
def test_span_weights_equal_the_mean_of_constant_quarters(phase: int) -> None:
    """If power is constant within quarters, the estimate is exact."""
    quarters = np.array([1.0, 3.0, 2.0, 7.0, 5.0, 4.0])
    minutes = np.repeat(quarters, 15)[phase:]
    spans = [(0, 5), (0, 60), (22, 37)]
    found = quarters @ span_weights(spans, 6)[phase]
    assert found == pytest.approx([minutes[first:until].mean() for first, until in spans], abs=1e-6)


def test_span_weights_outside_of_the_quarters_are_rejected() -> None:
    with pytest.raises(ValueError, match="leave the 2 quarters"):
        span_weights([(0, 30)], 2)
