"""Modules are short, and packages that contain packages have few modules beside them: a reader finds the way down."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
MAX_LOOSE = 6
MAX_LINES = 250
PACKAGES = [ROOT / "edge/gapcast", ROOT / "trainer/gapcast_trainer", ROOT / "fleet/gapcast_fleet"]


def packages() -> list[Path]:
    """Return the folders of all packages that contain packages."""
    inner = {path.parents[1] for package in PACKAGES for path in package.rglob("__init__.py")}
    return sorted(inner - {package.parent for package in PACKAGES})


@pytest.mark.parametrize("package", packages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_divided_package_has_few_loose_modules(package: Path) -> None:
    loose = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    assert len(loose) <= MAX_LOOSE, sorted(loose)


def test_modules_are_not_long() -> None:
    lines = {path: path.read_text(encoding="utf-8").count("\n") for one in PACKAGES for path in one.rglob("*.py")}
    assert len(lines) > 500
    assert [f"{path.relative_to(ROOT)}: {n} lines" for path, n in lines.items() if n > MAX_LINES] == []
