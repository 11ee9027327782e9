"""A file that is written as a whole: with all its lines, or not at all."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Self

from gapcast.core.errors import SettingsError


class WholeFile:
    """Writes to a file beside ``path``, which takes its name once it is complete.

    If the run fails, that file is removed, and an existing file at ``path`` stays. A device, such as ``/dev/stdout``,
    is written directly.
    """

    def __init__(self, option: str, path: Path, header: Sequence[str] = ()) -> None:
        """Write the CSV line ``header``, if it has columns.

        Raises :class:`SettingsError`, which names ``option``, if ``path`` cannot be written.
        """
        self._name = f"{option} {path}"
        with self._named_errors():
            if path.is_dir():
                raise IsADirectoryError(None, "Is a directory")
            is_file = not path.exists() or path.is_file()
            self._path = path.resolve() if is_file else path  # a link stays a link; a link to a pipe has no target path
            self._part = self._path.with_name(f".{self._path.name}.{token_hex(4)}.part") if is_file else path
            self._file = self._part.open("x" if is_file else "w", newline="", encoding="utf-8")
        self._lines = csv.writer(self._file)
        if header:
            self.write(header)

    def __enter__(self) -> Self:
        """Return this file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, which is complete unless there was an error."""
        self.close(is_complete=kind is None)

    def write(self, line: Iterable[object]) -> None:
        """Write one CSV line. Like the other methods, raises :class:`SettingsError` if this fails."""
        with self._named_errors():
            self._lines.writerow(line)

    def write_all(self, lines: Iterable[Iterable[object]]) -> None:
        """Write several CSV lines."""
        with self._named_errors():
            self._lines.writerows(lines)

    def write_text(self, text: str) -> None:
        """Write ``text``."""
        with self._named_errors():
            self._file.write(text)

    def close(self, *, is_complete: bool) -> None:
        """Close the file and rename it to its final name; remove it if it is not complete."""
        try:
            if is_complete:
                with self._named_errors():
                    self._file.close()
                    if self._part != self._path:
                        self._part.replace(self._path)
        finally:
            with suppress(OSError):  # buffered text may not fit, but the file is removed
                self._file.close()
            if self._part != self._path:
                self._part.unlink(missing_ok=True)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            msg = f"{self._name}: cannot be written ({error.strerror})"
            raise SettingsError(msg) from error


def remove_parts(path: Path) -> None:
    """Remove the incomplete files of ``path`` that killed runs left; no run may write it meanwhile."""
    for part in path.parent.glob(f".{escape(path.name)}.*.part"):
        part.unlink(missing_ok=True)


def write_whole(option: str, path: Path, text: str) -> None:
    """Write ``text`` to ``path`` completely or not at all; raise :class:`SettingsError`, which names ``option``."""
    with WholeFile(option, path) as file:
        file.write_text(text)
