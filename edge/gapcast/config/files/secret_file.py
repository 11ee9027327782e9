"""A file that contains one secret: a password or a token."""

from __future__ import annotations

from pathlib import Path

from gapcast.core.errors import SettingsError


def read_secret(origin: str, path: Path) -> str:
    """Return the text in ``path`` without the line ending and a byte order mark.

    Raises :class:`SettingsError` that names ``origin``, the key that names the file, if it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig").rstrip("\r\n")
    except (OSError, ValueError) as error:
        not_text = "it is not text in UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        reason = error.strerror if isinstance(error, OSError) else not_text
        msg = f"{origin}: {path} cannot be read ({reason})"
        raise SettingsError(msg) from error
