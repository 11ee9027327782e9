"""``registry.json`` of a models folder: the default model, and the models that are not default ensemble members."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gapcast.core.errors import ModelError
from gapcast.predictors.models_folder.files import MAX_REGISTRY_BYTES, REGISTRY_FILE, read_bytes
from gapcast.text.json_input import decode_json


class Registry(NamedTuple):
    """The content of a registry.

    ``default`` is the name of the default primary model. ``optional`` are the names of models that are ensemble members
    only where ``forecast.experts`` names them, because they cost more time than they improve the forecast.
    """

    default: str
    optional: tuple[str, ...] = ()


def read_registry(models: Path) -> Registry:
    """Return the registry of the folder ``models``; raise :class:`ModelError` that names the file if it is not one."""
    path = models / REGISTRY_FILE
    if not path.exists():
        msg = f'{path}: there is no such file: correct models.path, or write {{"default": "<name of a model>"}} to it'
        raise ModelError(msg)
    try:
        document = decode_json(read_bytes(path, MAX_REGISTRY_BYTES))
        default, optional = document["default"], document.get("optional", [])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f'{path}: must read {{"default": "<name of a model>"}}'
        raise ModelError(msg) from error
    if not isinstance(default, str):
        msg = f'{path}: "default" must be the name of a model, not {default!r}'
        raise ModelError(msg)
    if not isinstance(optional, list) or not all(isinstance(name, str) for name in optional):
        msg = f'{path}: "optional" must be a list of names of models, not {optional!r}'
        raise ModelError(msg)
    return Registry(default, tuple(optional))
