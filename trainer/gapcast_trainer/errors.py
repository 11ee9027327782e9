"""Errors of the trainer, as a branch of the edge's exception tree.

::

    GapcastError
    └── TrainerError
        ├── FetchError      a download that was rejected or did not finish (URL, problem)
        ├── RunError        a training run that is missing, unfinished or of other data
        └── ExportError     an exported model that failed a check
"""

from __future__ import annotations

from gapcast.core.errors import GapcastError


class TrainerError(GapcastError):
    """Base of the trainer's errors."""


class FetchError(TrainerError):
    """A download that was rejected, broke off, or could not be stored; the message names URL and problem."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"{url}: {problem}")


class RunError(TrainerError):
    """A training run that is missing, unfinished, altered, or from other data."""


class ExportError(TrainerError):
    """An exported model failed a check and must not be shipped."""
