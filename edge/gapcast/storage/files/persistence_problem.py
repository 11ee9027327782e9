"""The reason why readings are not persisted, logged when it begins and ends, not at each retry."""

from __future__ import annotations

from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


class PersistenceProblem:
    """The present problem in a sentence, ``text``; empty while readings are persisted."""

    def __init__(self, folder: Path) -> None:
        """Log ``folder`` with each problem."""
        self._folder = folder
        self.text = ""
        #: Whether nothing is persisted until the end of the process.
        self.is_final = False

    @property
    def needs_checkpoint(self) -> bool:
        """Whether the problem lasts until the whole state is in a checkpoint."""
        return bool(self.text) and not self.is_final

    def begin(self, problem: str, fix: str, *, is_final: bool = False) -> None:
        """Set the problem, and log it with its fix if there was none before."""
        self.is_final = self.is_final or is_final
        if not self.text:
            log.warning("state.not_persisted", path=str(self._folder), problem=problem, cure=fix)
        self.text = f"readings are not persisted across a restart: {problem}"

    def end(self) -> None:
        """Log that readings are persisted again, if there was a problem."""
        if self.text:
            self.text = ""
            log.info("state.persisted_again", path=str(self._folder))
