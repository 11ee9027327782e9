"""Home Assistant's entities of a device's demand: running billing window, headroom, and adjustable limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gapcast.core.demand.demand import VALID_MIN
from gapcast.mqtt.discovery.entity import entity

#: A demand is valid until some minutes after the start of its newest minute, which has ended when it arrives.
_EXPIRE_S = (VALID_MIN - 1) * 60
#: *Peak expected* turns on at the first probability of an exceedance, and off below the second.
PEAK_ON, PEAK_OFF = 0.5, 0.3
#: Smallest limit that can be set, and the step of its entity, kW.
_MIN_LIMIT_KW, _STEP_KW = 0.1, 0.1
_POWER = {"dev_cla": "power", "unit_of_meas": "kW", "sug_dsp_prc": 2}
#: Component -> its platform.
_PLATFORMS = {
    "expected_demand": "sensor",
    "headroom": "sensor",
    "peak_probability": "sensor",
    "month_peak": "sensor",
    "limit": "sensor",
    "peak_expected": "binary_sensor",
    "set_limit": "number",
    "configured_limit": "button",
}


@dataclass(frozen=True, slots=True)
class DemandEntityTopics:
    """The topics of a device's demand: its document, and the command that sets its limit, up to ``max_kw``."""

    demand: str
    limit: str
    max_kw: float


def demand_components(identity: str, topics: DemandEntityTopics | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the discovery component of each entity of a demand.

    Without ``topics`` the device has no demand, and the entities are removed. ``identity`` is the device's object id.
    """
    details = {} if topics is None else _details(topics)
    for name, platform in _PLATFORMS.items():
        yield name, entity(identity, name, details.get(name), platform)


def _details(topics: DemandEntityTopics) -> dict[str, dict[str, Any]]:
    """Return the rest of each component. Only the month's peak is a measurement and has long-term statistics."""
    state = {"stat_t": topics.demand, "exp_aft": _EXPIRE_S}
    return {
        "expected_demand": state
        | _POWER
        | {"name": "Expected demand", "val_tpl": _valid_template("value_json.expected_kw"), "ic": "mdi:gauge"},
        "headroom": state
        | {"name": "Headroom", "val_tpl": _valid_template("value_json.headroom_w"), "ic": "mdi:arrow-expand-up"}
        | {"dev_cla": "power", "unit_of_meas": "W", "sug_dsp_prc": 0, "json_attr_t": topics.demand},
        "peak_probability": state
        | {"name": "Peak probability", "unit_of_meas": "%", "sug_dsp_prc": 0, "ic": "mdi:percent-circle"}
        | {"val_tpl": _valid_template("(value_json.p_exceed * 100) | round(1)")},
        "month_peak": state
        | _POWER
        | {"name": "Month peak", "stat_cla": "measurement", "val_tpl": "{{ value_json.month_peak_kw }}"},
        "limit": state | _POWER | {"name": "Limit", "val_tpl": "{{ value_json.limit_kw }}"},
        "peak_expected": state | {"name": "Peak expected", "val_tpl": _peak_template(), "ic": "mdi:alert-decagram"},
        # A number does not expire: the availability of the device and of the gateway apply. It is shown at once, and
        # replaced by the limit of the next demand.
        "set_limit": {"name": "Limit setting", "dev_cla": "power", "unit_of_meas": "kW", "ent_cat": "config"}
        | {"stat_t": topics.demand, "val_tpl": _limit_template(), "cmd_t": topics.limit, "opt": True}
        | {"mode": "box", "min": _MIN_LIMIT_KW, "max": topics.max_kw, "step": _STEP_KW},
        "configured_limit": {"name": "Use the configured limit", "cmd_t": topics.limit, "pl_prs": ""}
        | {"ent_cat": "config", "ic": "mdi:restore"},
    }


def _peak_template() -> str:
    """Return the template of *Peak expected*: Home Assistant's own last state selects the threshold.

    After the entity was unavailable, the upper threshold applies. Home Assistant restores a state that has not expired.
    """
    threshold = f"({PEAK_OFF} if this.state == 'on' else {PEAK_ON})"
    return _valid_template(f"'ON' if value_json.p_exceed >= {threshold} else 'OFF'")


def _valid_template(expression: str) -> str:
    """Return the template of ``expression``, which is unknown if the demand was no longer valid when it was made.

    Such a demand is for a late reading, and its numbers are not published either.
    """
    is_late = "as_timestamp(value_json.issued_at) >= as_timestamp(value_json.valid_until)"
    return f"{{{{ none if {is_late} else ({expression}) }}}}"


def _limit_template() -> str:
    """Return the template of the adjustable limit; it stays unchanged without a limit, and below the lowest one.

    Home Assistant logs an error for a number below its minimum: with ``demand.floor_kw = 0`` a month begins with 0 kW.
    """
    return (
        f"{{{{ value_json.limit_kw if (value_json.limit_kw or 0) >= {_MIN_LIMIT_KW} else this.state | float(none) }}}}"
    )
