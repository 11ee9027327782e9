"""Downloads of builds and workflows are pinned by content: images by digest, actions by commit, packages by hash."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.optional_tools import ROOT

DOCKERFILES = sorted(ROOT.glob("docker/*Dockerfile"))
COMPOSE_FILES = sorted(ROOT.glob("docker-compose*.yml"))
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
LOCKS = sorted(ROOT.glob("requirements/*.txt"))
FROM = re.compile(r"^FROM\s+(?:--platform=\S+\s+)?(?P<image>\S+)(?:\s+AS\s+(?P<stage>\S+))?", re.MULTILINE)
#: Name and version; 8.4 and 8.4.0 are the same.
PINNED_VERSION = re.compile(r"^([\w.-]+)(?:>=|==)([\w.]+?)(?:\.0)*(?=[\s,;]|$)", re.MULTILINE)
PINNED_IMAGE = re.compile(r"[a-z0-9./_-]+:[\w.-]+@sha256:[0-9a-f]{64}")
PINNED_ACTION = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def base_images(dockerfile: Path) -> Iterator[str]:
    """Yield the external images from which the Dockerfile starts, without its own stages."""
    stages = set()
    for match in FROM.finditer(dockerfile.read_text(encoding="utf-8")):
        image = match["image"]
        if image not in stages and not any(image.startswith(f"{stage}-$") for stage in ("base", "builder")):
            yield image
        stages.add(match["stage"])


class ComposeLoader(yaml.SafeLoader):
    """Reads compose's extension of YAML, ``!override``, as the sequence or mapping that it marks."""


ComposeLoader.add_constructor(
    "!override",
    lambda loader, node: (
        loader.construct_mapping(node) if isinstance(node, yaml.MappingNode) else loader.construct_sequence(node)
    ),
)


def service_images(compose_file: Path) -> Iterator[str]:
    with compose_file.open(encoding="utf-8") as file:
        services = yaml.load(file, Loader=ComposeLoader)["services"]  # noqa: S506 - a safe loader
    yield from (service["image"] for service in services.values() if "image" in service)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_dockerfile_base_images_are_pinned_by_digest(dockerfile: Path) -> None:
    images = list(base_images(dockerfile))
    assert images
    assert [image for image in images if not PINNED_IMAGE.fullmatch(image)] == []


def test_compose_images_are_pinned_by_digest() -> None:
    images = [image for file in COMPOSE_FILES for image in service_images(file) if "GAPCAST_IMAGE" not in image]
    assert len(images) >= 4
    assert [image for image in images if not PINNED_IMAGE.fullmatch(image)] == []


def test_one_tag_has_one_digest_everywhere() -> None:
    digests: dict[str, set[str]] = {}
    images = [image for file in DOCKERFILES for image in base_images(file)]
    images += [image for file in COMPOSE_FILES for image in service_images(file) if "@" in image]
    for image in images:
        tag, digest = image.split("@")
        digests.setdefault(tag, set()).add(digest)
    assert {tag: found for tag, found in digests.items() if len(found) > 1} == {}


def actions(node: Any) -> Iterator[str]:
    """Yield every ``uses`` below ``node``."""
    if isinstance(node, dict):
        if isinstance(node.get("uses"), str):
            yield node["uses"]
        for value in node.values():
            yield from actions(value)
    elif isinstance(node, list):
        for value in node:
            yield from actions(value)


def test_workflow_actions_are_pinned_by_commit() -> None:
    used = [use for file in WORKFLOWS for use in actions(yaml.safe_load(file.read_text(encoding="utf-8")))]
    assert len(used) >= 20
    assert [use for use in used if not use.startswith("./") and not PINNED_ACTION.fullmatch(use)] == []


def test_workflows_grant_nothing_by_default() -> None:
    for file in WORKFLOWS:
        workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {}, file.name
        assert all("permissions" in job for job in workflow["jobs"].values()), file.name


def test_advisory_scan_covers_every_lock() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/advisories.yml").read_text(encoding="utf-8"))
    scanned = re.findall(r"requirements\.txt:(\S+)", workflow["jobs"]["osv"]["with"]["scan-args"])
    assert sorted(scanned) == [f"requirements/{lock.name}" for lock in LOCKS]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_lock_pins_every_package_by_hash(lock: Path) -> None:
    text = re.sub(r"\\\n\s*", " ", lock.read_text(encoding="utf-8"))
    packages = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert packages
    assert [line[:60] for line in packages if "==" not in line or "--hash=sha256:" not in line] == []


def test_lowest_lock_pins_the_minimum_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = project["dependencies"] + project["optional-dependencies"]["demo"]
    bounds = {found for one in declared for found in PINNED_VERSION.findall(one)}
    locked = set(PINNED_VERSION.findall((ROOT / "requirements/lowest.txt").read_text(encoding="utf-8")))
    assert len(bounds) >= 15
    assert bounds - locked == set(), "run scripts/lock"


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_dockerfile_installs_by_hash_or_offline(dockerfile: Path) -> None:
    text = re.sub(r"\\\n", " ", dockerfile.read_text(encoding="utf-8"))
    installs = re.findall(r"\bpip\b[^&]*?\binstall\b[^&\n]*", text)
    assert installs
    assert [line for line in installs if "--require-hashes" not in line and "--no-index" not in line] == []
