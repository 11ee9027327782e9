"""The options of commands that read a file of readings, shared by these commands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Any, TypeVar

import click

from gapcast.core.time_grid import DAY_MIN
from gapcast.text.time_zone_names import suggestion, zone_of

_LONGEST_HOLD_MIN = 366 * DAY_MIN
Command = TypeVar("Command", bound=Callable[..., Any])


class Zone(click.ParamType[tzinfo]):
    """The name of an IANA time zone."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tzinfo:
        """Return the zone; fail for a name that is not one."""
        if isinstance(value, tzinfo):
            return value
        try:
            return zone_of(value)
        except ValueError:
            meant = suggestion(value, ", such as Europe/London or UTC")
            self.fail(f"{value!r} is not an IANA time zone{meant}", param, ctx)


class Separator(click.ParamType[str]):
    """One character, or the word tab."""

    name = "separator"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the character; fail for anything else."""
        character = {"tab": "\t", "\\t": "\t"}.get(value, value)
        if len(character) != 1 or character in '"\r\n':
            self.fail(f"{value!r} is neither one character nor the word tab", param, ctx)
        return str(character)


class HoldTime(click.ParamType[float]):
    """A positive number of minutes, up to a year."""

    name = "minutes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; fail for anything else, such as nan."""
        try:
            hold_min = float(value)
        except ValueError:
            hold_min = 0.0
        if not 0 < hold_min <= _LONGEST_HOLD_MIN:
            self.fail(f"{value!r} is not a number of minutes above 0 and up to {_LONGEST_HOLD_MIN:,}", param, ctx)
        return hold_min


def single_column(_ctx: click.Context, _param: click.Parameter, columns: tuple[str, ...]) -> str | None:
    """Return the column; fail if several are named."""
    if len(columns) > 1:
        named = " and ".join(map(repr, columns))
        msg = f"is one column, not {named}: compute the house's power first (docs/data.md#several-columns-or-files)"
        raise click.BadParameter(msg)
    return columns[0] if columns else None


def _unit() -> Any:
    return click.option(
        "--unit",
        type=click.Choice(["W", "kW"], case_sensitive=False),
        help="Unit of the power, if the column name does not contain it.",
    )


def _times(zone_default: str) -> tuple[Any, ...]:
    return (
        click.option(
            "--time-format",
            metavar="FORMAT",
            help="Format of the timestamps, such as '%d.%m.%Y %H:%M'.  [default: ISO 8601, or epoch]",
        ),
        click.option(
            "--timezone",
            "zone",
            type=Zone(),
            help=f"Time zone of timestamps without an offset.  [default: {zone_default}]",
        ),
        click.option(
            "--hold",
            "hold_min",
            type=HoldTime(),
            metavar="MINUTES",
            help="Longest time that a sample is valid.  [default: twice the usual interval]",
        ),
    )


def _adding(*options: Any) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def sample_options(zone_default: str) -> Callable[[Command], Command]:
    """Return a decorator that adds ``unit``, ``time_format``, ``zone`` and ``hold_min``, which apply to any format.

    ``zone_default`` describes the zone that is used without ``--timezone``.
    """
    return _adding(_unit(), *_times(zone_default))


def file_options(zone_default: str) -> Callable[[Command], Command]:
    """Return a decorator that adds the options of a file's format, which :func:`file_format` reads.

    ``zone_default`` describes the zone that is used without ``--timezone``.
    """
    return _adding(
        click.option(
            "--entity",
            metavar="NAME",
            help="Series of an export: Home Assistant's entity. For InfluxDB, words that occur in the measurement, "
            "field or tags.",
        ),
        click.option("--time-column", metavar="NAME", help="Column with the timestamps; an export needs none."),
        click.option(
            "--value-column",
            multiple=True,  # else click would use the last one without a message
            callback=single_column,
            metavar="NAME",
            help="Column with the power values.",
        ),
        _unit(),
        click.option("--separator", type=Separator(), help="Field separator.  [default: detected from the header]"),
        click.option(
            "--decimal", type=click.Choice([".", ","]), default=".", show_default=True, help="Decimal separator."
        ),
        *_times(zone_default),
    )
