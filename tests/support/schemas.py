"""As much of JSON Schema as docs/asyncapi.yaml uses; a keyword that is not known here is an error."""

from __future__ import annotations

import re
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "null": (type(None),),
}  # fmt: skip
_KNOWN = {
    "type", "description", "required", "properties", "additionalProperties", "enum", "const", "pattern", "items",
    "minItems", "oneOf",
}  # fmt: skip


def resolved(node: Any, document: Any) -> Any:
    """Follow ``$ref`` within the document."""
    while isinstance(node, dict) and "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def faults(value: Any, schema: Any, document: Any, at: str = "$") -> list[str]:
    """Return what is wrong with ``value``, a line each."""
    schema = resolved(schema, document)
    assert schema.keys() <= _KNOWN, f"{at}: keywords not known: {schema.keys() - _KNOWN}"
    if "oneOf" in schema:
        n_fit = sum(not faults(value, one, document, at) for one in schema["oneOf"])
        return [] if n_fit == 1 else [f"{at}: fits {n_fit} of the forms that it may have"]
    names = schema.get("type", list(_TYPES))
    kinds = {kind for name in ([names] if isinstance(names, str) else names) for kind in _TYPES[name]}
    if not isinstance(value, tuple(kinds)) or isinstance(value, bool):
        return [f"{at}: {value!r} is no {names}"]
    found = []
    if "const" in schema and value != schema["const"]:
        found.append(f"{at}: {value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: {value!r} is none of {schema['enum']}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{at}: {value!r} is not like {schema['pattern']}")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{at}: no {name}" for name in schema.get("required", ()) if name not in value]
        if schema.get("additionalProperties") is False:
            found += [f"{at}: {name} is not known" for name in value if name not in properties]
        for name, one in value.items():
            found += faults(one, properties[name], document, f"{at}.{name}") if name in properties else []
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            found.append(f"{at}: only {len(value)}")
        for i, one in enumerate(value):
            found += faults(one, schema["items"], document, f"{at}[{i}]") if "items" in schema else []
    return found
