"""Model families, one module each, discovered automatically.

A family is a module of this package with a ``FAMILY``; packages contain the parts that families share. It builds a
Keras model from a design and hyper-parameters; the model takes physical units and scales inside its graph. Training,
export and scoring need nothing else.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.unknown_keys import key_problem
from gapcast_trainer.families.parts.base import Family, Hyper


def families() -> dict[str, Family]:
    """Return every family by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)
    return {name: import_module(f"{__name__}.{name}").FAMILY for name in names}


def find_family(name: str, hyper: dict[str, Any]) -> tuple[Family, Hyper]:
    """Return the family called ``name`` and its hyper-parameters.

    Raises :class:`RunError` that lists the known families, or names the invalid hyper-parameter.
    """
    known = families()
    if name not in known:
        msg = f"there is no family {name}: there are {', '.join(known)}"
        raise RunError(msg)
    try:
        return known[name], known[name].hyper.model_validate(hyper)
    except ValidationError as error:
        keys = f"possible are {', '.join(known[name].hyper.model_fields)}"
        first = error.errors()[0]
        problem = key_problem(first, known[name].hyper, "hyper", keys)
        msg = f"hyper.{problem}" if first["loc"] else problem
        raise RunError(msg) from error
