"""Exports of InfluxDB: annotated CSV of Flux queries, and CSV of InfluxQL queries.

Annotated CSV (``influx query --raw``, "CSV" in the user interface) is a sequence of tables, with a row per value; each
table may begin with annotations (``#datatype`` …) and a header. InfluxQL's CSV has a column per field.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from gapcast.recordings.formats.export_kind import ExportKind, ExportRow, SeriesName, column_of, field_at
from gapcast.recordings.text.fields import is_number, unit_in
from gapcast.recordings.text.text_file import quoted

#: The columns of annotated CSV that neither name a series nor hold its values.
_NOT_TAGS = frozenset({"", "result", "table", "_start", "_stop", "_time", "_value", "_field", "_measurement"})
_NOT_NUMBERS = frozenset({"string", "boolean", "duration", "base64Binary"})
_NAME, _TAGS, _TIME = "name", "tags", "time"
_NAMED_UNITS = frozenset({"W", "kW", "Wh", "kWh", "MWh", "VA", "A", "V"})


class _Block:
    """The header of a table of annotated CSV."""

    def __init__(self, header: list[str], types: Sequence[str]) -> None:
        self._time_at, self._value_at = column_of(header, "_time"), column_of(header, "_value")
        if self._time_at is None or self._value_at is None:
            missing = "_time" if self._time_at is None else "_value"
            msg = f"has no column {missing} among {quoted(','.join(header))}: export without pivot() and without last()"
            raise ValueError(msg)
        self._measurement_at, self._field_at = column_of(header, "_measurement"), column_of(header, "_field")
        self._tags = [(at, name) for at, name in enumerate(header) if name not in _NOT_TAGS]
        self.has_numbers = field_at(types, self._value_at) not in _NOT_NUMBERS

    def row(self, fields: list[str]) -> ExportRow:
        """Return the value of a row."""
        time, value = field_at(fields, self._time_at), field_at(fields, self._value_at)
        if not time:
            msg = "has no _time"
            raise ValueError(msg)
        tags = tuple((name, field_at(fields, at)) for at, name in self._tags)
        measurement, field = field_at(fields, self._measurement_at), field_at(fields, self._field_at)
        return ExportRow(_series(measurement, field, tags), time, value)


def _annotated_rows(lines: Iterator[list[str]]) -> Iterator[ExportRow]:
    block: _Block | None = None
    types: list[str] = []
    for fields in lines:
        if not any(fields):
            block, types = None, []
        elif fields[0].startswith("#"):
            block = None
            types = fields if fields[0] == "#datatype" else types
        elif block is None:
            block = _Block([name.strip() for name in fields], types)
        elif block.has_numbers:
            yield block.row(fields)


def _influxql_rows(lines: Iterator[list[str]]) -> Iterator[ExportRow]:
    """Yield the fields of each row; for ``SELECT *``, the columns with texts are tags."""
    header: list[str] = []
    for fields in lines:
        if not any(fields):
            header = []
            continue
        if not header:
            header = [name.strip() for name in fields]
            if _TIME not in header:
                msg = f"has no column time among {quoted(','.join(header))}"
                raise ValueError(msg)
            continue
        named = dict(zip(header, (field.strip() for field in fields), strict=False))
        time, measurement = named.pop(_TIME, ""), named.pop(_NAME, "")
        tags = [("", tag) for tag in named.pop(_TAGS, "").split(",") if tag]
        tags += [(name, value) for name, value in named.items() if not is_number(value)]
        for name, value in named.items():
            if value and is_number(value):
                yield ExportRow(_series(measurement, name, tuple(tags)), time, value)


@lru_cache(maxsize=4_096)
def _series(measurement: str, field: str, tags: tuple[tuple[str, str], ...]) -> SeriesName:
    """Return a series; Home Assistant's integration uses the unit as the measurement's name."""
    pairs = [f"{name}={value}" if name else value for name, value in tags if value]
    values = {pair.partition("=")[2] for pair in pairs}
    unit = measurement if measurement in _NAMED_UNITS else unit_in(field) or unit_in(measurement) or ""
    label = " ".join(part for part in (measurement, field, *pairs) if part)
    return SeriesName(label or "_value", frozenset({measurement, field, *pairs, *values} - {""}), unit)


ANNOTATED = ExportKind(
    "InfluxDB's annotated CSV",
    lambda header: (
        header[0] in {"#datatype", "#group", "#default"} or {"_time", "_value"} <= {*header} or "_measurement" in header
    ),
    _annotated_rows,
)
INFLUXQL = ExportKind(
    "CSV of an InfluxQL query",
    lambda header: _TIME in header and (header[0] == _NAME or [*header] == [_TIME, "value"]),
    _influxql_rows,
)
