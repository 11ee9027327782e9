"""The names of tests are short enough to be read as a sentence."""

from __future__ import annotations

import re

import pytest

from tests.support.optional_tools import ROOT

pytestmark = pytest.mark.once

MAX_LENGTH = 70
DEFINITION = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)


def test_names_of_tests_have_at_most_70_characters() -> None:
    names = [
        (path.relative_to(ROOT), name)
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for name in DEFINITION.findall(path.read_text(encoding="utf-8"))
    ]
    assert len(names) > 1_000, "no tests found: has the folder moved?"
    too_long = [f"{path} {name}" for path, name in names if len(name) > MAX_LENGTH]
    assert not too_long, f"longer than {MAX_LENGTH} characters:\n" + "\n".join(too_long)
