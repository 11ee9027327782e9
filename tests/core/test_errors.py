"""Errors that name where a problem is."""

from __future__ import annotations

from gapcast.core.errors import SourceError


def test_source_error_names_the_line() -> None:
    assert str(SourceError("a.csv", "no number", 7)) == "a.csv, line 7: no number"
    assert str(SourceError("a.csv", "not there")) == "a.csv: not there"
