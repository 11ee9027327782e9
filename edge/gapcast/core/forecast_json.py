"""Forecasts as JSON, a batch at a time: the bytes of :meth:`gapcast.core.forecast.Forecast.document`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gapcast.core.forecast import SHARE_DECIMALS, Forecasts, HorizonParts
from gapcast.core.forecast_fields import FIELDS, FieldType, ForecastField

Column = Callable[[Forecasts], Sequence[Any] | None]
#: Fields whose value is a list or a map of several numbers.
_COMPOUND = (FieldType.NUMBERS, FieldType.WEIGHTS)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The template that forecasts of one form share, and the columns that fill it, ``compounds`` last.

    ``sparse`` are fields that follow in some of the forecasts, by name.
    """

    template: str
    scalars: tuple[Column, ...]
    compounds: tuple[Column, ...]
    sparse: tuple[tuple[str, Column], ...] = ()


class ForecastEncoder:
    """Writes batches of forecasts. Device ids need no escapes, and ``repr`` of a finite float is JSON.

    So one template serves all forecasts of one model, and is filled in a fifth of the time of a JSON encoder.
    """

    def __init__(self) -> None:
        self._form: tuple[object, ...] | None = None
        self._of_horizons: dict[int, ForecastEncoder] = {}
        self._layout = _Layout("", (), ())

    def encode(self, forecasts: Forecasts) -> Iterator[bytes]:
        """Yield the JSON of each forecast, in order."""
        if not len(forecasts):
            return
        if forecasts.parts is not None:
            yield from self._encode_horizons(forecasts.parts)
            return
        form = _form_of(forecasts)
        if form != self._form:
            self._form, self._layout = form, _layout_of(forecasts)
        template = self._layout.template
        if len(forecasts) == 1 and all(column(forecasts) is None for _, column in self._layout.sparse):
            yield (template % self._only_row(forecasts)).encode()
            return
        columns = [column(forecasts) or () for column in self._layout.scalars]
        for compound in self._layout.compounds:
            columns += zip(*(compound(forecasts) or ()), strict=True)
        if all(column(forecasts) is None for _, column in self._layout.sparse):
            for row in zip(*columns, strict=True):
                yield (template % row).encode()
            return
        for row, end in zip(zip(*columns, strict=True), self._ends(forecasts), strict=True):
            yield ((template % row)[:-1] + end).encode()

    def _encode_horizons(self, parts: HorizonParts) -> Iterator[bytes]:
        """Yield the JSON of each forecast of a batch with several horizons, each of them by a template of its own."""
        encoded: list[Iterator[bytes]] = []
        for _, forecasts in parts.parts:
            horizon_min = forecasts.model.lead_times_min[-1]
            encoder = self._of_horizons.setdefault(horizon_min, ForecastEncoder())
            encoded.append(encoder.encode(forecasts))
        for part, _ in parts.order:
            yield next(encoded[part])

    def _only_row(self, forecasts: Forecasts) -> tuple[Any, ...]:
        """Return the values that fill the template for the only one of ``forecasts``."""
        row: list[Any] = []
        for column in self._layout.scalars:
            row += column(forecasts) or ()
        for compound in self._layout.compounds:
            row += (compound(forecasts) or ((),))[0]
        return tuple(row)

    def _ends(self, forecasts: Forecasts) -> Iterator[str]:
        """Yield the end of each forecast: the fields that not all of them have, and the brace."""
        columns = [(name, column(forecasts)) for name, column in self._layout.sparse]
        for i in range(len(forecasts)):
            values = ((name, None if values is None else values[i]) for name, values in columns)
            yield "".join(f',"{name}":{value!r}' for name, value in values if value is not None) + "}"


def _form_of(forecasts: Forecasts) -> tuple[object, ...]:
    """Return what two batches must have in common to share a template."""
    model, shares = forecasts.model, forecasts.shares
    absent = [column is None for column in (forecasts.median_kw, forecasts.lower_kw, forecasts.upper_kw)]
    names = None if shares is None else shares.names
    leads_min = model.lead_times_min
    return model.name, model.version, model.spec, leads_min, *absent, forecasts.path_kw is None, names


def _layout_of(forecasts: Forecasts) -> _Layout:
    first = forecasts[0]
    parts: list[str] = []
    scalars: list[Column] = []
    compounds: list[Column] = []
    for field in FIELDS:
        value = field.value(first)
        if field.is_sparse:
            continue
        if value is None and field.is_optional:
            continue
        if field.column is None or field.column(forecasts) is None:  # the same in each forecast of this form
            text = json.dumps(value).replace("%", "%%")
        else:
            text = _slots(field, value)
            (compounds if field.type in _COMPOUND else scalars).append(field.column)
        parts.append(f'"{field.name}":{text}')
    sparse = tuple((field.name, field.column) for field in FIELDS if field.is_sparse and field.column is not None)
    return _Layout("{" + ",".join(parts) + "}", tuple(scalars), tuple(compounds), sparse)


def _slots(field: ForecastField, value: Any) -> str:
    """Return the part of the template that values like ``value`` fill."""
    if field.type is FieldType.WEIGHTS:
        return "{" + ",".join(f'"{name}":%.{SHARE_DECIMALS}f' for name in value) + "}"
    if field.type is FieldType.NUMBERS:
        return "[" + ",".join(["%r"] * len(value)) + "]"
    return {FieldType.INTEGER: "%d", FieldType.NUMBER: "%r"}.get(field.type, '"%s"')
