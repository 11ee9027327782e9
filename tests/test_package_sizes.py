"""Packages that are divided into packages have few modules of their own, so that a reader finds the way down."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LOOSE = 6


def packages() -> list[Path]:
    """Return the folders of all packages that contain packages."""
    roots = [ROOT / "edge/gapcast", ROOT / "trainer/gapcast_trainer", ROOT / "fleet/gapcast_fleet"]
    return sorted({path.parents[1] for root in roots for path in root.rglob("__init__.py")} - {r.parent for r in roots})


@pytest.mark.parametrize("package", packages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_divided_package_has_few_loose_modules(package: Path) -> None:
    loose = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    assert len(loose) <= MAX_LOOSE, sorted(loose)
