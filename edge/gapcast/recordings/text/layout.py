"""The layout of a file of readings: columns, unit, separators, time zone, and how long a sample holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import Literal, TypedDict

from gapcast.core.errors import SettingsError

Unit = Literal["W", "kW"]
NO_OPTIONS = (
    "UCI's format and Parquet of `gapcast-trainer prepare` need no further option; "
    "for another file name its columns by --time-column and --value-column"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a meter's CSV file.

    ``unit`` None: the value's column must name it (``power_w``), or ``default_unit`` is used. ``separator`` None: the
    most frequent one of ``, ; | tab`` in the header that separates the named columns. ``zone`` and ``time_format`` are
    defined by :class:`~gapcast.recordings.text.timestamps.TimestampParser`. ``features`` are columns by the names of
    :data:`gapcast.core.windows.features.MEASURED`, in the units in these names. ``submeters`` are the columns of
    submeters, in the unit of the power. ``may_only_rise``: values that only rise, as those of an energy counter, are
    accepted if ``unit`` or the name of the column states a unit of power.
    """

    time_column: str
    value_column: str
    unit: Unit | None = None
    separator: str | None = None
    decimal: Literal[".", ","] = "."
    time_format: str | None = None
    zone: tzinfo | None = None
    features: Mapping[str, str] = field(default_factory=dict)
    default_unit: Unit | None = None
    submeters: tuple[str, ...] = ()
    may_only_rise: bool = True


@dataclass(frozen=True, slots=True)
class FileFormat:
    """How a file is read. Without ``layout``: an export, UCI's set, or Parquet of ``gapcast-trainer prepare``.

    ``hold_min`` is the parameter of :func:`~gapcast.recordings.minutes.minute_means.sampling_of`. ``unit``, ``zone``
    and ``entity``, the words that select a series, are for exports of Home Assistant and InfluxDB, whose columns are
    known. ``submeters``: whether to read the submeters of UCI's set.
    """

    layout: Layout | None = None
    hold_min: float | None = None
    unit: Unit | None = None
    zone: tzinfo | None = None
    entity: str | None = None
    submeters: bool = False


class FileOptions(TypedDict):
    """The options of :mod:`gapcast.recordings.options`, as a command receives them."""

    time_column: str | None
    value_column: str | None
    unit: Unit | None
    separator: str | None
    decimal: Literal[".", ","]
    time_format: str | None
    zone: tzinfo | None
    hold_min: float | None
    entity: str | None


def file_format(
    options: FileOptions, features: Mapping[str, str] | None = None, default_unit: Unit | None = None
) -> FileFormat:
    """Return the format that the options of a command describe.

    Raises :class:`SettingsError` if only one column is named, or options of a CSV file are given without its columns.
    """
    time_column, value_column = options["time_column"], options["value_column"]
    if time_column is not None and value_column is not None:
        if options["entity"] is not None:
            msg = f"--entity {options['entity']}: is for exports, which need no --time-column and --value-column"
            raise SettingsError(msg)
        layout = Layout(
            time_column,
            value_column,
            options["unit"],
            options["separator"],
            options["decimal"],
            options["time_format"],
            options["zone"],
            features or {},
            default_unit,
        )
        return FileFormat(layout, options["hold_min"])
    if time_column is not None or value_column is not None:
        names = ("--time-column", "--value-column")
        given, other = names if value_column is None else names[::-1]
        msg = f"{given} needs {other} too; for a file in the format of UCI's household power data set, omit both"
        raise SettingsError(msg)
    if features or options["separator"] or options["time_format"]:
        raise SettingsError(NO_OPTIONS)
    return FileFormat(None, options["hold_min"], options["unit"], options["zone"], options["entity"])


def with_submeters(form: FileFormat, columns: Sequence[str], *, of_uci: bool) -> FileFormat:
    """Return ``form`` with the submeters in ``columns``, or with UCI's submeters if ``of_uci``.

    Raises :class:`SettingsError` if the format has no columns to name, or one is named twice.
    """
    if not columns:
        return replace(form, submeters=of_uci)
    if form.layout is None or of_uci:
        msg = f"--submeter-column {columns[0]}: name the other columns too, by --time-column and --value-column"
        raise SettingsError(msg + (", and leave out --submeters, which is for UCI's set" if of_uci else ""))
    every = (form.layout.time_column, form.layout.value_column, *columns)
    for column in columns:
        if every.count(column) > 1:
            msg = f"--submeter-column {column}: the column is named twice; name each once"
            raise SettingsError(msg)
    return replace(form, layout=replace(form.layout, submeters=tuple(columns)))
