"""The unit that systemd runs gapcast by, with the paths of this installation."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from gapcast.core.errors import SettingsError

DEFAULT_CONFIG = Path("/etc/gapcast/gapcast.toml")
#: What the unit hides from the service: ProtectHome, and PrivateTmp.
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_PASSING = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - where no configuration should be
_FOR_ALL = "sudo PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install gapcast"
#: Signs of a path that would mean something else in a unit.
_NOT_IN_A_UNIT = frozenset(" \t\n\"'\\%$;@:")


def unit(command: Path, config: Path, password: Path | None = None) -> str:
    """Return the unit that runs ``command`` with ``config``; ``password`` is by default beside that.

    Raises :class:`SettingsError` where a path cannot stand in a unit.
    """
    password = password or config.parent / "mqtt-password"
    text = (Path(__file__).parent / "gapcast.service").read_text(encoding="utf-8")
    for mark, path in (("@GAPCAST@", command), ("@CONFIG@", config), ("@PASSWORD@", password)):
        if not path.is_absolute() or _NOT_IN_A_UNIT & set(str(path)):
            msg = f"{path}: must be an absolute path without blanks and {' '.join(sorted(_NOT_IN_A_UNIT - set(' ')))!r}"
            raise SettingsError(msg)
        text = text.replace(mark, str(path))
    return text


def own_command() -> Path:
    """Return the command ``gapcast`` as this process was started by, as an absolute path.

    A link is not followed: that in ``/usr/local/bin`` stays where an upgrade puts the new version behind it.
    Raises :class:`SettingsError` where there is none.
    """
    started = Path(sys.argv[0])
    found = started if started.name == "gapcast" and started.is_absolute() else None
    named = found or (Path(path) if (path := shutil.which("gapcast")) else None)
    if named is None:
        msg = "there is no command gapcast on the PATH: install it, or name it: --command /usr/local/bin/gapcast"
        raise SettingsError(msg)
    return named.absolute()


def refuse_what_is_hidden(command: Path, others: Iterable[Path] = ()) -> None:
    """Raise :class:`SettingsError` where the service could not see its own program, or ``others``."""
    for path in (command, command.resolve(), *others):
        if any(path.is_relative_to(home) for home in _HOMES):
            msg = (
                f"{path} is in a home folder, which a service of its own account cannot see: "
                f"install gapcast for the machine, as by {_FOR_ALL}"
            )
            raise SettingsError(msg)


def is_hidden(config: Path) -> bool:
    """Tell whether the service could not read a configuration there."""
    return any(config.absolute().is_relative_to(place) for place in (*_HOMES, *_PASSING))


def parts_of_this_python() -> tuple[Path, ...]:
    """Return the places that this interpreter needs: its environment, and the Python that it was made of."""
    return tuple(Path(part).resolve() for part in (sys.prefix, sys.base_prefix, sys.executable))
