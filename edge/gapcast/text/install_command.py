"""The command that installs gapcast again, with one of its extras, where it is installed now."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def install_command(extra: str) -> str:
    """Return the command that adds ``extra``, to be run in the checkout, such as ``pipx install --force '.[demo]'``.

    pipx and uv leave a file in the environment of a tool. ``pip install`` would change another environment than that.
    """
    environment = Path(sys.prefix)
    if (environment / "pipx_metadata.json").is_file():
        return f"{_for_all('PIPX_HOME', environment.parents[1], 'PIPX_BIN_DIR')}pipx install --force '.[{extra}]'"
    if (environment / "uv-receipt.toml").is_file():
        return f"{_for_all('UV_TOOL_DIR', environment.parent, 'UV_TOOL_BIN_DIR')}uv tool install --force '.[{extra}]'"
    return f"pip install '.[{extra}]'"


def _for_all(home_variable: str, home: Path, commands_variable: str) -> str:
    """Return what precedes the command of a tool that is installed for all accounts, outside the home folder."""
    if home.is_relative_to(Path.home()):
        return ""
    command = shutil.which("gapcast")
    folders = {home_variable: home} | ({commands_variable: Path(command).parent} if command else {})
    return "".join(["sudo ", *(f"{name}={shlex.quote(str(folder))} " for name, folder in folders.items())])
