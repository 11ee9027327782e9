"""Each line for which a check is switched off states the reason."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.optional_tools import ROOT

pytestmark = pytest.mark.once

FOLDERS = (".ci", "bench", "docker", "edge", "fleet", "scripts", "tests", "trainer")
SUPPRESSION = re.compile(r"#\s*(noqa|type:\s*ignore|ruff:\s*noqa|mypy:\s*ignore)")
#: ``
WITH_REASON = re.compile(r"# (noqa: [A-Z]+\d+(, [A-Z]+\d+)* - \S|type: ignore\[[a-z-]+(, [a-z-]+)*\]  # \S)")


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the comments that switch a check off, each with its line."""
    if SUPPRESSION.search(path.read_text(encoding="utf-8")):
        with path.open("rb") as file:
            for token in tokenize.tokenize(file.readline):
                if token.type == tokenize.COMMENT and SUPPRESSION.search(token.string):
                    yield token.start[0], token.string


@pytest.mark.long
def test_suppressions_have_a_reason() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {comment}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, comment in comments(path)
    ]
    assert found, "no suppression at all: are they still read?"
    without = [each for each in found if not WITH_REASON.search(each)]
    assert not without, "write `# noqa: CODE - reason` or `# type: ignore[code]  # reason`:\n" + "\n".join(without)
