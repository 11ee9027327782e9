"""The sections of the configuration and their keys. Every key has a default.

:mod:`gapcast.config.loader` reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from gapcast.config.checks.known_devices import device_problems
from gapcast.config.checks.topic_use import SHARD, meter_filters, published_topics, sharing_problems, topic_problems
from gapcast.config.sections.demand import DemandSettings, demand_problems
from gapcast.config.sections.forecast import ForecastSettings, LearningSettings, OutlookSettings
from gapcast.config.sections.http import HttpSettings
from gapcast.config.sections.mqtt import MqttSettings, TopicSettings
from gapcast.config.sections.section import SettingsSection, matching, split_list
from gapcast.config.sections.sources import SourceSettings
from gapcast.config.sections.submeters import SubmeterSettings, submeter_problems
from gapcast.core.readings.reading import Limits
from gapcast.core.time_grid import WEEK_MIN
from gapcast.text.time_zone_names import zone_of


class GatewaySettings(SettingsSection):
    """``[gateway]``"""

    #: Name of this gateway in topics and in the MQTT client id; empty: generated once and stored with the state.
    id: Annotated[str, matching(r"[A-Za-z0-9_.-]{0,64}", "must be up to 64 of A-Z a-z 0-9 _ - .")] = ""


class MetricsSettings(SettingsSection):
    """``[metrics]``"""

    #: Number of devices with their own time series, in order of arrival; 0: none. A thousand take a third of a second.
    per_device: int = Field(default=0, ge=0, le=1_000)


class StateSettings(SettingsSection):
    """``[state]``"""

    #: None: ``$STATE_DIRECTORY`` (systemd), else ``$XDG_STATE_HOME/gapcast``, else ``~/.local/state/gapcast``.
    path: Path | None = None
    #: Whether the state is persisted there, so that a restart loses nothing.
    keep: bool = True
    #: Whether to take over a shard whose state was written with other models than the loaded ones; else refuse it.
    accept_other_models: bool = False


class ModelSettings(SettingsSection):
    """``[models]``"""

    #: Folder of models; None: the bundled models and installed ones.
    path: Path | None = None


class HistorySettings(SettingsSection):
    """``[history]``: the history of each device in memory, available over REST."""

    #: Minutes of readings, and of forecasts with their outcomes; 0: none.
    minutes: int = Field(default=1_440, ge=0, le=WEEK_MIN)
    #: Number of devices with a history: 42 kB each for a day.
    max_devices: int = Field(default=50, ge=0, le=10_000)


class LimitSettings(SettingsSection):
    """``[limits]``: the permitted power of a reading."""

    min_kw: float = Field(default=-100.0, ge=-1e6)
    max_kw: float = Field(default=100.0, le=1e6)

    @model_validator(mode="after")
    def _check_order(self) -> LimitSettings:
        if self.min_kw >= self.max_kw:
            msg = f"min_kw ({self.min_kw:g}) must be below max_kw ({self.max_kw:g})"
            raise ValueError(msg)
        return self


class DeviceSettings(SettingsSection):
    """``[devices]``"""

    max: int = Field(default=100_000, ge=1)
    #: Minutes without a reading, by the gateway's clock, after which a device is offline; 0: availability is off.
    stale_after_min: float = Field(default=10.0, ge=0, le=WEEK_MIN)


class HomeAssistantSettings(SettingsSection):
    """``[homeassistant]``"""

    #: Whether to publish each device to Home Assistant by MQTT discovery.
    enabled: bool = False
    #: Home Assistant's ``discovery_prefix``. The birth message is read on ``homeassistant/status`` and below this
    #: prefix.
    discovery_prefix: Annotated[
        str, matching(r"[^+#{}\x00-\x1f]+", "must be the beginning of a topic, without +, # and braces")
    ] = "homeassistant"
    #: Limits the entities, seven per device, three more with an outlook and eight more with a demand, so that a topic
    #: with a random part cannot flood Home Assistant.
    max_devices: int = Field(default=1_000, ge=1)


class SiteSettings(SettingsSection):
    """``[site]``"""

    #: IANA time zone of the household; models with time-of-day features use it.
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, name: str) -> str:
        zone_of(name)
        return name

    @property
    def zone(self) -> tzinfo:
        """The zone of that name."""
        return zone_of(self.timezone)


class LogSettings(SettingsSection):
    """``[log]``"""

    #: ``auto``: readable text on a terminal, else JSON.
    format: Literal["auto", "console", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(SettingsSection):
    """All settings, checked and frozen."""

    gateway: GatewaySettings = GatewaySettings()
    mqtt: MqttSettings = MqttSettings()
    topics: TopicSettings = TopicSettings()
    http: HttpSettings = HttpSettings()
    metrics: MetricsSettings = MetricsSettings()
    state: StateSettings = StateSettings()
    models: ModelSettings = ModelSettings()
    forecast: ForecastSettings = ForecastSettings()
    learning: LearningSettings = LearningSettings()
    outlook: OutlookSettings = OutlookSettings()
    demand: DemandSettings = DemandSettings()
    history: HistorySettings = HistorySettings()
    limits: LimitSettings = LimitSettings()
    devices: DeviceSettings = DeviceSettings()
    homeassistant: HomeAssistantSettings = HomeAssistantSettings()
    site: SiteSettings = SiteSettings()
    log: LogSettings = LogSettings()
    #: ``[[sources]]``: the meters to read; empty: native readings on ``topics.reading``.
    sources: tuple[SourceSettings, ...] = ()
    #: ``[[submeters]]``: meters of single loads of the devices, which the ensemble also learns from.
    submeters: tuple[SubmeterSettings, ...] = ()
    #: Shards of the meters that this worker serves; None: no sharding, the worker serves all meters.
    shards: tuple[Annotated[int, Field(ge=0)], ...] | None = None

    @property
    def reading_limits(self) -> Limits:
        """The permitted power of a reading, for modules that do not import the configuration."""
        return Limits(self.limits.min_kw, self.limits.max_kw)

    @model_validator(mode="before")
    @classmethod
    def _add_shard_topic(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("shards") is None:
            return values
        topics = values.get("topics", {})
        if not isinstance(topics, dict):
            return values
        return values | {"topics": {"reading": f"gap/{SHARD}/{{device}}/reading", **topics}}

    _split_list = field_validator("shards", mode="before")(split_list)

    @model_validator(mode="after")
    def _check_consistency(self) -> Settings:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        """Yield each problem of the sections with each other, the one to solve first first."""
        mqtt, topics, demand, is_sharded = self.mqtt, self.topics, self.demand, self.shards is not None
        of_sources = {f"sources.{i}.topic": source.topic for i, source in enumerate(self.sources)}
        yield from sharing_problems(self.shards, {f"topics.{name}": str(topic) for name, topic in topics}, of_sources)
        if is_sharded and not self.state.keep:
            yield "shards require state.keep = true, because another worker resumes from the persisted state"
        if is_sharded and mqtt.share_group:
            yield "shards and mqtt.share_group are alternatives: choose one"
        if is_sharded and mqtt.protocol == "3.1.1":
            yield "shards need MQTT 5, with which a broker reports that a session was taken over: remove mqtt.protocol"
        if mqtt.share_group and any(source.parts for source in self.sources):
            yield "mqtt.share_group: a source with a value in {part}s would be split across workers, one topic per part"
        is_shared = is_sharded or mqtt.share_group is not None
        yield from submeter_problems(self.submeters, self.sources, topics.reading, is_shared=is_shared)
        yield from device_problems(self.sources, demand, self.forecast)
        yield from demand_problems(demand, self.limits.max_kw, has_outlook=self.outlook.is_wanted)
        prefix = self.homeassistant.discovery_prefix if self.homeassistant.enabled else None
        published = published_topics(topics, prefix, has_outlook=self.outlook.is_wanted, has_demand=demand.is_limited)
        meters = meter_filters(topics.reading, self.sources, self.submeters)
        yield from topic_problems(topics, published, meters, demand, self.gateway.id)
        if self.homeassistant.enabled and not self.devices.stale_after_min:
            yield "homeassistant.enabled needs devices.stale_after_min above 0: it uses each device's availability"
