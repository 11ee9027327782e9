"""What can go wrong offline, as a branch of the edge's tree.

::

    GapcastError
    └── TrainerError
        ├── FetchError      a download that was refused or did not come to its end (address, problem)
        ├── DatasetError    a file of readings that cannot be used (path, line where there is one, problem)
        ├── RunError        a training run that is missing, unfinished or of other data
        └── ExportError     an exported model that failed one of its checks
"""

from __future__ import annotations

from pathlib import Path

from gapcast.core.errors import GapcastError


class TrainerError(GapcastError):
    """Base of every error that the trainer raises on purpose."""


class DatasetError(TrainerError):
    """A file of readings that cannot be used; one sentence that names the file, the line and the problem."""

    def __init__(self, path: Path, problem: str, line: int | None = None) -> None:
        super().__init__(f"{path}: {problem}" if line is None else f"{path}, line {line}: {problem}")
        self.path = path
        self.line = line


class FetchError(TrainerError):
    """A download that was refused, broke off, or could not be kept; names the address and the problem."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"{url}: {problem}")


class RunError(TrainerError):
    """A training run that is missing, unfinished, altered or was made from other data."""


class ExportError(TrainerError):
    """An exported model that failed a check: it must not be shipped."""
