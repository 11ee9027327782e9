"""The ends of the parts that an experiment does not state: shares of the file, in whole days where that fits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.time_grid import DAY_MIN
from gapcast.recordings.formats import uci
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.data.split import minute_at
from gapcast_trainer.data.split_dates import ENDS, default_ends
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.experiments.experiment_files import find_experiment

FIRST = datetime(2025, 10, 1, 9, 30, tzinfo=UTC)


def days_of_readings(small: CleanFile, n_days: float, source: str = "meter.csv, column power_w (W)") -> CleanFile:
    """A clean file of ``n_days`` from :data:`FIRST` on."""
    series = Series(minute_at(FIRST), np.ones(round(n_days * DAY_MIN)))
    return replace(small, series=series, report=replace(small.report, source=source))


@given(st.integers(0, 40_000_000), st.integers(10, 2_000_000))
def test_default_ends_each_part_is_near_its_share(first_minute: int, n_minutes: int) -> None:
    found = default_ends(first_minute, first_minute + n_minutes)
    ends = [first_minute, *(minute_at(found[key]) for key in ENDS)]
    assert ends[-1] == first_minute + n_minutes
    lengths = [later - earlier for earlier, later in pairwise(ends)]
    assert min(lengths) >= 1
    for length, share in zip(lengths, (0.7, 0.15, 0.15), strict=True):
        assert abs(length - share * n_minutes) <= DAY_MIN
    has_days = all(end % DAY_MIN == 0 for end in ends[1:3])
    assert has_days or n_minutes < 8 * DAY_MIN


def test_with_dates_two_weeks_are_split_at_midnights(small: CleanFile) -> None:
    data = Experiment(name="mine", family="linear").with_dates(days_of_readings(small, 14)).data
    assert (data.train_until, data.validate_until) == (
        datetime(2025, 10, 11, tzinfo=UTC),
        datetime(2025, 10, 13, tzinfo=UTC),
    )
    assert data.test_until == FIRST + timedelta(days=14)


def test_with_dates_counts_shares_from_the_first_minute(small: CleanFile) -> None:
    experiment = Experiment(name="mine", family="linear").changed({"data.first": "2025-10-05"})
    data = experiment.with_dates(days_of_readings(small, 14)).data
    assert (data.train_until, data.validate_until) == (
        datetime(2025, 10, 12, tzinfo=UTC),
        datetime(2025, 10, 14, tzinfo=UTC),
    )


def test_with_dates_uses_shipped_dates_only_for_their_data(small: CleanFile) -> None:
    experiment = find_experiment("linear")
    assert experiment.with_dates(days_of_readings(small, 14, uci.SOURCE)).split() == experiment.split()
    mine = experiment.with_dates(days_of_readings(small, 14))
    assert mine.split() == Experiment(name="mine", family="linear").with_dates(days_of_readings(small, 14)).split()
    assert mine.changed({"data.every": 2}).with_dates(days_of_readings(small, 3)).split() == mine.split()
    partly = experiment.changed({"data.train_until": "2025-10-10"}).with_dates(days_of_readings(small, 14))
    assert partly.data.train_until == datetime(2025, 10, 10, tzinfo=UTC)
    assert partly.data.validate_until == mine.data.validate_until
    error = r"before data\.validate_until \(2025-10-13, default: 85 % of the file\)$"
    with pytest.raises(RunError, match=error):
        experiment.changed({"data.test_until": "2025-10-05"}).with_dates(days_of_readings(small, 14))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (
            {"data.validate_until": "2025-11-10"},
            "data.test_until (2025-10-15T09:30Z, default: the end of the file) is before "
            "data.validate_until (2025-11-10, --set)",
        ),
        (
            {"data.train_until": "2025-10-14"},
            "data.validate_until (2025-10-13, default: 85 % of the file) is before "
            "data.train_until (2025-10-14, --set)",
        ),
        (
            {"data.test_until": "2025-10-13"},
            "data.test_until (2025-10-13, --set) equals data.validate_until (2025-10-13, default: 85 % of the file)",
        ),
    ],
)
def test_with_dates_names_keys_values_and_origins(small: CleanFile, changes: dict[str, str], error: str) -> None:
    experiment = Experiment(name="mine", family="linear").changed(changes)
    with pytest.raises(RunError) as raised:
        experiment.with_dates(days_of_readings(small, 14))
    assert str(raised.value) == f"experiment mine: {error}"


def test_with_dates_first_minute_after_the_file_is_rejected(small: CleanFile) -> None:
    experiment = Experiment(name="mine", family="linear").changed({"data.first": "2025-10-15T09:30Z"})
    with pytest.raises(RunError) as raised:
        experiment.with_dates(days_of_readings(small, 14))
    end = "data.first (2025-10-15T09:30Z) must be before the end of the file (2025-10-15T09:30Z)"
    assert str(raised.value) == f"experiment mine: {end}"
    experiment.changed({"data.first": "2025-10-15T09:00Z"}).with_dates(days_of_readings(small, 14))


def test_with_dates_names_the_file_of_a_date(small: CleanFile, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('family = "linear"\n[data]\nvalidate_until = 2025-11-10\n')
    with pytest.raises(RunError) as raised:
        find_experiment(str(path)).with_dates(days_of_readings(small, 14))
    assert str(raised.value).endswith(f"is before data.validate_until (2025-11-10, {path})")
