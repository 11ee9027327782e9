"""The shipped models inside the wheel, and the prior of the learning state."""

from __future__ import annotations

from pathlib import Path

MODELS_FOLDER = "models"


def models_path() -> Path:
    """Return the folder of the bundled models.

    In a wheel the folder is beside this module; in a checkout it is at the root, where the trainer writes the models.

    >>> models_path().name
    'models'
    """
    here = Path(__file__).resolve().parent
    installed = here / MODELS_FOLDER
    return installed if installed.is_dir() else here.parents[2] / MODELS_FOLDER
