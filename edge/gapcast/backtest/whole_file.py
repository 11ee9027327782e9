"""A CSV file that is written as a whole: with all its lines, or not at all."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from gapcast.core.errors import SettingsError

#: Ends the name of a file that is not complete yet.
_PART = ".part"


class WholeFile:
    """Writes lines to a file beside ``path``, which takes its name once all are written.

    If the run fails, that file is removed, and what was at ``path`` stays.
    """

    def __init__(self, option: str, path: Path, header: Sequence[str]) -> None:
        """Write ``header``; raise :class:`SettingsError`, which names ``option``, if ``path`` cannot be written."""
        self._path, self._part = path, path.with_name(path.name + _PART)
        try:
            if path.is_dir():
                raise IsADirectoryError(None, "Is a directory")
            self._file = self._part.open("w", newline="", encoding="utf-8")
        except OSError as error:
            msg = f"{option} {path}: cannot be written ({error.strerror})"
            raise SettingsError(msg) from error
        self._lines = csv.writer(self._file)
        self._lines.writerow(header)

    def write(self, line: Iterable[object]) -> None:
        """Write one line."""
        self._lines.writerow(line)

    def write_all(self, lines: Iterable[Iterable[object]]) -> None:
        """Write some lines."""
        self._lines.writerows(lines)

    def close(self, *, is_complete: bool) -> None:
        """Close the file, and give it its name; remove it if it is not complete."""
        self._file.close()
        if is_complete:
            self._part.replace(self._path)
        else:
            self._part.unlink()
