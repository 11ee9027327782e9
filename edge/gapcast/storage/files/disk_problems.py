"""Problems of the disk: damaged files, and the reason why readings are not persisted."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_DAMAGED_SUFFIX = ".damaged"


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Convert the OSError and MemoryError of reading ``path`` to an OSError that names it."""
    try:
        yield
    except (OSError, MemoryError) as error:
        number = (isinstance(error, OSError) and error.errno) or errno.ENOMEM
        problem = f"{os.strerror(number)}, so nothing is restored or replaced until gapcast is started again"
        raise OSError(number, problem, str(path)) from error


def quarantine_file(path: Path, problem: str) -> str:
    """Rename a damaged state file, which is never removed, log the problem, and return a description."""
    n = 1
    while (new_path := path.with_name(f"{path.name}{_DAMAGED_SUFFIX}-{n}")).exists():
        n += 1
    logged = problem
    try:
        path.rename(new_path)
    except OSError as error:
        new_path, logged = path, f"{problem}; it cannot be renamed ({error})"
    log.warning("state.damaged", path=str(path), problem=logged, kept_as=str(new_path), fix="check the disk")
    return f"{path.name}: {problem}"


class DamagedJournals:
    """Journals that a recovery found damaged, to be renamed once a checkpoint contains their readable records."""

    def __init__(self) -> None:
        self._problems: dict[Path, str] = {}

    def add(self, path: Path, problem: str) -> str:
        """Add the journal at ``path``; return a description."""
        self._problems[path] = problem
        return f"{path.name}: {problem}"

    def quarantine_journals(self) -> None:
        """Rename the journals, once; a journal with a forgotten device may have been removed."""
        problems, self._problems = self._problems, {}
        for path, problem in problems.items():
            if path.exists():
                quarantine_file(path, problem)


class PersistenceProblem:
    """Why the state is not persisted, or in the journal alone, as the sentence ``text``; empty while it is.

    The problem is logged when it begins, gets worse, needs another fix and ends, not at each retry.
    """

    def __init__(self, folder: Path) -> None:
        """Log ``folder`` with each problem."""
        self._folder = folder
        self.text = ""
        #: Whether nothing is persisted until the process ends.
        self.is_final = False
        self._loses_readings = False  # until a checkpoint contains the whole state
        self._logged_fixes: set[str] = set()  # since the problem began: causes may alternate

    @property
    def needs_checkpoint(self) -> bool:
        """Whether the problem lasts until a checkpoint contains the whole state."""
        return bool(self.text) and not self.is_final

    def begin(self, problem: str, fix: str, *, is_final: bool = False, in_journal: bool = False) -> None:
        """Set the problem, and log it with its fix if that is new, or if there was none before that loses readings.

        ``in_journal``: the journal continues, so that a restart loses no readings unless it did before.
        """
        self.is_final = self.is_final or is_final
        is_logged = fix in self._logged_fixes and (in_journal or self._loses_readings)
        self._logged_fixes.add(fix)
        self._loses_readings = self._loses_readings or not in_journal
        if self._loses_readings:
            self.text = f"readings are not persisted across a restart: {problem}"
            meanwhile = "readings from now on are lost if the process ends"
        else:
            self.text = f"readings are persisted in the journal alone, without checkpoints: {problem}"
            meanwhile = "the journal has the readings, and the next start reads it; a power failure can lose some"
        if not is_logged:
            log.warning("state.not_persisted", path=str(self._folder), problem=problem, fix=fix, meanwhile=meanwhile)

    def end(self) -> None:
        """Log that the state is persisted again, if there was a problem."""
        if self.text:
            self.text, self._loses_readings = "", False
            self._logged_fixes.clear()
            log.info("state.persisted_again", path=str(self._folder))
