"""Documents about the code: the modules, files and folders that they name exist."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.optional_tools import ROOT

PAGES = ("docs/architecture.md", "docs/decisions/0003-import-layers.md", "docs/extending.md")
TREE = re.compile(r"^## Layout$.*?^```$(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULE = re.compile(r"`(gapcast(?:_fleet|_trainer)?(?:\.[a-z][a-z_0-9]*)+)`")
PATH = re.compile(r"`((?:docs|edge|fleet|models|monitoring|scripts|tests|trainer)/[\w./-]+)`")


def paths_in_tree(tree: str) -> Iterator[Path]:
    """Yield the path of each line of an indented ``tree``, and of each ``.py`` file that its description names."""
    folders: list[str] = []
    for line in tree.strip("\n").splitlines():
        name, _, description = line.strip().partition(" ")
        level = (len(line) - len(line.lstrip())) // 2
        folders = [*folders[:level], name]
        yield Path(*folders)
        yield from (Path(*folders[:-1], file) for file in re.findall(r"\b\w+\.py\b", description))


def path_of(module: str) -> Path | None:
    """Return the file or folder of a module, or None."""
    for root in ("edge", "fleet", "trainer"):
        path = ROOT / root / module.replace(".", "/")
        if path.is_dir() or path.with_suffix(".py").is_file():
            return path
    return None


def test_architecture_tree_names_existing_files() -> None:
    found = TREE.search((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    assert found
    paths = list(paths_in_tree(found[1]))
    assert len(paths) > 150
    assert [str(path) for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_page_names_existing_modules_and_paths(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    modules, paths = set(MODULE.findall(text)), set(PATH.findall(text))
    assert modules | paths
    assert sorted(module for module in modules if path_of(module) is None) == []
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


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
