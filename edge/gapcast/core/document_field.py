"""A field of a JSON document: the declaration that the document and all schemas follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gapcast.core.forecast_fields import FieldType

Owner = TypeVar("Owner")


@dataclass(frozen=True, slots=True)
class DocumentField(Generic[Owner]):
    """One field: its name (with its unit), type and description, and how its ``value`` follows from the owner.

    ``is_nullable``: the value may be null.
    """

    name: str
    type: FieldType
    description: str
    value: Callable[[Owner], Any]
    is_nullable: bool = False
