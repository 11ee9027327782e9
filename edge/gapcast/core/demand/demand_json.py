"""Demands as JSON, a batch at a time: the values of :func:`gapcast.core.demand.document.demand_document`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from gapcast.core.demand.demand import N_COLUMNS, NAMES, NEXT, OBSERVED, RISK, RUNNING, VALID_MIN, Demands
from gapcast.core.demand.document import (
    DEMAND_FIELDS,
    DEMAND_SCHEMA,
    W_PER_KW,
    WINDOW_FIELDS,
    DemandField,
    WindowField,
)
from gapcast.core.demand.document import (
    NEXT as NEXT_FIELD,
)
from gapcast.core.demand.window_demands import SOURCES, WINDOW_COLUMNS
from gapcast.core.forecast import DECIMALS
from gapcast.core.forecast_fields import FieldType
from gapcast.core.grid import instant_label, minute_label
from gapcast.core.json_documents import JsonDocuments
from gapcast.core.json_rows import JsonForm, SlotKind
from gapcast.core.predictor import ModelIdentity

_Fields = Sequence[DemandField | WindowField]
_SOURCE_NAMES: Final = [source.value for source in SOURCES]
#: Numbers of a document that are the same in all, or written as a text, with all digits.
_NO_VALUES: Final = ("v", "risk")


class DemandEncoder:
    """Writes batches of demands. Device ids need no escapes."""

    def __init__(self, *, compiled: bool = True) -> None:
        """``compiled``: write them in C where that is possible; the bytes are the same."""
        self._compiled = compiled
        self._model: tuple[str, str] | None = None
        self._documents: JsonDocuments | None = None

    def encode(self, demands: Demands) -> list[bytes]:
        """Return the JSON of each of ``demands``, in order."""
        n, columns = len(demands), demands.columns
        documents = self._documents_of(demands.model)
        values = documents.values(n)
        columns.take(_VALUES, axis=1, out=values, mode="clip").round(DECIMALS, out=values)
        np.floor(columns[:, _HEADROOM_COLUMNS] * W_PER_KW, out=values[:, _HEADROOMS])
        of_text = columns.take(_OF_TEXT, axis=1).T.astype(np.int64).tolist()
        observed, start, end, source, next_start, next_end, next_source = of_text
        until = [min(window_end, minute + VALID_MIN) for window_end, minute in zip(end, observed, strict=True)]
        texts = [
            *demands.devices, *map(minute_label, observed), *[instant_label(demands.issued_at_ms)] * n,
            *map(minute_label, start), *map(minute_label, end), *map(_SOURCE_NAMES.__getitem__, source),
            *map(repr, columns[:, RISK].tolist()), *map(minute_label, until),
            *map(minute_label, next_start), *map(minute_label, next_end), *map(_SOURCE_NAMES.__getitem__, next_source),
        ]  # fmt: skip
        return documents.write(texts, values)

    def _documents_of(self, model: ModelIdentity) -> JsonDocuments:
        found = model.name, model.version
        if self._documents is None or found != self._model:
            form = JsonForm.of(_parts_of(*found))
            self._model, self._documents = found, JsonDocuments(form, compiled=self._compiled)
        return self._documents


def _parts_of(name: str, version: str) -> Iterator[str | SlotKind]:
    """Yield the parts of the form of a model's demands."""
    constants = {"v": DEMAND_SCHEMA, "model": name, "model_version": version}
    yield "{"
    for field in DEMAND_FIELDS:
        yield f'"{field.name}":'
        yield from (json.dumps(constants[field.name]),) if field.name in constants else _slot_of(field)
        yield ","
    for i, field in enumerate(WINDOW_FIELDS):
        yield f'{"," if i else f"{json.dumps(NEXT_FIELD)}:{{"}"{field.name}":'
        yield from _slot_of(field)
    yield "}}"


def _slot_of(field: DemandField | WindowField) -> tuple[str | SlotKind, ...]:
    """Return the slot of a field's value, with quotes around a text."""
    if field.type is FieldType.INTEGER:
        return (SlotKind.INTEGER,)
    if field.name in _NO_VALUES:
        return (SlotKind.TEXT,)
    if field.type is FieldType.NUMBER:
        return (SlotKind.NULLABLE if field.is_nullable else SlotKind.NUMBER,)
    return ('"', SlotKind.TEXT, '"')


def _column_of(field: DemandField | WindowField, window: slice) -> int:
    """Return the column of a demand that has the number of a field; that of the headroom is in kW."""
    if isinstance(field, DemandField):
        return NAMES.index(field.name)
    column: int = window.start + WINDOW_COLUMNS.index("headroom_kw" if field.name == "headroom_w" else field.name)
    return column


def _values_of(fields: _Fields, window: slice) -> list[int]:
    """Return the columns of the numbers among ``fields``."""
    numbers = FieldType.INTEGER, FieldType.NUMBER
    return [_column_of(one, window) for one in fields if one.type in numbers and one.name not in _NO_VALUES]


def _slice_of(pair: Sequence[int]) -> slice:
    """Return the slice of two indices, which numpy takes faster than a list."""
    first, second = pair
    return slice(first, second + 1, second - first)


#: Columns of the values of a document, those of both headrooms, and the places of these among the values.
_VALUES: Final = np.array([*_values_of(DEMAND_FIELDS, RUNNING), *_values_of(WINDOW_FIELDS, NEXT)])
_HEADROOM_COLUMNS: Final = _slice_of([window.start + WINDOW_COLUMNS.index("headroom_kw") for window in (RUNNING, NEXT)])
_HEADROOMS: Final = _slice_of(np.flatnonzero(np.isin(_VALUES, range(N_COLUMNS)[_HEADROOM_COLUMNS])).tolist())
#: Columns of integers that are written as a text: the observed minute, and of each window start, end and source.
_OF_TEXT: Final = np.array(
    [
        OBSERVED,
        *(
            window.start + WINDOW_COLUMNS.index(name)
            for window in (RUNNING, NEXT)
            for name in ("start_minutes", "end_minutes", "sources")
        ),
    ]
)
