"""Home Assistant's discovery: it is told of each device once, by one retained message, and again when it starts."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import structlog

from gapcast.core.forecast import LOWER, MEDIAN, UPPER
from gapcast.core.learning.summary import LAST_DAY
from gapcast.core.predictor import ModelIdentity
from gapcast.mqtt.frames import Publication
from gapcast.mqtt.session import Session
from gapcast.mqtt.topics import DeviceTopic

log = structlog.get_logger(__name__)

#: Introductions sent at one turn of the service when Home Assistant starts.
_MAX_AT_ONCE = 64
#: Beyond its target a forecast says nothing; a minute more, so that the next one is there in time.
_GRACE_S = 60
#: Component -> its name for people, the forecast's key, and the quantile that a model must have for it.
_COMPONENTS: dict[str, tuple[str, str, float | None]] = {
    "forecast": ("Forecast", "gap_kw", None),
    "median": ("Forecast median", "median_kw", MEDIAN),
    "lower": ("Forecast lower bound", "lower_kw", LOWER),
    "upper": ("Forecast upper bound", "upper_kw", UPPER),
}
#: Component -> its name for people, and its key in the last day's live scores, a share that is shown in percent.
_SCORES = {"skill": ("Forecast skill", "skill"), "coverage": ("Forecast coverage", "coverage")}
#: Live scores are told now and then; what is older than this is not of today.
_SCORES_EXPIRE_S = 86_400
_ATTRIBUTES = ("observed_at", "target_at", "issued_at", "horizon_min", "level", "model", "n_observed", "context")


@dataclass(frozen=True, slots=True)
class HomeAssistantTopics:
    """What Home Assistant listens to, and where it finds a device's forecasts and whether it is there."""

    discovery_prefix: str
    forecast: DeviceTopic
    availability: DeviceTopic
    status: str
    scores: DeviceTopic | None = None
    max_devices: int = 1_000

    @property
    def birth_topic(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.discovery_prefix}/status"

    def config_topic(self, device: str) -> str:
        """Where it looks for the device."""
        return f"{self.discovery_prefix}/device/{object_id(device)}/config"


def object_id(device: str) -> str:
    """Return a device's name in Home Assistant's letters, which have no dot; no two devices have the same.

    >>> object_id("home"), object_id("meter.1"), object_id("meter-d1")
    ('gapcast_home', 'gapcast_meter-d1', 'gapcast_meter--d1')
    """
    return f"gapcast_{device.replace('-', '--').replace('.', '-d')}"


def discovery_payload(device: str, topics: HomeAssistantTopics, model: ModelIdentity) -> bytes:
    """Return what Home Assistant is told of ``device``: one sensor for each value that ``model`` gives.

    A sensor without more than its platform is one that an earlier model had, and is taken away.
    """
    identity, forecast_topic = object_id(device), topics.forecast.of(device)
    document = {
        "dev": {"ids": [identity], "name": device, "mf": "gapcast", "mdl": f"{model.name} {model.version}"},
        "o": {"name": "gapcast", "sw": version("gapcast")},
        "avty": [{"t": topics.status}, {"t": topics.availability.of(device)}],
        "avty_mode": "all",
        "stat_t": forecast_topic,
        "qos": 1,
        "cmps": {
            **{name: _component(identity, name, forecast_topic, model) for name in _COMPONENTS},
            **{name: _score(identity, name, device, topics.scores) for name in _SCORES},
        },
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _component(identity: str, name: str, forecast_topic: str, model: ModelIdentity) -> Mapping[str, Any]:
    title, key, level = _COMPONENTS[name]
    if level is not None and level not in (model.quantile_levels or ()):
        return {"p": "sensor"}
    horizon_min = model.lead_times_min[-1]
    # No state_class: a forecast is no measurement, and has no place in long-term statistics.
    component: dict[str, Any] = {
        "p": "sensor",
        "unique_id": f"{identity}_{name}",
        "default_entity_id": f"sensor.{identity}_{name}".lower().replace("-", "_"),
        "name": title,
        "dev_cla": "power",
        "unit_of_meas": "kW",
        "sug_dsp_prc": 2,
        "val_tpl": f"{{{{ value_json.{key} }}}}",
        "exp_aft": horizon_min * 60 + _GRACE_S,
    }
    if name == "forecast":
        component["json_attr_t"] = forecast_topic
        shown = ", ".join(f"'{key}': value_json.{key}" for key in _ATTRIBUTES)
        component["json_attr_tpl"] = f"{{{{ {{{shown}}} | tojson }}}}"
    return component


def _score(identity: str, name: str, device: str, scores: DeviceTopic | None) -> Mapping[str, Any]:
    """Return the sensor of a live score: unknown until there are enough outcomes for a verdict."""
    if scores is None:
        return {"p": "sensor"}
    title, key = _SCORES[name]
    day = f"value_json.{LAST_DAY}"
    return {
        "p": "sensor",
        "unique_id": f"{identity}_{name}",
        "default_entity_id": f"sensor.{identity}_{name}".lower().replace("-", "_"),
        "name": title,
        "unit_of_meas": "%",
        "sug_dsp_prc": 1,
        "ent_cat": "diagnostic",
        "stat_t": scores.of(device),
        "val_tpl": f"{{{{ ({day}.{key} * 100) | round(1) if {day}.enough and {day}.{key} is not none else None }}}}",
        "exp_aft": _SCORES_EXPIRE_S,
    }


class Discovery:
    """Introduces devices. It is an aside: what it hears is Home Assistant's birth."""

    def __init__(self, session: Session, topics: HomeAssistantTopics, model: ModelIdentity) -> None:
        self._session = session
        self._where = topics
        self._model = self._published_model = model
        self._introduced: dict[str, None] = {}
        self._again: deque[str] = deque()
        self._n_fresh_sessions = 0
        self._full = False

    def use_model(self, model: ModelIdentity) -> None:
        """Tell of the values of ``model`` from now on, also for devices that were introduced; from any thread."""
        self._model = model

    def introduce(self, device: str) -> None:
        """Tell of ``device``, where that was not done since the broker last lost what it retained."""
        if self._n_fresh_sessions != self._session.n_fresh_sessions:
            self._n_fresh_sessions = self._session.n_fresh_sessions
            self._introduced.clear()
        if device in self._introduced:
            return
        if len(self._introduced) >= self._where.max_devices:
            if not self._full:
                cure = "raise homeassistant.max_devices if Home Assistant can handle more"
                log.warning("homeassistant.too_many_devices", max_devices=self._where.max_devices, cure=cure)
            self._full = True
            return
        self._introduced[device] = None
        self._publish(device)

    def forget(self, device: str) -> None:
        """Have Home Assistant take the device and its entities away."""
        self._introduced.pop(device, None)
        self._session.publish(self._where.config_topic(device).encode(), b"", retain=True)

    def hear(self, publication: Publication) -> None:
        """Take note that Home Assistant has started."""
        if publication.payload == b"online":
            self._again = deque(self._introduced)

    def work(self) -> bool:
        """Introduce some of those again that Home Assistant may have missed; tell whether there are more."""
        if self._published_model is not self._model:
            self._published_model, self._again = self._model, deque(self._introduced)
        for _ in range(min(_MAX_AT_ONCE, len(self._again))):
            device = self._again.popleft()
            if device in self._introduced:
                self._publish(device)
        return bool(self._again)

    def _publish(self, device: str) -> None:
        payload = discovery_payload(device, self._where, self._model)
        self._session.publish(self._where.config_topic(device).encode(), payload, retain=True)
