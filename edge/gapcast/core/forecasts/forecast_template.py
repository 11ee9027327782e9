"""The template of the JSON of all forecasts of one model, and the columns that fill it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gapcast.core.documents.document_field import FieldType
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.forecasts.forecast_fields import FIELDS, ForecastField
from gapcast.core.forecasts.json_rows import JsonTemplate, SlotKind

#: Returns a column of a batch: a list, or an array with the values of a list or map.
Column = Callable[[Forecasts], Any]
#: The content of :attr:`.Forecasts.numbers`, in order; the path is missing for a model with one lead time.
_NUMBERS = ("gap_kw", "median_kw", "lower_kw", "upper_kw", "path", "experts", "median_experts")
#: Fields whose value is a list or a map of several numbers.
_COMPOUND = (FieldType.NUMBERS, FieldType.WEIGHTS)
_KINDS = {
    FieldType.INTEGER: SlotKind.INTEGER, FieldType.NUMBER: SlotKind.NUMBER, FieldType.NUMBERS: SlotKind.NUMBER,
    FieldType.WEIGHTS: SlotKind.WEIGHT,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ForecastTemplate:
    """A JSON template, and the columns that fill it.

    ``texts`` and ``numbers`` have one value in each forecast, ``compounds``, which follow, several. ``sparse`` are
    fields, by name, that follow in some of the forecasts. ``n_observed_at`` is the place of the number of readings
    among the numbers of the template; the others are :attr:`.Forecasts.numbers` in order. It is None if the template
    has further numbers, so that :attr:`.Forecasts.numbers` do not fill it.
    """

    json: JsonTemplate
    texts: tuple[Column, ...]
    numbers: tuple[Column, ...]
    compounds: tuple[Column, ...]
    sparse: tuple[tuple[str, Column], ...]
    n_observed_at: int | None

    def is_dense(self, forecasts: Forecasts) -> bool:
        """Return whether none of ``forecasts`` has a sparse field."""
        for _, column in self.sparse:  # noqa: SIM110 - called for each reading, and a generator is slower
            if column(forecasts) is not None:
                return False
        return True


def template_key(forecasts: Forecasts) -> tuple[object, ...]:
    """Return the key that two batches must share to have the same template."""
    model, shares = forecasts.model, forecasts.shares
    names = None if shares is None else shares.names
    return (
        model.name, model.version, model.spec, model.lead_times_min, forecasts.median_kw is None,
        forecasts.lower_kw is None, forecasts.upper_kw is None, forecasts.path_kw is None, names,
    )  # fmt: skip


def template_of(forecasts: Forecasts) -> ForecastTemplate:
    """Return the template of ``forecasts``, at least one."""
    constants, kinds, names = ["{"], list[SlotKind](), list[str]()
    texts, numbers, compounds = list[Column](), list[Column](), list[Column]()
    first = forecasts[0]
    for field in FIELDS:
        value = field.value(first)
        if field.is_sparse or (value is None and field.is_optional):
            continue
        constants[-1] += f'{"" if constants == ["{"] else ","}"{field.name}":'
        if field.column is None or field.column(forecasts) is None:  # the same value in each forecast of this template
            constants[-1] += json.dumps(value)
            continue
        begin, *between = _constants_of(field, value)
        constants[-1] += begin
        constants += between
        kind = _KINDS.get(field.type, SlotKind.TEXT)
        kinds += [kind] * len(between)
        if field.type in _COMPOUND:
            compounds.append(field.column)
        else:
            (texts if kind is SlotKind.TEXT else numbers).append(field.column)
        if kind is not SlotKind.TEXT:
            names.append(field.name)
    constants[-1] += "}"
    sparse = tuple((field.name, field.column) for field in FIELDS if field.is_sparse and field.column is not None)
    template = JsonTemplate(tuple(constants), tuple(kinds))
    columns = tuple(texts), tuple(numbers), tuple(compounds)
    n_observed_at = names.index("n_observed")
    del names[n_observed_at]
    has_other_numbers = names != [name for name in _NUMBERS if name != "path" or forecasts.path_kw is not None]
    return ForecastTemplate(template, *columns, sparse, None if has_other_numbers else n_observed_at)


def _constants_of(field: ForecastField, value: Any) -> list[str]:
    """Return the constant text before, between and after the values of a field like ``value``."""
    if field.type is FieldType.WEIGHTS:
        first, *others = (f'"{name}":' for name in value)
        return ["{" + first, *("," + other for other in others), "}"]
    if field.type is FieldType.NUMBERS:
        return ["[", *[","] * (len(value) - 1), "]"]
    return ["", ""] if field.type in _KINDS else ['"', '"']
