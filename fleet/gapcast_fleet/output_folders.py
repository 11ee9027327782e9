"""Checks the folders that a command writes to, before it starts Spark."""

from __future__ import annotations

from pathlib import Path

from gapcast.core.errors import SettingsError
from gapcast.private_files import make_private_folder, write_error


def check_outside(source: Path, option: str, folder: Path) -> None:
    """Raise :class:`SettingsError`, which names ``option``, if files in ``folder`` would be read as input.

    ``source`` is the folder of the input. Spark reads all folders below it, except those whose names begin with ``_``
    or a dot.
    """
    read, written = source.resolve(), folder.resolve()
    if written.is_relative_to(read) and not has_hidden_part(written.relative_to(read)):
        where = "is" if written == read else "is in"
        msg = (
            f"{option} {folder}: {where} the input folder {source}, which would be read with what is written there: "
            "use a folder elsewhere"
        )
        raise SettingsError(msg)


def has_hidden_part(path: Path) -> bool:
    """Return whether Spark skips the relative ``path``, because a part of it begins with ``_`` or a dot."""
    return any(part.startswith(("_", ".")) for part in path.parts)


def make_output_folder(option: str, folder: Path) -> None:
    """Create ``folder``, private, unless it exists; raise :class:`SettingsError` if this account cannot write there."""
    try:
        make_private_folder(folder)
        if error := write_error(folder):
            raise error
    except OSError as error:
        msg = f"{option} {folder}: cannot be written ({error.filename}: {error.strerror}): use another folder"
        raise SettingsError(msg) from error
