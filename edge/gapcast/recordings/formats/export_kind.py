"""A kind of export of another program's database: how to recognize it, and how to read its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gapcast.core.arrays.array_types import I64


class SeriesName(NamedTuple):
    """A series of an export.

    ``label`` is shown to users, ``names`` are the words that select the series, ``unit`` is the unit of its values,
    empty if the export does not state it.
    """

    label: str
    names: frozenset[str]
    unit: str = ""

    def is_selected_by(self, words: str) -> bool:
        """Return whether ``words``, separated by spaces, select this series.

        >>> power = SeriesName("W value entity_id=home", frozenset({"W", "value", "home"}))
        >>> power.is_selected_by("home"), power.is_selected_by("value home"), power.is_selected_by("hom")
        (True, True, False)
        """
        return words == self.label or {*words.split()} <= self.names


class ExportRow(NamedTuple):
    """A value of a series and its time, as they are written in the file."""

    series: SeriesName
    time: str
    value: str


class SkippedRows(NamedTuple):
    """The number of unused rows at the beginning of a series, and a sentence on how the series was read."""

    n_rows: int = 0
    remark: str = ""


@dataclass(frozen=True, slots=True)
class ExportKind:
    """A kind of export.

    ``matches`` returns whether a header, in lower case, belongs to this kind. ``rows`` converts the fields of each
    line, the header first. ``check`` gets the times of the selected series ``[R]``, epoch ms, and returns which rows
    are left out. Both raise :class:`ValueError`, with a message for users. ``hold_min`` is how long a value holds until
    the next one; None: derived from the usual interval. Kinds with the same ``label_kind`` label the same series
    equally; empty: the labels of this kind cannot be compared with those of another.
    """

    name: str
    matches: Callable[[Sequence[str]], bool]
    rows: Callable[[Iterator[list[str]]], Iterator[ExportRow]]
    check: Callable[[I64], SkippedRows] = lambda _: SkippedRows()
    hold_min: float | None = None
    label_kind: str = ""


def column_of(header: Sequence[str], *names: str) -> int | None:
    """Return the position of the first of ``names`` that ``header`` has, or None.

    >>> column_of(["start", "mean"], "value", "mean")
    1
    """
    return next((header.index(name) for name in names if name in header), None)


def field_at(fields: Sequence[str], at: int | None) -> str:
    """Return a field, stripped; empty if the row does not have it.

    >>> field_at(["a "], 0), field_at([], 0), field_at(["a"], None)
    ('a', '', '')
    """
    return fields[at].strip() if at is not None and at < len(fields) else ""
