"""The systemd unit file, with the paths of this installation."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from gapcast.core.errors import SettingsError

DEFAULT_CONFIG = Path("/etc/gapcast/gapcast.toml")
#: Paths that the unit hides from the service: by ProtectHome and by PrivateTmp.
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - where no configuration should be
#: In the folder that contains the checkout; a wheel's path may replace ./gapcast.
_SYSTEM_INSTALL = "sudo PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install ./gapcast"
#: Characters with a special meaning in a unit file.
_SPECIAL_CHARACTERS = frozenset(" \t\n\"'\\%$;@:")


def unit(command: Path, config: Path) -> str:
    """Return the unit that runs ``command`` with ``config``, and with the password in the file beside it.

    Raises :class:`SettingsError` if a path cannot be used in a unit.
    """
    text = (Path(__file__).parent / "gapcast.service").read_text(encoding="utf-8")
    password = config.parent / "mqtt-password"
    for mark, option, path in (
        ("@GAPCAST@", "--command", command),
        ("@CONFIG@", "--config", config),
        ("@PASSWORD@", "--config", password),
    ):
        if not path.is_absolute():
            msg = f"{option}: {path} must be an absolute path, such as /usr/local/bin/gapcast"
            raise SettingsError(msg)
        if special := _SPECIAL_CHARACTERS & set(str(path)):
            named = " and ".join("a blank" if one == " " else repr(one) for one in sorted(special))
            msg = f"{option}: {path} contains {named}, which systemd would interpret: use another path"
            raise SettingsError(msg)
        text = text.replace(mark, str(path))
    return text


def own_command() -> Path:
    """Return the absolute path of the command ``gapcast`` that started this process.

    Symbolic links are not resolved: the one in ``/usr/local/bin`` stays valid after an upgrade.
    Raises :class:`SettingsError` if the command is not found.
    """
    started = Path(sys.argv[0])
    found = started if started.name == "gapcast" and "/" in sys.argv[0] else None
    named = found or (Path(path) if (path := shutil.which("gapcast")) else None)
    if named is None:
        msg = "there is no command gapcast on the PATH: install it, or pass --command /usr/local/bin/gapcast"
        raise SettingsError(msg)
    return named.absolute()


def require_visible(command: Path, others: Iterable[Path] = ()) -> None:
    """Raise :class:`SettingsError` if the unit hides ``command`` or one of ``others`` from the service."""
    for path in (command, command.resolve(), *others):
        if any(path.is_relative_to(home) for home in _HOMES):
            msg = (
                f"{path} is in a home folder, which the service cannot access: "
                f"install gapcast system-wide, from the path of its checkout or wheel: {_SYSTEM_INSTALL}"
            )
            raise SettingsError(msg)


def is_hidden(config: Path) -> bool:
    """Return whether the unit hides a configuration at this path from the service."""
    return any(config.absolute().is_relative_to(place) for place in (*_HOMES, *_TEMPORARY))


def interpreter_paths() -> tuple[Path, ...]:
    """Return the paths of this interpreter: its environment and its base installation."""
    return tuple(Path(part).resolve() for part in (sys.prefix, sys.base_prefix, sys.executable))
