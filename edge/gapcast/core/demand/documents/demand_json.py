"""Encodes batches of demands as JSON, equal to :func:`gapcast.core.demand.documents.document.demand_document`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64
from gapcast.core.billing.window_demands import none_for_nan
from gapcast.core.demand.demand import ELAPSED, Demands
from gapcast.core.demand.documents.demand_messages import DemandMessages
from gapcast.core.demand.documents.demand_template import SOURCE_NAMES, DemandSlot, demand_template
from gapcast.core.demand.documents.document import W_PER_KW
from gapcast.core.forecasts.forecast import DECIMALS
from gapcast.core.time_grid import instant_label, minute_label

#: The Python conversion of each kind of value; the other kinds are texts.
_CONVERSIONS: Final = {
    DemandSlot.INTEGER: "%d", DemandSlot.NUMBER: "%r", DemandSlot.EXACT: "%r", DemandSlot.WATTS: "%d",
    DemandSlot.UNMEASURED: "%d",
}  # fmt: skip


class DemandEncoder:
    """Encodes batches of demands. Device ids need no escapes."""

    def __init__(self) -> None:
        self._messages = DemandMessages.create_if_available()

    def encode(self, demands: Demands) -> list[bytes]:
        """Return the JSON of each of ``demands``, in order."""
        written = None if self._messages is None else self._messages.write(demands)
        if written is None:
            return _encoded(demands)
        content = bytes(written.content)
        return [content[begin:end] for begin, end in written.bounds[:, 0].tolist()]


def _encoded(demands: Demands) -> list[bytes]:
    """Return the JSON of each of ``demands``, encoded in Python."""
    template = demand_template(demands.model.name, demands.model.version)
    constants = [constant.replace("%", "%%") for constant in template.constants]
    parts = [before + _CONVERSIONS.get(kind, "%s") for before, kind in zip(constants, template.kinds, strict=False)]
    format_string = "".join(parts) + constants[-1]
    columns = [_values_of(demands, kind, column) for kind, column in zip(template.kinds, template.columns, strict=True)]
    return [(format_string % row).encode() for row in zip(*columns, strict=True)]


def _values_of(demands: Demands, kind: DemandSlot, column: int) -> list[Any]:
    """Return the values of a slot in each of ``demands``."""
    if kind is DemandSlot.NAME:
        return list(demands.devices)
    if kind is DemandSlot.ISSUED:
        return [instant_label(demands.issued_at_ms)] * len(demands)
    if kind is DemandSlot.UNTIL:
        return _labels_of(demands.valid_until_minutes)
    if kind is DemandSlot.UNMEASURED:
        return list((demands.columns[:, ELAPSED] - demands.columns[:, column]).tolist())
    return _OF_COLUMN[kind](demands.columns[:, column])


def _labels_of(minutes: NDArray[Any]) -> list[str]:
    return list(map(minute_label, minutes.astype(np.int64).tolist()))


def _sources_of(codes: F64) -> list[str]:
    return [SOURCE_NAMES[code] for code in codes.astype(np.int64).tolist()]


def _rounded(values: F64) -> list[float]:
    return list(values.round(DECIMALS).tolist())


def _rounded_or_null(values: F64) -> list[str]:
    return ["null" if number is None else repr(number) for number in none_for_nan(values.round(DECIMALS))]


def _watts(values: F64) -> list[float]:
    return list(np.floor(values * W_PER_KW).tolist())


#: Converts the numbers of a column to the values in a document, by kind of slot.
_OF_COLUMN: Final[dict[DemandSlot, Callable[[F64], list[Any]]]] = {
    DemandSlot.INTEGER: list,
    DemandSlot.NUMBER: _rounded,
    DemandSlot.NULLABLE: _rounded_or_null,
    DemandSlot.EXACT: lambda values: list(values.tolist()),
    DemandSlot.WATTS: _watts,
    DemandSlot.MINUTE: _labels_of,
    DemandSlot.SOURCE: _sources_of,
}
