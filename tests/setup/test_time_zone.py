"""Time zones: the machine's, invalid names, and suggestions."""

from __future__ import annotations

import re
from pathlib import Path
from zoneinfo import available_timezones

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.config.loader import load
from gapcast.core.errors import SettingsError
from gapcast.recordings.options import Zone
from gapcast.setup.time_zone import system_time_zone
from gapcast.text.time_zone_names import similar_time_zones, time_zone_problem, zone_of


def test_system_time_zone_is_found(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    assert system_time_zone({}, tmp_path) == "UTC"
    (tmp_path / "etc/timezone").write_text("Europe/Lisbon\n", encoding="utf-8")
    assert system_time_zone({"TZ": "nonsense"}, tmp_path) == "Europe/Lisbon"
    assert system_time_zone({"TZ": "Etc/UTC"}, tmp_path) == "UTC"
    (tmp_path / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Vienna")
    assert system_time_zone({}, tmp_path) == "Europe/Vienna"


@pytest.mark.parametrize(
    ("entered", "suggested"),
    [
        ("Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/Belrin", "Europe/Berlin"),
        ("Vienna", "Europe/Vienna"),
        ("new york", "America/New_York"),
        ("Zürich", "Europe/Zurich"),
    ],
)
def test_time_zone_problem_suggests_what_was_meant(entered: str, suggested: str) -> None:
    assert similar_time_zones(entered)[0] == suggested
    problem = time_zone_problem(entered)
    assert problem is not None
    assert problem.startswith(f'there is no time zone "{entered}": did you mean {suggested}')


@pytest.mark.parametrize("entered", ["UTC+2", "GMT+1", "", "../etc/passwd", "x" * 10_000, "Europe"])
def test_time_zone_problem_without_a_suggestion_names_the_form(entered: str) -> None:
    problem = time_zone_problem(entered)
    assert problem is not None
    assert problem.endswith("use an IANA name, such as Europe/Paris or UTC")
    assert len(problem) < 200


@pytest.mark.parametrize(
    ("entered", "problem"),
    [
        ("Berlin", "there is no such time zone: use an IANA name; did you mean Europe/Berlin?"),
        ("Mars", "there is no such time zone: use an IANA name, such as Europe/Paris"),
    ],
)
def test_setting_of_no_time_zone_names_what_was_meant(entered: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"site.timezone: {problem}")):
        load(None, {}, {"site": {"timezone": entered}})
    with pytest.raises(ValueError, match=re.escape(problem)):
        zone_of(entered)


@pytest.mark.parametrize(
    ("entered", "problem"),
    [
        ("Paris", "'Paris' is not an IANA time zone; did you mean Europe/Paris?"),
        ("Mars", "'Mars' is not an IANA time zone, such as Europe/London or UTC"),
    ],
)
def test_option_of_no_time_zone_names_what_was_meant(entered: str, problem: str) -> None:
    with pytest.raises(click.BadParameter, match=re.escape(problem)):
        Zone().convert(entered, None, None)


@given(st.text(max_size=40))
def test_time_zone_problem_is_a_sentence_for_any_text(text: str) -> None:
    assert (time_zone_problem(text) is None) == (text in available_timezones() | {"UTC"})
