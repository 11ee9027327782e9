"""Displays the status of a running service: live on a terminal, as ``top`` does, or once for scripts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event

from gapcast.core.errors import StatusError
from gapcast.status.rendering import TerminalStyle, draw
from gapcast.status.rest_client import RestClient
from gapcast.status.status_snapshot import StatusSnapshot, fetch_snapshot

#: Escape sequences: enter the alternate screen without a cursor, move to its start, and leave it.
_ENTER, _HOME, _LEAVE = "\033[?1049h\033[?25l", "\033[H", "\033[?25h\033[?1049l"
_TO_END_OF_LINE, _TO_END = "\033[K", "\033[J"
NOT_READY = 1


def show_once(rest: RestClient, show: Callable[[str], None], *, colours: bool = False) -> int:
    """Show the status once; return 0, or 1 if the service is not ready. Raises :class:`StatusError`."""
    snapshot = fetch_snapshot(rest)
    for line in draw(snapshot, None, datetime.now(UTC), TerminalStyle(colours=colours)):
        show(line)
    return NOT_READY if snapshot.status == "fail" else 0


def watch(
    rest: RestClient, write: Callable[[str], None], every_s: float, stopping: Event, *, colours: bool = True
) -> None:
    """Show the status every ``every_s`` until ``stopping`` is set, also across restarts of the service."""
    styled, before = TerminalStyle(colours=colours), None
    write(_ENTER)
    try:
        while True:
            before = _show(rest, write, styled, before)
            if stopping.wait(every_s):
                return
    finally:
        write(_LEAVE)


def _show(
    rest: RestClient, write: Callable[[str], None], styled: TerminalStyle, before: StatusSnapshot | None
) -> StatusSnapshot | None:
    columns, rows = shutil.get_terminal_size()
    now = datetime.now(UTC)
    try:
        snapshot = fetch_snapshot(rest)
        lines = draw(snapshot, before, now, styled, rows - 1)
    except StatusError as error:
        snapshot = None
        lines = [styled("gapcast", "strong") + f"  {now:%Y-%m-%d %H:%M:%S} UTC", "", styled(str(error), "bad")]
    lines.append(styled("Ctrl-C to quit", "quiet"))
    write(_HOME + "".join(f"{_truncate(line, columns)}{_TO_END_OF_LINE}\r\n" for line in lines[:rows])[:-2] + _TO_END)
    return snapshot


def _truncate(line: str, columns: int) -> str:
    r"""Truncate a line to ``columns``, not counting colour codes.

    >>> _truncate("ab\033[1mcd\033[0m", 3), _truncate("abc", 3)
    ('ab\x1b[1mc\x1b[0m', 'abc')
    """
    parts, n, at = [], 0, 0
    while at < len(line):
        if line[at] == "\033":
            end = line.index("m", at) + 1
            parts.append(line[at:end])
            at = end
            continue
        if n < columns:
            parts.append(line[at])
        n, at = n + 1, at + 1
    return "".join(parts)
