"""The files that a command writes beside those that it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from gapcast.core.errors import SettingsError


def check_apart(read: Iterable[Path], written: Mapping[str, Path | None]) -> None:
    """Raise :class:`SettingsError` if an option of ``written`` names a file of ``read``, or two name the same file.

    Writing would replace the readings, or one result by the other. A device, such as ``/dev/null``, may be named twice.
    """
    known = {path.resolve(): f"the file of readings {path}" for path in read}
    for option, path in written.items():
        if path is None or (path.exists() and not path.is_file()):
            continue
        if path.resolve() in known:
            msg = f"{option} {path}: would replace {known[path.resolve()]}: name another file"
            raise SettingsError(msg)
        known[path.resolve()] = f"what {option} writes"
