"""Instants in REST documents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def instant_of(text: Any) -> datetime:
    """Return the instant of an RFC 3339 text, in UTC; raise TypeError or ValueError if it is not one.

    >>> instant_of("2026-01-01T12:00:00+01:00").isoformat()
    '2026-01-01T11:00:00+00:00'
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        msg = f"{text} has no offset"
        raise ValueError(msg)
    return at.astimezone(UTC)
