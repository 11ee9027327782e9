"""``gapcast addon``: runs the service as a Home Assistant add-on."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gapcast.commands.run import serve
from gapcast.core.errors import SettingsError
from gapcast.private_files import make_private_folder
from gapcast.text.json_input import decode_json

#: Account of the service, as in the other images; root is needed only to read the options.
_ACCOUNT = 10_001


@click.command(hidden=True)
@click.option("--options", "file", type=click.Path(path_type=Path), default="/data/options.json", show_default=True)
def addon(file: Path) -> None:
    """Run the service with the options of a Home Assistant add-on, and the broker of its Supervisor."""
    from gapcast.addon.options import settings_of, wants_service
    from gapcast.addon.supervisor import mqtt_service

    try:
        options = decode_json(file.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"{file}: the add-on's options cannot be read ({reason})"
        raise SettingsError(msg) from error
    if not isinstance(options, dict):
        msg = f"{file}: the add-on's options must be a JSON object, not {type(options).__name__}"
        raise SettingsError(msg)
    service = mqtt_service(os.environ) if wants_service(options) else None
    settings = settings_of(options, service, os.environ)
    if os.geteuid() == 0 and settings.state.path is not None:
        leave_root(settings.state.path)
    serve(settings)


def leave_root(state: Path) -> None:
    """Change the owner of ``state`` to the service's account, and drop root privileges."""
    make_private_folder(state)
    for path in (state, *state.rglob("*")):
        os.chown(path, _ACCOUNT, _ACCOUNT, follow_symlinks=False)
    os.setgroups([])
    os.setgid(_ACCOUNT)
    os.setuid(_ACCOUNT)
