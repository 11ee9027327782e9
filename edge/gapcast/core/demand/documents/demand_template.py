"""The template of a demand's JSON: the constant parts of all documents of a model, and the slots of their values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

from gapcast.core.billing.window_demands import SOURCES, WINDOW_COLUMNS
from gapcast.core.demand.demand import NAMES, NEXT, OBSERVED, RISK, RUNNING
from gapcast.core.demand.documents.document import DEMAND_FIELDS, DEMAND_SCHEMA, WINDOW_FIELDS, DemandField, WindowField
from gapcast.core.demand.documents.document import NEXT as NEXT_FIELD
from gapcast.core.documents.document_field import FieldType

#: The text in a document for each index of a limit's source.
SOURCE_NAMES: Final = [source.value for source in SOURCES]


class DemandSlot(IntEnum):
    """The kind of a value; the codes are the same in the compiled library.

    In order: the device name; an integer; a rounded number; a rounded number that may be null; a number that is not
    rounded; a power in whole W, from a column in kW; a minute; the time of issue; the source of a limit; the minute
    until which a demand is valid; the unmeasured minutes of the running window.
    """

    NAME = 0
    INTEGER = 1
    NUMBER = 2
    NULLABLE = 3
    EXACT = 4
    WATTS = 5
    MINUTE = 6
    ISSUED = 7
    SOURCE = 8
    UNTIL = 9
    UNMEASURED = 10


class DemandTemplate(NamedTuple):
    """The ``constants`` before each slot and at the end, and each slot's kind and column of a demand (0: no column)."""

    constants: tuple[str, ...]
    kinds: tuple[DemandSlot, ...]
    columns: tuple[int, ...]


#: The slots whose kind does not follow from the type of their field, and the columns of fields with another name.
_SLOTS: Final = {
    "device": DemandSlot.NAME, "issued_at": DemandSlot.ISSUED, "valid_until": DemandSlot.UNTIL,
    "limit_source": DemandSlot.SOURCE, "risk": DemandSlot.EXACT, "headroom_w": DemandSlot.WATTS,
    "unmeasured_min": DemandSlot.UNMEASURED,
}  # fmt: skip
_COLUMNS: Final = {
    "window_start": "start_minutes", "window_end": "end_minutes", "limit_source": "sources",
    "headroom_w": "headroom_kw", "unmeasured_min": "n_known",
}  # fmt: skip
#: Kinds of values that are quoted strings.
_IN_QUOTES: Final = (DemandSlot.NAME, DemandSlot.MINUTE, DemandSlot.ISSUED, DemandSlot.SOURCE, DemandSlot.UNTIL)


@lru_cache(maxsize=4)
def demand_template(model: str, version: str) -> DemandTemplate:
    """Return the template of the demands of a model with this name and version."""
    known = {"v": DEMAND_SCHEMA, "model": model, "model_version": version}
    constants, kinds, columns = [""], list[DemandSlot](), list[int]()
    for before, field, window in _placed_fields():
        constants[-1] += f'{before}"{field.name}":'
        if field.name in known:
            constants[-1] += json.dumps(known[field.name])
            continue
        kind = slot_of(field)
        quote = '"' if kind in _IN_QUOTES else ""
        constants[-1] += quote
        constants.append(quote)
        kinds.append(kind)
        columns.append(column_of(field, window))
    constants[-1] += "}}"
    return DemandTemplate(tuple(constants), tuple(kinds), tuple(columns))


def _placed_fields() -> Iterator[tuple[str, DemandField | WindowField, slice]]:
    """Yield the text before each field of a document, the field, and the columns of its window."""
    for i, field in enumerate(DEMAND_FIELDS):
        yield "," if i else "{", field, RUNNING
    for i, of_next in enumerate(WINDOW_FIELDS):
        yield "," if i else f",{json.dumps(NEXT_FIELD)}:{{", of_next, NEXT


def slot_of(field: DemandField | WindowField) -> DemandSlot:
    """Return the kind of the value of ``field``."""
    if field.name in _SLOTS:
        return _SLOTS[field.name]
    if field.type is FieldType.NUMBER:
        return DemandSlot.NULLABLE if field.is_nullable else DemandSlot.NUMBER
    return DemandSlot.INTEGER if field.type is FieldType.INTEGER else DemandSlot.MINUTE


def column_of(field: DemandField | WindowField, window: slice) -> int:
    """Return the column of a demand with the value of ``field``; 0 if there is none."""
    name = _COLUMNS.get(field.name, field.name)
    if isinstance(field, WindowField):
        return int(window.start) + WINDOW_COLUMNS.index(name)
    if name == "observed_at":
        return OBSERVED
    return NAMES.index(name, RISK) if name in NAMES[RISK:] else 0
