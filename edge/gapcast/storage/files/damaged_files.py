"""Damaged files of the state: renamed, never removed, and logged."""

from __future__ import annotations

from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_DAMAGED_SUFFIX = ".damaged"


def set_aside(path: Path, problem: str) -> str:
    """Rename a damaged file, log the problem, and return a description."""
    n = 1
    while (new_path := path.with_name(f"{path.name}{_DAMAGED_SUFFIX}-{n}")).exists():
        n += 1
    logged = problem
    try:
        path.rename(new_path)
    except OSError as error:
        new_path, logged = path, f"{problem}; it cannot be renamed ({error})"
    log.warning("state.damaged", path=str(path), problem=logged, kept_as=str(new_path), cure="check the disk")
    return f"{path.name}: {problem}"


class DamagedJournals:
    """Journals that a recovery found damaged, to be renamed once a checkpoint has what could be read of them."""

    def __init__(self) -> None:
        self._problems: dict[Path, str] = {}

    def add(self, path: Path, problem: str) -> str:
        """Add the journal at ``path``; return a description."""
        self._problems[path] = problem
        return f"{path.name}: {problem}"

    def set_aside(self) -> None:
        """Rename the journals, once; one that a forgotten device was in may have been removed."""
        problems, self._problems = self._problems, {}
        for path, problem in problems.items():
            if path.exists():
                set_aside(path, problem)
