"""Time zones: the machine's, invalid names, and suggestions."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.setup.time_zone import similar_time_zones, system_time_zone, time_zone_problem


def test_system_time_zone_is_found(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    assert system_time_zone({}, tmp_path) == "UTC"
    (tmp_path / "etc/timezone").write_text("Europe/Lisbon\n", encoding="utf-8")
    assert system_time_zone({"TZ": "nonsense"}, tmp_path) == "Europe/Lisbon"
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


@given(st.text(max_size=40))
def test_time_zone_problem_is_a_sentence_for_any_text(text: str) -> None:
    assert (time_zone_problem(text) is None) == (text in available_timezones() | {"UTC"})
