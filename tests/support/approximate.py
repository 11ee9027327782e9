"""``pytest.approx`` where a number is expected: inside tuples, dataclasses and dictionaries."""

from __future__ import annotations

from typing import Any

import pytest


def approx(expected: float, abs: float | None = None) -> Any:
    """Return ``pytest.approx`` of ``expected``, without its type: it stands in for a float."""
    return pytest.approx(expected, abs=abs)
