"""From an add-on's options to the configuration that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError

#: Where the Supervisor asks from, for whoever uses its ingress: no one else on its network is served.
SUPERVISOR = "172.30.32.2"
#: As homeassistant-addon/config.yaml names it.
PORT = 8080
_STATE = "/data/gapcast"
#: A meter that no preset knows.
_OWN = "custom"


def wants_service(options: Mapping[str, Any]) -> bool:
    """Tell whether the broker is the one that the Supervisor knows."""
    return not options.get("mqtt_host")


def settings_of(
    options: Mapping[str, Any], service: Mapping[str, Any] | None, environment: Mapping[str, str]
) -> Settings:
    """Return what ``options`` stand for; ``service`` is the Supervisor's word on its broker, None where it has none.

    Raises :class:`SettingsError` that names the option and what is wrong with it.
    """
    sections: dict[str, Any] = {
        "gateway": {"id": "homeassistant"},
        "mqtt": _mqtt(options, service),
        "http": _http(),
        "state": {"path": environment.get("STATE_DIRECTORY") or _STATE},
        "homeassistant": {"enabled": bool(options.get("home_assistant", True))},
        "site": {"timezone": environment.get("TZ") or "UTC"},
        "log": {"format": "console", "level": options.get("log_level") or "info"},
        "sources": _sources(options.get("meters")),
    }
    try:
        return Settings.model_validate(sections)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]).replace("sources", "meters", 1)
        msg = f"option {key}: {first['msg'].removeprefix('Value error, ')}"
        raise SettingsError(msg) from error


def _http() -> dict[str, Any]:
    """Return ``[http]``: everything comes from the Supervisor's ingress, behind Home Assistant's login.

    So the Supervisor may change what the user may. It keeps the name in the browser's address as ``Host``, which can
    be any, and all event readers of the house have its address.
    """
    return {
        "host": "0.0.0.0",  # noqa: S104 - see allow_from
        "port": PORT,
        "allow_from": [SUPERVISOR],
        "allow_changes_from": [SUPERVISOR],
        "allowed_hosts": ["*"],
        "max_event_readers_per_client": 100,
    }


def _sources(meters: object) -> list[dict[str, Any]]:
    if not meters:
        return []
    if not isinstance(meters, list) or not all(isinstance(meter, dict) for meter in meters):
        msg = "option meters: must be a list of meters, each with its preset"
        raise SettingsError(msg)
    return [_source(i, meter) for i, meter in enumerate(meters)]


def _source(place: int, meter: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``[[sources]]`` of one of the meters: what is empty is left to the preset."""
    given = {key: value for key, value in meter.items() if value is not None and value != ""}
    if given.get("preset") == _OWN:
        del given["preset"]
        if "topic" not in given:
            msg = f"option meters.{place}.topic: a meter of your own needs its topic, as energy/{{device}}/power"
            raise SettingsError(msg)
        given.setdefault("format", "json" if "value" in given else "number")
    return given


def _mqtt(options: Mapping[str, Any], service: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return ``[mqtt]``: as the options have it, else the Supervisor's broker."""
    if not wants_service(options):
        given = {key: options.get(f"mqtt_{key}") for key in ("host", "port", "username", "password")}
        tls = {"tls": {"enabled": True}} if options.get("mqtt_tls") else {}
        return {key: value for key, value in given.items() if value} | tls
    if service is None:
        msg = (
            "Home Assistant knows of no MQTT broker: install the add-on Mosquitto broker and start it, "
            "or name yours by the options mqtt_host, mqtt_username and mqtt_password"
        )
        raise SettingsError(msg)
    section: dict[str, Any] = {key: service[key] for key in ("host", "port") if key in service}
    section |= {key: service[key] for key in ("username", "password") if service.get(key)}
    return section | ({"tls": {"enabled": True}} if service.get("ssl") else {})
