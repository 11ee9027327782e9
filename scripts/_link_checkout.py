"""Links a checkout into the current environment, like an editable install without a build.

The packages are importable in the environment, the commands are
in its ``bin``, and ``importlib.metadata`` finds the distribution.
"""

from __future__ import annotations

import sys
import sysconfig
import tomllib
from pathlib import Path

# For sh the second line starts Python on this file; for Python it is a string. A plain "#!" line with the path of
# Python does not always work: it may be too long, or contain spaces.
COMMAND = """\
#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys

from {module} import {function}

sys.exit({function}())
"""

#: Folders of the import packages, relative to the checkout.
PACKAGES = ("edge", "fleet", "trainer")


def link(root: Path) -> None:
    """Write the path file, the distribution's metadata and its commands."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version, commands = project["name"], project["version"], project["scripts"]
    packages, binaries = Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("scripts"))
    (packages / f"{name}.pth").write_text("".join(f"{root / folder}\n" for folder in PACKAGES), encoding="utf-8")
    metadata = packages / f"{name}-{version}.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    entry_points = "".join(f"{command} = {target}\n" for command, target in commands.items())
    (metadata / "entry_points.txt").write_text(f"[console_scripts]\n{entry_points}", encoding="utf-8")
    for command, target in commands.items():
        module, function = target.split(":")
        path = binaries / command
        path.write_text(COMMAND.format(python=sys.executable, module=module, function=function), encoding="utf-8")
        path.chmod(0o755)


if __name__ == "__main__":
    link(Path(sys.argv[1]).resolve())
