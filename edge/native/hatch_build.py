"""Puts the compiled steps into the wheel: called by hatchling, by ``[tool.hatch.build.targets.wheel.hooks.custom]``.

With ziglang, as in requirements/build.txt, the wheel gets a library for each machine. Without it, as when pip builds
the wheel of a checkout, it gets one for this machine if it has a C compiler. Otherwise the wheel has no library, and
numpy is used.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gapcast.compiled.library import machine_name
from native import build


class CompiledSteps(BuildHookInterface[Any]):
    """Builds the libraries into a temporary folder."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the libraries to the wheel; an editable install gets this machine's, in the checkout."""
        if version == "editable":
            self._build_own(build.COMPILED)
            return
        self._folder = TemporaryDirectory(prefix="gapcast-")
        folder = Path(self._folder.name)
        libraries = build.build_all(folder) if build.has_zig() else self._build_own(folder)
        build_data["force_include"] |= {str(path): f"gapcast/compiled/{path.name}" for path in libraries}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary folder."""
        if version != "editable":
            self._folder.cleanup()

    def _build_own(self, folder: Path) -> list[Path]:
        compiler, machine = build.own_compiler(), machine_name()
        if compiler is None:
            self.app.display_warning("No C compiler: gapcast will compute with numpy alone, which takes longer")
            return []
        try:
            return [build.build(folder, machine, compiler)]
        except subprocess.CalledProcessError as error:
            self.app.display_warning(f"{error}: gapcast will compute with numpy alone, which takes longer")
            return []
