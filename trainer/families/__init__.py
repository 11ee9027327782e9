"""Model families, one file each, found by themselves.

A family is a module here with a :data:`FAMILY`. It turns a task and hyper-parameters into a Keras
model that takes raw kW and scales inside its graph; what trains, exports and scores it asks no more.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from trainer.errors import RunError
from trainer.families.base import Family, Hyper


def families() -> dict[str, Family]:
    """Return every family by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in {"base", "graph"})
    return {name: import_module(f"{__name__}.{name}").FAMILY for name in names}


def find_model(name: str) -> tuple[Family, Hyper]:
    """Return the family of the model that is called ``name``, and its hyper-parameters.

    Raises :class:`RunError` that lists the names there are.
    """
    known = {model: (family, hyper) for family in families().values() for model, hyper in family.models.items()}
    if name not in known:
        msg = f"no model is called {name}: there are {', '.join(sorted(known))}"
        raise RunError(msg)
    return known[name]
