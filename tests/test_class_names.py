"""One class name has one meaning in all packages, in bench and in what tests share."""

from __future__ import annotations

import ast
from collections import defaultdict

import pytest

from tests.support.optional_tools import ROOT

pytestmark = pytest.mark.once

FOLDERS = ("edge/gapcast", "fleet/gapcast_fleet", "trainer/gapcast_trainer", "bench", "tests/support")


def public_classes() -> dict[str, list[str]]:
    """Return where each public class is defined, by its name."""
    places = defaultdict(list)
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return places


@pytest.mark.long
def test_public_class_names_are_unique() -> None:
    places = public_classes()
    assert len(places) > 100, "no classes found: have the folders moved?"
    shared = [f"{name}: {', '.join(found)}" for name, found in places.items() if len(found) > 1]
    assert not shared, "rename the less central class of each pair:\n" + "\n".join(shared)
