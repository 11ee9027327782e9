"""Documents: the modules, files and folders that they name exist."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.optional_tools import ROOT

pytestmark = pytest.mark.once

FOLDERS = ("bench", "docs", "edge", "fleet", "models", "monitoring", "scripts", "tests", "trainer")
PAGES = sorted(str(path.relative_to(ROOT)) for path in [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("[CRS]*.md")])
#: It names earlier modules and paths.
PAGES.remove("CHANGELOG.md")
TREE = re.compile(r"^## Layout$.*?^```$(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULE = re.compile(r"`(gapcast(?:_fleet|_trainer)?(?:\.[a-z][a-z_0-9]*)+)`")
PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]+)`")
#: A source file without its whole path, such as `fast_path.py` or `predictors/tflite/runtime.py`.
FILE = re.compile(r"`((?:[\w-]+/)*\w+\.(?:c|h|js|py))`")
#: Files of users, of examples and of other programs.
NOT_HERE = {
    "Python.h",
    "gapcast.acl",
    "gapcast.toml",
    "gapcast.toml.before",
    "gapcast_load.py",
    "make_meter.py",
    "recent_mean.py",
    "tests/fixtures/fuzz/TARGET/",
}


def paths_in_tree(tree: str) -> Iterator[Path]:
    """Yield the path of each line of an indented ``tree``, and of each ``.py`` file that its description names."""
    folders: list[str] = []
    for line in tree.strip("\n").splitlines():
        name, _, description = line.strip().partition(" ")
        level = (len(line) - len(line.lstrip())) // 2
        folders = [*folders[:level], name]
        yield Path(*folders)
        yield from (Path(*folders[:-1], file) for file in re.findall(r"\b\w+\.py\b", description))


def is_found(name: str) -> bool:
    """Return whether ``name`` is a module or a package, or what one of them defines or imports."""
    package, _, last = name.rpartition(".")
    for root in ("edge", "fleet", "trainer"):
        path, holder = (ROOT / root / one.replace(".", "/") for one in (name, package))
        if path.is_dir() or path.with_suffix(".py").is_file():
            return True
        source = holder / "__init__.py" if holder.is_dir() else holder.with_suffix(".py")
        if source.is_file() and re.search(rf"\b{last}\b", source.read_text(encoding="utf-8")):
            return True
    return False


def test_architecture_tree_names_existing_files() -> None:
    found = TREE.search((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    assert found
    paths = list(paths_in_tree(found[1]))
    assert len(paths) > 150
    assert [str(path) for path in paths if not (ROOT / path).exists()] == []


@cache
def source_files() -> tuple[str, ...]:
    """Return the paths of all source files of the repository."""
    return tuple(str(path) for folder in FOLDERS for path in (ROOT / folder).rglob("*.*"))


@pytest.mark.parametrize("page", PAGES)
def test_page_names_existing_modules_and_paths(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    modules, paths, files = (set(form.findall(text)) - NOT_HERE for form in (MODULE, PATH, FILE))
    assert sorted(module for module in modules if not is_found(module)) == []
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []
    assert sorted(file for file in files if not any(path.endswith(f"/{file}") for path in source_files())) == []


@pytest.mark.parametrize(
    ("page", "containers"),
    [
        ("docs/architecture.md", ["gapcast"]),
        ("docs/decisions/0003-import-layers.md", ["gapcast", "gapcast_trainer"]),
    ],
)
def test_page_shows_the_layers_of_the_import_contracts(page: str, containers: list[str]) -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    layers = {
        one["containers"][0]: [layer.strip("()") for layer in one["layers"]]
        for one in tool["importlinter"]["contracts"]
        if one["type"] == "layers"
    }
    blocks = re.findall(r"```\n( *__main__\n.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    shown = [[line.strip() for line in block.strip().splitlines()] for block in blocks]
    assert shown == [layers[container] for container in containers]
