"""What deploy/ gives to other programs, as it is there, and the examples of docs/demand-energy-managers.md."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from tests.support.optional_tools import ROOT

EMHASS_LOAD = ROOT / "deploy" / "emhass" / "gapcast_load.py"
SHELL = ROOT / "deploy" / "shell"
_PAGE = ROOT / "docs" / "demand-energy-managers.md"


def script_module(path: Path) -> ModuleType:
    """Return the script at ``path`` as a module."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def documented_blocks(language: str) -> list[str]:
    """Return the code blocks in ``language`` of the page, in order."""
    return re.findall(rf"```{language}\n(.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)
