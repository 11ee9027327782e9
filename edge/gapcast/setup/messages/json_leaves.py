"""The values in the JSON of a message that are no objects: their paths, names and units."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from gapcast.text.json_input import JsonError, decode_json

_MAX_DEPTH, _MAX_VALUES = 5, 1_000
#: Maximum number of items of a list of numbers or objects: the phases or channels of a meter, no series of values.
_MAX_ITEMS = 16
#: A key that names nothing: its parent or the topic does.
VALUE = "value"
#: Keys beside it that name its unit.
_UNIT_KEYS = ("unit", "units")

#: The JSON of a message that may have several numbers.
Document = dict[str, Any] | list[Any]


class JsonLeaf(NamedTuple):
    """A value that is no object: its path, its path without indices of lists, and the text that is its unit, or "".

    ``is_one_of_several``: it is in a list of several items.
    """

    path: str
    name: str
    value: Any
    unit: str
    is_one_of_several: bool


def document_of(payload: bytes) -> Document:
    """Return the JSON object or short list of a message; empty if it is something else."""
    try:
        document = decode_json(payload) if payload else None
    except JsonError:
        return {}
    is_long_list = isinstance(document, list) and len(document) > _MAX_ITEMS
    return document if isinstance(document, dict | list) and not is_long_list else {}


def leaves(document: Document) -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of the keys of a message that are not objects, and of the items of short lists.

    >>> list(leaves({"a": {"b": 1}, "c": [2]}))
    [('a.b', 1), ('c', [2]), ('c.0', 2)]
    """
    return ((leaf.path, leaf.value) for leaf in json_leaves(document))


def json_leaves(document: Document) -> Iterator[JsonLeaf]:
    """Yield the leaves of a message, at most 1,000."""
    return islice(_leaves_below(document, "", "", 1, is_one_of_several=False), _MAX_VALUES)


def _leaves_below(
    document: Document, path: str, name: str, depth: int, *, is_one_of_several: bool
) -> Iterator[JsonLeaf]:
    """Yield the leaves below ``path`` and ``name``, which are empty or end with a dot."""
    is_list = isinstance(document, list)
    is_item = is_one_of_several or (is_list and len(document) > 1)
    for key, value in enumerate(document) if isinstance(document, list) else document.items():
        below = name if is_list else f"{name}{key}."
        is_object = isinstance(value, dict) and depth < _MAX_DEPTH
        if not is_object:
            unit = _unit_beside(document) if str(key).lower() == VALUE else ""
            yield JsonLeaf(f"{path}{key}", below[:-1], value, unit, is_item)
        if is_object or (isinstance(value, list) and depth < _MAX_DEPTH and len(value) <= _MAX_ITEMS):
            yield from _leaves_below(value, f"{path}{key}.", below, depth + 1, is_one_of_several=is_item)


def _unit_beside(document: Document) -> str:
    """Return the text of the key that names the unit of a value in the same object, or ""."""
    found = (document.get(key) for key in _UNIT_KEYS) if isinstance(document, dict) else ()
    return next((unit.strip() for unit in found if isinstance(unit, str)), "")
