"""The commands that follow after the configuration is written."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from gapcast.app.broker.broker import mosquitto_command
from gapcast.config.loader import DEFAULT_FILE
from gapcast.config.sections.mqtt import MqttSettings
from gapcast.setup.broker.broker_access import BrokerAccess
from gapcast.setup.config_file import PASSWORD_FILE
from gapcast.systemd.unit import DEFAULT_CONFIG, is_hidden

_UNITS = "/etc/systemd/system/"


def next_steps(config: Path, access: BrokerAccess, *, wait_s: float = 70, by_sudo: bool = False) -> Iterator[str]:
    """Yield lines: what was written, and how to test, run and install the service.

    ``wait_s``: how long to wait for the slowest meter. ``by_sudo``: the files belong to root, and the account that
    enters the next commands cannot read the password.
    """
    named = "" if config == DEFAULT_FILE else f" --config {shlex.quote(str(config))}"
    password = config.parent / PASSWORD_FILE
    secret = f", and the password to {password} (readable by you only)" if access.password else ""
    moved = ""
    if is_hidden(config):
        moved = f"sudo install -D -m 644 {shlex.quote(str(config))} {DEFAULT_CONFIG} && "
        if access.password:
            moved += f"sudo install -m 600 {shlex.quote(str(password))} {DEFAULT_CONFIG.parent}/ && "
    is_default = moved or config.absolute() == DEFAULT_CONFIG
    option = "" if is_default else f" --config {shlex.quote(str(config.absolute()))}"
    # Not with sudo tee: a failed command would leave an empty file, which systemd treats as a masked unit.
    unit = f"{moved}gapcast systemd-unit{option} >gapcast.service && sudo install -m 644 gapcast.service {_UNITS}"
    subscribe = mosquitto_command(MqttSettings(**access.section()), "mosquitto_sub", "-v", "-t", "gap/+/forecast")
    yield f"\nWritten to {config}{secret}.\n"
    sudo, of_service = ("sudo ", "sudo env STATE_DIRECTORY=/var/lib/gapcast ") if by_sudo else ("", "")
    yield f"Test it    {sudo}gapcast check{named} --wait {wait_s:g}"
    yield f"Import     {of_service}gapcast import FILE --device NAME{named}   (optional: learn from past weeks first)"
    if not by_sudo:  # root does not run the service
        yield f"Run it     gapcast run{named}"
    yield "See it     gapcast status"
    yield f"           {subscribe}"
    folder = DEFAULT_CONFIG.parent
    for key, path in access.tls_files.items():
        if is_hidden(path):
            yield f"           The service cannot read {path}: copy it to {folder}, and set mqtt.tls.{key}"
    if access.certificate_path is not None:
        yield "           The service needs the key as a credential (docs/raspberry-pi.md#the-service, TLS files)"
    # Not enable --now: a running service would keep its former configuration.
    yield f"Install    {unit} && sudo systemctl enable gapcast && sudo systemctl restart gapcast"
