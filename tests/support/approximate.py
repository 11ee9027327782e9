"""``pytest.approx`` with the type of a number, for tuples, dataclasses and dictionaries."""

from __future__ import annotations

from typing import Any

import pytest


def approx(expected: float, abs: float | None = None) -> Any:
    """Return ``pytest.approx`` of ``expected``, typed as any value so that it can replace a float."""
    return pytest.approx(expected, abs=abs)
