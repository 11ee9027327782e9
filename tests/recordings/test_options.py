"""Options of commands that read a file of readings."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from gapcast.commands.backtest import backtest
from gapcast.recordings.options import HoldTime, Separator


def test_hold_time_is_a_number_of_minutes() -> None:
    assert [HoldTime().convert(value, None, None) for value in ("0.5", "1440", 527_040.0)] == [0.5, 1_440.0, 527_040.0]


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e300", "day"])
def test_hold_time_out_of_range_is_rejected(value: str) -> None:
    with pytest.raises(click.BadParameter, match=rf"'{value}' is not a number of minutes above 0 and up to 527,040"):
        HoldTime().convert(value, None, None)


def test_separator_is_a_character_or_the_word_tab() -> None:
    assert [Separator().convert(value, None, None) for value in (";", "tab", "\\t", "\t")] == [";", "\t", "\t", "\t"]


@pytest.mark.parametrize("value", ["", ";;", '"', "\n", "\r"])
def test_separator_that_no_file_can_have_is_rejected(value: str) -> None:
    with pytest.raises(click.BadParameter, match="is neither one character nor the word tab"):
        Separator().convert(value, None, None)


def test_value_column_named_twice_is_rejected() -> None:
    """Otherwise the last one would count, such as one phase of three."""
    done = CliRunner().invoke(backtest, ["a.csv", "--time-column", "t", "--value-column", "L1", "--value-column", "L2"])
    assert done.exit_code == 2
    assert "'--value-column': is one column, not 'L1' and 'L2': compute the house's power first" in done.output
