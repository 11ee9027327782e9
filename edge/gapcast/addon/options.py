"""Converts the add-on's options to a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from gapcast.app.broker.broker import sources_of
from gapcast.config.settings import Settings
from gapcast.core.documents.field_problem import value_in_parentheses, value_problem
from gapcast.core.errors import SettingsError
from gapcast.mqtt.sources.source_topics import PART

#: Source address of the Supervisor's ingress; other clients on its network are rejected.
SUPERVISOR = "172.30.32.2"
#: The ingress port in homeassistant-addon/config.yaml.
PORT = 8080
_STATE = "/data/gapcast"
#: Option value for a meter without a preset.
_CUSTOM = "custom"
#: The broker's port with ``mqtt_tls``, unless the options set one.
_TLS_PORT = 8_883
#: Prefix of the names of the broker's options.
_MQTT = "mqtt_"
#: Option -> the key in ``[demand]`` that it sets.
_DEMAND = {
    "limit_kw": "limit_kw",
    "window_min": "window_min",
    "floor_kw": "floor_kw",
    "peak_days": "peak_days",
    "fuse_kw": "fuse_kw",
    "imports_only": "imports_only",
    "limit_hours": "hours",
    "limit_weekdays": "weekdays",
    "limit_months": "months",
}


def wants_service(options: Mapping[str, Any]) -> bool:
    """Return whether to use the broker that the Supervisor provides."""
    return not options.get("mqtt_host")


def settings_of(
    options: Mapping[str, Any], service: Mapping[str, Any] | None, environment: Mapping[str, str]
) -> Settings:
    """Return the settings of ``options``; ``service`` is the Supervisor's broker, or None without one.

    Raises :class:`SettingsError` that names the invalid option and its problem.
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
        "demand": _demand(options),
    }
    try:
        settings = Settings.model_validate(sections)
        sources_of(settings)
    except ValidationError as error:
        first = error.errors()[0]
        key, problem = _option_of(first["loc"]), value_problem(first).replace("mqtt.", _MQTT)
        may_be_secret = "password" in key or "@" in str(first["input"])
        shown = "" if may_be_secret or not key else value_in_parentheses(first)
        msg = f"option {key}: {problem}{shown}" if key else f"option {_in_options(problem.removeprefix('demand.'))}"
        raise SettingsError(msg) from error
    except SettingsError as error:
        msg = f"option {_in_options(str(error))}"
        raise SettingsError(msg) from error
    return settings


def _in_options(problem: str) -> str:
    """Return ``problem`` with its keys of the configuration replaced by the options that set them."""
    return problem.replace("sources.", "meters.")


def _option_of(location: Sequence[object]) -> str:
    """Return the option that sets the value at ``location``; empty if the location involves several sections."""
    section, *rest = map(str, location or ("",))
    if section == "demand" and rest:
        return next((option for option, key in _DEMAND.items() if key == rest[0]), rest[0])
    if section in {"mqtt", "log"} and rest:
        return f"{section}_{'.'.join(rest)}"
    return ".".join(("meters" if section == "sources" else section, *rest))


def _demand(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``[demand]``; empty options are left to their defaults. A limit may have a decimal comma."""
    values = {key: options.get(option) for option, key in _DEMAND.items()}
    if isinstance(limit := values["limit_kw"], str):
        values["limit_kw"] = limit.strip().replace(",", ".")
    return {key: value for key, value in values.items() if value is not None and value != ""}


def _http() -> dict[str, Any]:
    """Return ``[http]``: all requests come from the Supervisor's ingress, behind Home Assistant's login.

    Therefore the Supervisor's address may make changes. Ingress passes on the browser's ``Host``, which can be any
    name, and all event readers of the household share the Supervisor's address.
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


def _source(index: int, meter: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``[[sources]]`` entry of one meter; empty options are left to the preset."""
    values = {key: value for key, value in meter.items() if value is not None and value != ""}
    if values.get("preset") == _CUSTOM:
        del values["preset"]
        if "topic" not in values:
            msg = f"option meters.{index}.topic: a custom meter needs its topic, such as energy/{{device}}/power"
            raise SettingsError(msg)
        # The parts of a topic are bare numbers, unless part_value has the path to each.
        is_json = "part_value" in values or ("value" in values and PART not in str(values["topic"]))
        values.setdefault("format", "json" if is_json else "number")
    return values


def _mqtt(options: Mapping[str, Any], service: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return ``[mqtt]``: from the options, else the Supervisor's broker."""
    if not wants_service(options):
        values = {key: options.get(f"mqtt_{key}") for key in ("host", "port", "username", "password")}
        tls = {"port": _TLS_PORT, "tls": {"enabled": True}} if options.get("mqtt_tls") else {}
        return tls | {key: value for key, value in values.items() if value}
    if service is None:
        msg = (
            "Home Assistant has no MQTT broker configured: install and start the Mosquitto broker add-on, "
            "or set the options mqtt_host, mqtt_username and mqtt_password"
        )
        raise SettingsError(msg)
    section: dict[str, Any] = {key: service[key] for key in ("host", "port") if key in service}
    section |= {key: service[key] for key in ("username", "password") if service.get(key)}
    return section | ({"tls": {"enabled": True}} if service.get("ssl") else {})
