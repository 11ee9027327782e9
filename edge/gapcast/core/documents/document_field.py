"""A field of a JSON document: the declaration behind the document and all schemas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

Owner = TypeVar("Owner")


class FieldType(Enum):
    """JSON types of fields, subdivided by their content: minutes, instants and maps."""

    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "true or false"
    TEXT = "text"
    MINUTE = "minute, RFC 3339"
    INSTANT = "instant with milliseconds, RFC 3339"
    NUMBERS = "list of numbers"
    INTEGERS = "list of integers"
    MINUTES = "list of minutes, RFC 3339"
    WEIGHTS = "weights by name"


@dataclass(frozen=True, slots=True)
class DocumentField(Generic[Owner]):
    """One field: its name (with its unit), type and description, and the function from the owner to its ``value``.

    ``is_nullable``: the value may be null.
    """

    name: str
    type: FieldType
    description: str
    value: Callable[[Owner], Any]
    is_nullable: bool = field(default=False, kw_only=True)
