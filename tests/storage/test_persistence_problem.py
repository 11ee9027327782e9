"""When the log says that the state is not persisted: once for each fix, and again when more is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gapcast.storage.files.disk_problems import PersistenceProblem

READ_ONLY = ("Read-only file system", "mount it for writing")
FULL = ("No space left on device", "free disk space")


def fixes(problem: PersistenceProblem, *causes: tuple[str, str], in_journal: bool = False) -> list[str]:
    """Begin each cause; return the fixes of the lines in the log."""
    with capture_logs() as logs:
        for text, fix in causes:
            problem.begin(text, fix, in_journal=in_journal)
    assert {entry["event"] for entry in logs} <= {"state.not_persisted"}
    return [entry["fix"] for entry in logs]


def test_retries_and_alternating_causes_are_logged_once_for_each_fix(tmp_path: Path) -> None:
    problem = PersistenceProblem(tmp_path)
    assert fixes(problem, READ_ONLY, READ_ONLY, FULL, READ_ONLY, FULL) == [READ_ONLY[1], FULL[1]]
    assert problem.text.endswith(FULL[0]), "the current cause"


def test_journal_that_stops_too_is_logged_again_with_the_same_fix(tmp_path: Path) -> None:
    problem = PersistenceProblem(tmp_path)
    assert fixes(problem, FULL, FULL, in_journal=True) == [FULL[1]]
    assert fixes(problem, FULL, FULL) == [FULL[1]]
    assert fixes(problem, FULL, in_journal=True) == []
    assert problem.text.startswith("readings are not persisted across a restart: ")


@pytest.mark.parametrize("in_journal", [False, True])
def test_problem_that_returns_is_logged_again(tmp_path: Path, *, in_journal: bool) -> None:
    problem = PersistenceProblem(tmp_path)
    assert fixes(problem, FULL, in_journal=in_journal) == [FULL[1]]
    with capture_logs() as logs:
        problem.end()
        problem.end()
    assert [entry["event"] for entry in logs] == ["state.persisted_again"]
    assert fixes(problem, FULL, in_journal=in_journal) == [FULL[1]]
