"""Errors about unknown keys and values of the configuration, with the one that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel

from gapcast.core.documents.message_format import did_you_mean

#: Maximum number of keys that an error lists, if no key is similar.
_MAX_LISTED = 16


def unknown_key_problem(section: type[BaseModel], location: Iterable[int | str]) -> str:
    """Return what is wrong with the unknown key at ``location`` below ``section``, with similar or possible keys.

    >>> from gapcast.config.settings import Settings
    >>> unknown_key_problem(Settings, ["forecast", "horizn_min"])
    'there is no such key; did you mean horizon_min?'
    >>> unknown_key_problem(Settings, ["metrics", "colour"])
    'there is no such key; possible are per_device'
    """
    *above, key = location
    names = _keys_of(section, above)
    if meant := did_you_mean(str(key), names):
        return f"there is no such key{meant}"
    if 0 < len(names) <= _MAX_LISTED:
        return f"there is no such key; possible are {', '.join(names)}"
    return "there is no such key"


def _keys_of(section: type[BaseModel], location: Iterable[int | str]) -> list[str]:
    """Return the keys of the section at ``location``; names of devices and list indices need no step."""
    found: type[BaseModel] | None = section
    for part in location:
        if found is not None and part in found.model_fields:
            found = _section_of(found.model_fields[str(part)].annotation)
    return [] if found is None else [*found.model_fields]


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field of type ``annotation`` is, or is a list of; None if it has no keys."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _section_of(one)) is not None), None)
