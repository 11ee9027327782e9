"""Checks of the files that a command writes beside those that it reads."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gapcast.core.errors import SettingsError


def check_apart(read: Iterable[Path], written: Mapping[str, Path | None], models: Iterable[Path] = ()) -> None:
    """Raise :class:`SettingsError` if an option of ``written`` names a file in ``read``, or two name the same file.

    Writing would replace an input, or one result by another. Files in the folders of ``models`` must not be replaced
    either. A device, such as ``/dev/null``, may be named twice.
    """
    known = {path.resolve(): f"the file {path}, which is read" for path in read}
    folders = {folder.resolve(): folder for folder in models}
    for option, path in written.items():
        if path is None or (path.exists() and not path.is_file()):
            continue
        target = path.resolve()
        replaced = known.get(target)
        if replaced is None and target.exists():
            replaced = next(
                (f"a file of the models in {folders[one]}" for one in target.parents if one in folders), None
            )
        if replaced is not None:
            msg = f"{option} {path}: would replace {replaced}: name another file"
            raise SettingsError(msg)
        known[target] = f"what {option} writes"


@contextmanager
def exiting_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block like Ctrl-C, so that unfinished files are removed: exit code 143 or 129.

    A signal that this process ignores, such as SIGHUP below ``nohup``, stays ignored.
    """
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)}
    changed = {one: handler for one, handler in before.items() if handler != signal.SIG_IGN}
    for one in changed:
        signal.signal(one, _exit)
    try:
        yield
    finally:
        for one, handler in changed.items():
            signal.signal(one, handler)


def _exit(number: int, _frame: object) -> None:
    sys.exit(128 + number)  # as a shell reports a process that a signal ended
