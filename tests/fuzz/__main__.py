"""Runs inputs through a fuzz target, without a fuzzer: ``python -m tests.fuzz TARGET FILE...``."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fuzz.targets import load_target

if __name__ == "__main__":
    _, name, *paths = sys.argv
    target = load_target(name)
    for path in paths:
        target.check(Path(path).read_bytes())
        print(f"{path}: nothing found")
