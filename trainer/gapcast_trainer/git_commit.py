"""The commit of the trainer's checkout, for training runs and cards.

This module is at the top of the package, because git is asked about its folder.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

UNKNOWN_COMMIT = "unknown"


def git_commit() -> str:
    """Return the commit from which this code was checked out, or :data:`UNKNOWN_COMMIT`.

    ``-dirty`` is appended if the code has been changed since.
    """
    here = Path(__file__)
    if _git("ls-files", "--error-unmatch", here.name) is None:
        return UNKNOWN_COMMIT  # installed, possibly inside another project's checkout
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no", "--", ".")
    if commit is None:
        return UNKNOWN_COMMIT
    return f"{commit}-dirty" if changes else commit


def _git(*command: str) -> str | None:
    """Return the output of a git command in the folder of the package, or None if it fails or git is missing."""
    try:
        answer = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            ("git", *command),  # noqa: S607 - wherever git is installed
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if answer.returncode else answer.stdout.strip()
