"""The number of random examples of a test."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

#: Hypothesis's own number, which the profile for a second and a third Python lowers (tests/conftest.py).
USUAL = 100


def examples(n: int, **options: Any) -> settings:
    """Return settings with ``n`` examples, or with those of the profile if it has fewer than usual."""
    most = settings().max_examples
    return settings(max_examples=n if most >= USUAL else min(n, most), **options)
