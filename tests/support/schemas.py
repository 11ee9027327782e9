"""Validation by JSON Schema (draft 7, which AsyncAPI 3 uses), with one line for each fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.exceptions import best_match

ASYNCAPI = Path(__file__).parents[1] / "fixtures" / "asyncapi" / "3.0.0.json"
#: Keywords without effect on validation, for people only.
_REMARKS = {"$ref", "description"}
_OPENAPI_REMARKS = _REMARKS | {"deprecated", "title", "default", "examples"}


def resolved(node: Any, document: Any) -> Any:
    """Follow ``$ref`` within the document."""
    while isinstance(node, dict) and "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def faults(value: Any, schema: Any, document: Any) -> list[str]:
    """Return what is wrong with ``value`` by a ``schema`` of ``document``, which may refer to others of it."""
    whole = {"components": document["components"], "allOf": [schema]}
    return _lines(Draft7Validator(whole), value)


def asyncapi_faults(document: Any) -> list[str]:
    """Return what is wrong with an AsyncAPI 3.0.0 document, by the specification's own schema."""
    return _lines(Draft7Validator(json.loads(ASYNCAPI.read_text(encoding="utf-8"))), document)


def unknown_keywords(schema: Any) -> set[str]:
    """Return the keywords in ``schema`` that a validator would ignore without a word, such as misspelt ones."""
    known: set[str] = Draft7Validator.VALIDATORS.keys() | _REMARKS
    return {keyword for one in _below(schema) for keyword in one} - known


def unknown_openapi_keywords(document: Any) -> set[str]:
    """Return the keywords in the schemas of an OpenAPI 3.1 document that a client would ignore without a word."""
    known: set[str] = Draft202012Validator.VALIDATORS.keys() | _OPENAPI_REMARKS
    schemas = [*document["components"]["schemas"].values(), *_schemas_in(document["paths"])]
    return {keyword for schema in schemas for one in _below(schema) for keyword in one} - known


def _schemas_in(node: Any) -> Iterator[dict[str, Any]]:
    """Yield the schemas of parameters and contents below ``node``."""
    if isinstance(node, dict) and "schema" in node:
        yield node["schema"]
    for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _schemas_in(one)


def _below(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    parts = [*schema.get("properties", {}).values(), *schema.get("oneOf", ()), *schema.get("anyOf", ())]
    others = (schema.get("items"), schema.get("additionalProperties"))
    for part in [*parts, *(one for one in others if isinstance(one, dict))]:
        yield from _below(part)


def _lines(validator: Draft7Validator, value: Any) -> list[str]:
    # If a value may have several forms, the errors of the closest form are reported.
    closest = [best_match([error]) for error in validator.iter_errors(value)]
    return [f"{error.json_path}: {error.message}" for error in closest]
