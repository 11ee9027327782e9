"""A folder with the library that was built for this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gapcast.compiled.library import library_path, machine_name
from tests.support.optional_tools import ROOT

COMPILED = ROOT / "edge" / "gapcast" / "compiled"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """Return the path of a copy of the checkout's library, in the test's own folder."""
    target = library_path(tmp_path, machine_name())
    shutil.copyfile(library_path(COMPILED, machine_name()), target)
    return target
