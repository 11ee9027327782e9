"""What a wheel carries beside the code: the shipped models."""

from __future__ import annotations

from pathlib import Path

MODELS_FOLDER = "models"


def models_path() -> Path:
    """Return the folder of the shipped models.

    A wheel holds them beside this module; a checkout at its root, where the trainer writes them.

    >>> models_path().name
    'models'
    """
    here = Path(__file__).resolve().parent
    packed = here / MODELS_FOLDER
    return packed if packed.is_dir() else here.parents[2] / MODELS_FOLDER
