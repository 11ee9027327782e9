"""The discovery message of a device for Home Assistant: its topics, and a sensor for each value of the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gapcast.core.forecasts.forecast import LOWER, MEDIAN, UPPER
from gapcast.core.learning.scores.summary import LAST_DAY
from gapcast.core.models.predictor import ModelIdentity
from gapcast.mqtt.discovery.discovery_demand import DemandEntityTopics, demand_components
from gapcast.mqtt.discovery.entity import entity
from gapcast.mqtt.topics import DemandTopics, DeviceTopic
from gapcast.text.distribution_version import version_of

#: A forecast expires one minute after its target time, so that the next one arrives in time.
_GRACE_S = 60
#: Component -> display name, key in the forecast, and the quantile that the model must provide.
_COMPONENTS: dict[str, tuple[str, str, float | None]] = {
    "forecast": ("Forecast", "gap_kw", None),
    "median": ("Forecast median", "median_kw", MEDIAN),
    "lower": ("Forecast lower bound", "lower_kw", LOWER),
    "upper": ("Forecast upper bound", "upper_kw", UPPER),
}
#: Component -> display name, and key in the last day's live scores: a fraction, shown in percent.
_SCORES = {"skill": ("Forecast skill", "skill"), "coverage": ("Forecast coverage", "coverage")}
#: Live scores expire after a day, or after two publication intervals.
_SCORES_EXPIRE_S = 86_400
#: Expiry of a measured minute at the broker, and in Home Assistant: a meter sends at least every five minutes.
MEASURED_EXPIRE_S = 360
_ATTRIBUTES = ("observed_at", "target_at", "issued_at", "horizon_min", "level", "model", "n_observed", "context")
#: Lead times of the outlook whose mean until then has a sensor; the last one has the outlook as an attribute.
LEAD_TIMES_MIN = (15, 30, 60)
#: The next outlook follows in a minute.
_OUTLOOK_GRACE_S = 60


@dataclass(frozen=True, slots=True)
class HomeAssistantTopics:
    """The topics of Home Assistant's discovery, and the topics of a device; ``scores`` None: none are published."""

    discovery_prefix: str
    forecast: DeviceTopic
    availability: DeviceTopic
    status: str
    measured: DeviceTopic
    outlook: DeviceTopic
    demand: DemandTopics
    scores: DeviceTopic | None = None
    max_devices: int = 1_000
    #: Highest limit that can be set, kW.
    max_kw: float = 100.0
    #: Shortest time between two publications of a device's scores.
    scores_every_s: float = 900.0

    def config_topic(self, device: str) -> str:
        """Return the discovery topic of ``device``."""
        return f"{self.discovery_prefix}/device/{object_id(device)}/config"

    def demand_topics(self, device: str) -> DemandEntityTopics:
        """Return the topics of the demand of ``device``."""
        demand, limit = self.demand.demand, self.demand.limit
        return DemandEntityTopics(demand.for_device(device), limit.for_device(device), self.max_kw)


def birth_topics(discovery_prefix: str) -> tuple[str, ...]:
    """Return the topics on one of which Home Assistant publishes that it has started.

    Its default topic, which does not follow its prefix, and the one with ``discovery_prefix``.

    >>> birth_topics("homeassistant"), birth_topics("ha")
    (('homeassistant/status',), ('homeassistant/status', 'ha/status'))
    """
    return tuple(dict.fromkeys(("homeassistant/status", f"{discovery_prefix}/status")))


def object_id(device: str) -> str:
    """Return the device's object id in Home Assistant, which permits no dot; unique per device.

    >>> object_id("home"), object_id("meter.1"), object_id("meter-d1")
    ('gapcast_home', 'gapcast_meter-d1', 'gapcast_meter--d1')
    """
    return f"gapcast_{device.replace('-', '--').replace('.', '-d')}"


def discovery_payload(
    device: str,
    topics: HomeAssistantTopics,
    model: ModelIdentity,
    outlook_model: ModelIdentity | None = None,
    *,
    has_demand: bool = False,
) -> bytes:
    """Return the discovery message of ``device``: one sensor for each value that ``model`` provides.

    With ``outlook_model`` it has the sensors of the device's outlook too, and if it ``has_demand`` the demand's
    entities. A sensor with only its platform removes the sensor of an earlier model.
    """
    identity, forecast_topic = object_id(device), topics.forecast.for_device(device)
    outlook_topic = topics.outlook.for_device(device)
    sensors = {
        **{name: _forecast(name, forecast_topic, model) for name in _COMPONENTS},
        "power": _power(topics.measured.for_device(device)),
        **{name: _score(name, device, topics) for name in _SCORES},
        **{f"next_{lead_min}": _outlook(lead_min, outlook_topic, outlook_model) for lead_min in LEAD_TIMES_MIN},
    }
    document = {
        "dev": {"ids": [identity], "name": device, "mf": "gapcast", "mdl": f"{model.name} {model.version}"},
        "o": {"name": "gapcast", "sw": version_of("gapcast")},
        "avty": [{"t": topics.status}, {"t": topics.availability.for_device(device)}],
        "avty_mode": "all",
        "stat_t": forecast_topic,
        "qos": 1,
        "cmps": {
            **{name: entity(identity, name, details) for name, details in sensors.items()},
            **dict(demand_components(identity, topics.demand_topics(device) if has_demand else None)),
        },
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _forecast(name: str, forecast_topic: str, model: ModelIdentity) -> Mapping[str, Any] | None:
    title, key, level = _COMPONENTS[name]
    if level is not None and level not in (model.quantile_levels or ()):
        return None
    horizon_min = model.lead_times_min[-1]
    # No state_class: a forecast is not a measurement and does not belong in long-term statistics.
    details: dict[str, Any] = {
        "name": title,
        "dev_cla": "power",
        "unit_of_meas": "kW",
        "sug_dsp_prc": 2,
        "val_tpl": f"{{{{ value_json.{key} }}}}",
        "exp_aft": horizon_min * 60 + _GRACE_S,
    }
    if name == "forecast":
        details["json_attr_t"] = forecast_topic
        shown = ", ".join(f"'{key}': value_json.{key}" for key in _ATTRIBUTES)
        if len(model.lead_times_min) > 1:  # the path may be switched off
            shown += ", 'path': value_json.path | default(none)"
        details["json_attr_tpl"] = f"{{{{ {{{shown}}} | tojson }}}}"
    return details


def _power(topic: str) -> Mapping[str, Any]:
    """Return the sensor of the measured power of each minute, a measurement that belongs in long-term statistics."""
    return {
        "name": "Power",
        "dev_cla": "power",
        "stat_cla": "measurement",
        "unit_of_meas": "kW",
        "sug_dsp_prc": 2,
        "stat_t": topic,
        "val_tpl": "{{ value_json.gap_kw }}",
        "exp_aft": MEASURED_EXPIRE_S,
    }


def _score(name: str, device: str, topics: HomeAssistantTopics) -> Mapping[str, Any] | None:
    """Return the sensor of a live score, which is unknown until there is sufficient data."""
    if topics.scores is None:
        return None
    title, key = _SCORES[name]
    day = f"value_json.{LAST_DAY}"
    value = f"({day}.{key} * 100) | round(1) if {day}.sufficient and {day}.{key} is not none else None"
    return {
        "name": title,
        "unit_of_meas": "%",
        "sug_dsp_prc": 1,
        "ent_cat": "diagnostic",
        "stat_t": topics.scores.for_device(device),
        "val_tpl": f"{{{{ {value} }}}}",
        "exp_aft": max(_SCORES_EXPIRE_S, int(2 * topics.scores_every_s)),
    }


def _outlook(lead_min: int, topic: str, model: ModelIdentity | None) -> Mapping[str, Any] | None:
    """Return the sensor of the mean until ``lead_min``; None without outlooks, or if ``model`` lacks the lead time."""
    if model is None or lead_min not in model.lead_times_min:
        return None
    # No state_class, as for a forecast.
    details = {
        "name": f"Mean power next {lead_min} min",
        "dev_cla": "power",
        "unit_of_meas": "kW",
        "sug_dsp_prc": 2,
        "stat_t": topic,
        "val_tpl": f"{{{{ value_json.mean_to_kw[value_json.lead_min.index({lead_min})] }}}}",
        "exp_aft": lead_min * 60 + _OUTLOOK_GRACE_S,
    }
    return details | ({"json_attr_t": topic} if lead_min == LEAD_TIMES_MIN[-1] else {})
