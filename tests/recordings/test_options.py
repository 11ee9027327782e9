"""Options of commands that read a file of readings."""

from __future__ import annotations

import click
import pytest

from gapcast.recordings.options import HoldTime


def test_hold_time_is_a_number_of_minutes() -> None:
    assert [HoldTime().convert(value, None, None) for value in ("0.5", "1440", 527_040.0)] == [0.5, 1_440.0, 527_040.0]


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e300", "day"])
def test_hold_time_out_of_range_is_rejected(value: str) -> None:
    with pytest.raises(click.BadParameter, match=rf"'{value}' is not a number of minutes above 0 and up to 527,040"):
        HoldTime().convert(value, None, None)
