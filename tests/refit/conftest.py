"""Excludes tests that import LightGBM if it is not installed; scripts/test runs them with the trainer's tests."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = ["test_fit.py"] if find_spec("lightgbm") is None else []
