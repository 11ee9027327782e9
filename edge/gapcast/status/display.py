"""Shows a running service again and again on a terminal, as ``top`` does; or once, for scripts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event

from gapcast.core.errors import StatusError
from gapcast.status.rendering import Pen, draw
from gapcast.status.rest_client import RestClient
from gapcast.status.status_snapshot import StatusSnapshot, fetch_snapshot

#: An alternate screen without a cursor, from its first place on; and back to what was there before.
_ENTER, _HOME, _LEAVE = "\033[?1049h\033[?25l", "\033[H", "\033[?25h\033[?1049l"
_TO_END_OF_LINE, _TO_END = "\033[K", "\033[J"
NOT_READY = 1


def show_once(rest: RestClient, show: Callable[[str], None], *, colours: bool = False) -> int:
    """Show how the service stands; return 0, or 1 where it is not ready. Raises :class:`StatusError`."""
    picture = fetch_snapshot(rest)
    for line in draw(picture, None, datetime.now(UTC), Pen(colours=colours)):
        show(line)
    return NOT_READY if picture.status == "fail" else 0


def watch(rest: RestClient, write: Callable[[str], None], every_s: float, stopping: Event) -> None:
    """Show it each ``every_s`` seconds until ``stopping`` is set; a service that is away comes back by itself."""
    pen, before = Pen(colours=True), None
    write(_ENTER)
    try:
        while True:
            before = _show(rest, write, pen, before)
            if stopping.wait(every_s):
                return
    finally:
        write(_LEAVE)


def _show(
    rest: RestClient, write: Callable[[str], None], pen: Pen, before: StatusSnapshot | None
) -> StatusSnapshot | None:
    columns, rows = shutil.get_terminal_size()
    now = datetime.now(UTC)
    try:
        picture = fetch_snapshot(rest)
        lines = draw(picture, before, now, pen, rows - 1)
    except StatusError as error:
        picture = None
        lines = [pen("gapcast", "strong") + f"  {now:%Y-%m-%d %H:%M:%S} UTC", "", pen(str(error), "bad")]
    lines.append(pen("Ctrl-C to quit", "quiet"))
    write(_HOME + "".join(f"{_cut(line, columns)}{_TO_END_OF_LINE}\r\n" for line in lines[:rows])[:-2] + _TO_END)
    return picture


def _cut(line: str, columns: int) -> str:
    r"""Return as much of a line as fits, colours not counted.

    >>> _cut("ab\033[1mcd\033[0m", 3), _cut("abc", 3)
    ('ab\x1b[1mc\x1b[0m', 'abc')
    """
    kept, n, at = [], 0, 0
    while at < len(line):
        if line[at] == "\033":
            end = line.index("m", at) + 1
            kept.append(line[at:end])
            at = end
            continue
        if n < columns:
            kept.append(line[at])
        n, at = n + 1, at + 1
    return "".join(kept)
