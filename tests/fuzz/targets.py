"""Every fuzz target, by name; each loads only its own part of the product, to start fast."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType

from tests.fuzz.target import Target

#: The module of each target.
PARTS = MappingProxyType({
    "payload": "meters", "preset": "meters", "setup": "meters", "time": "meters",
    "frames": "wire", "properties": "wire", "json": "wire",
    "predict": "requests", "tensors": "requests",
    "card": "files", "archive": "files", "readings-file": "files",
    "checkpoint": "state", "journal": "state", "journal-lines": "state",
    "configuration": "options", "options": "options", "supervisor": "options",
})  # fmt: skip


def load_target(name: str) -> Target:
    """Return the target called ``name``; raise KeyError if it does not exist."""
    part = import_module(f"tests.fuzz.{PARTS[name]}")
    targets: dict[str, Target] = {target.name: target for target in part.TARGETS}
    return targets[name]
