"""Reads experiments from TOML files: the shipped models' experiments in this package, and the user's own."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import Experiment, parse_experiment

_TOML = ".toml"


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of the TOML file at ``path``; ``name`` defaults to the file's name.

    Raises :class:`RunError` if it cannot be read.
    """
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})"
        raise RunError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path}: is not TOML: {error}"
        raise RunError(msg) from error
    return {"name": path.name.removesuffix(_TOML), **fields}


def read_experiment(path: Path) -> Experiment:
    """Return the experiment in the TOML file at ``path``; its name defaults to the file's."""
    return parse_experiment(read_toml(path), str(path))


def shipped_names() -> list[str]:
    """Return the names of the shipped experiments."""
    return sorted(file.name.removesuffix(_TOML) for file in _shipped().iterdir() if file.name.endswith(_TOML))


def find_experiment(name_or_path: str) -> Experiment:
    """Return a shipped experiment by its name, or the experiment in a file.

    Raises :class:`RunError` that lists the available names.
    """
    if name_or_path in shipped_names():
        with resources.as_file(_shipped() / (name_or_path + _TOML)) as path:
            return read_experiment(path).as_shipped()
    if name_or_path.endswith(_TOML):
        return read_experiment(Path(name_or_path))
    msg = f"no experiment is called {name_or_path}: there are {', '.join(shipped_names())}, or give a {_TOML} file"
    raise RunError(msg)


def _shipped() -> Any:
    return resources.files("gapcast_trainer.experiments")
