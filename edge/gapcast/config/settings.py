"""What can be set: the sections of the configuration and their keys. Every key has a default.

:mod:`gapcast.config.loader` reads them.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, IPvAnyNetwork, SecretStr, field_validator, model_validator

from gapcast.config.mqtt import MqttSettings, Port, SettingsSection, TopicSettings
from gapcast.config.sources import SourceSettings
from gapcast.config.topic_overlap import echo_problems
from gapcast.config.topic_sharing import SHARD, sharing_problems

#: Levels of a topic of readings that stand for any text.
_WHOLE_LEVELS = frozenset({"{device}", "{channel}", "{part}", SHARD})


class GatewaySettings(SettingsSection):
    """``[gateway]``"""

    #: Names this gateway in topics and as MQTT client; empty: made once and kept with the state.
    id: str = Field(default="", pattern=r"^[A-Za-z0-9_.-]{0,64}$")


class HttpSettings(SettingsSection):
    """``[http]``"""

    host: str = "0.0.0.0"  # noqa: S104 - a gateway's readers are on its network; docs/operations.md tells how to close it
    port: Port = 8080
    max_body_bytes: int = Field(default=262_144, ge=1_024)
    max_readings: int = Field(default=10_000, ge=2)
    #: Of a request by the Open Inference Protocol: some thousands of windows.
    max_tensor_bytes: int = Field(default=16_777_216, ge=1_024)
    #: Of all bodies that are being received or handled.
    max_total_body_bytes: int = Field(default=33_554_432, ge=1_024)
    #: Connections at a time; None: half of the files that the process may open, 512 at most.
    max_connections: int | None = Field(default=None, ge=4, le=65_536)
    #: How long a request's head, and its body, may take.
    head_timeout_s: float = Field(default=10.0, ge=0.05, le=3_600)
    body_timeout_s: float = Field(default=30.0, ge=0.05, le=3_600)
    #: Readers of ``GET /events`` at a time, and those of them at one address.
    max_event_readers: int = Field(default=100, ge=0, le=10_000)
    max_event_readers_per_client: int = Field(default=10, ge=1, le=10_000)
    #: What who asks must bear, for all but health; None: anyone may ask.
    token: SecretStr | None = Field(default=None, min_length=8)
    #: Pages of other origins that may ask from a browser.
    cors_origins: tuple[Annotated[str, Field(pattern=r"^(\*|https?://[^/\s]+)$")], ...] = ()

    #: Addresses and networks that may ask at all, beside this machine; none: any.
    allow_from: tuple[IPvAnyNetwork, ...] = ()
    #: Addresses and networks that may change something, beside this machine, where there is no token.
    allow_changes_from: tuple[IPvAnyNetwork, ...] = ()
    #: Names that are answered (``Host``), beside addresses, ``localhost`` and the machine's own; ``*``: any.
    allowed_hosts: tuple[Annotated[str, Field(pattern=r"^(\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)$")], ...] = ()

    @field_validator("cors_origins", "allow_from", "allow_changes_from", "allowed_hosts", mode="before")
    @classmethod
    def _separated(cls, given: object) -> object:
        return [one.strip() for one in given.split(",") if one.strip()] if isinstance(given, str) else given


class MetricsSettings(SettingsSection):
    """``[metrics]``"""

    #: Devices that have series of their own, those that came first; 0: none has. A thousand cost a third of a second.
    per_device: int = Field(default=0, ge=0, le=1_000)


class StateSettings(SettingsSection):
    """``[state]``"""

    #: None: ``$STATE_DIRECTORY`` (systemd), else ``$XDG_STATE_HOME/gapcast``, else ``~/.local/state/gapcast``.
    path: Path | None = None
    #: Whether readings are kept there, so that a restart is as if it had not been.
    keep: bool = True
    #: Whether a shard is taken over that was kept with other models than are loaded here; else it is refused.
    accept_other_models: bool = False


class ModelSettings(SettingsSection):
    """``[models]``"""

    #: Folder of models; None: the ones that came with gapcast.
    path: Path | None = None


class ForecastSettings(SettingsSection):
    """``[forecast]``"""

    #: Name of the model that speaks; None: the registry's default.
    model: str | None = None
    #: Whether a model that speaks for each minute up to the horizon tells of them all.
    path: bool = True
    #: Whether what is told blends all experts, weighted by their errors in this house; else that model speaks alone.
    blend: bool = True
    #: Models that the blend hears beside it; None: all that are loaded and fit it.
    experts: tuple[str, ...] | None = None
    #: Whether one of the experts learns each house.
    learn: bool = True
    #: Whether bounds are corrected so that nine in ten outcomes are within, in each house.
    calibrate: bool = True

    @field_validator("experts", mode="before")
    @classmethod
    def _separated(cls, experts: object) -> object:
        return [name.strip() for name in experts.split(",") if name.strip()] if isinstance(experts, str) else experts


class LearningSettings(SettingsSection):
    """``[learning]``: what is learnt of each device."""

    #: Devices that are scored and learnt from; those beyond are forecast as strangers.
    max_devices: int = Field(default=2_000, ge=0)
    #: What an outcome's weight keeps from one minute to the next in the expert that learns; 1 forgets nothing.
    forgetting: float = Field(default=0.99999, ge=0.999, le=1.0)
    #: How often the live scores of a device are told on its topic, by the gateway's clock; 0: never.
    report_every_min: float = Field(default=15.0, ge=0, le=10_080)


class HistorySettings(SettingsSection):
    """``[history]``: what is kept in memory of each device, to be asked for."""

    #: Minutes of readings, and of forecasts with what came; 0: none.
    minutes: int = Field(default=1_440, ge=0, le=10_080)
    #: Devices of which it is kept: 42 kB each for a day.
    max_devices: int = Field(default=50, ge=0, le=10_000)


class LimitSettings(SettingsSection):
    """``[limits]``: what power a reading may state."""

    min_kw: float = Field(default=-100.0, ge=-1e6)
    max_kw: float = Field(default=100.0, le=1e6)

    @model_validator(mode="after")
    def _ordered(self) -> LimitSettings:
        if self.min_kw >= self.max_kw:
            msg = f"min_kw ({self.min_kw:g}) must be below max_kw ({self.max_kw:g})"
            raise ValueError(msg)
        return self


class DeviceSettings(SettingsSection):
    """``[devices]``"""

    max: int = Field(default=100_000, ge=1)
    #: Minutes without a reading, by the gateway's clock, after which a device is offline; 0: nothing is said of it.
    stale_after_min: float = Field(default=10.0, ge=0, le=10_080)


class HomeAssistantSettings(SettingsSection):
    """``[homeassistant]``"""

    #: Whether to tell Home Assistant of each device.
    enabled: bool = False
    #: Its ``discovery_prefix``; it says on ``…/status`` that it has started.
    discovery_prefix: str = Field(default="homeassistant", pattern=r"^[^+#{}\x00-\x1f]+$")
    #: Home Assistant holds six entities for each device; a topic with a random part must not drown it.
    max_devices: int = Field(default=1_000, ge=1)


class SiteSettings(SettingsSection):
    """``[site]``"""

    #: The clock on the wall, by its IANA name: what models that know the time of day go by.
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            _ = ZoneInfo(name) if name != "UTC" else UTC
        except (ValueError, OSError, LookupError) as error:  # also a name that is a path, or a folder of the database
            msg = "there is no such time zone: give an IANA name, as Europe/Paris"
            raise ValueError(msg) from error
        return name

    @property
    def zone(self) -> tzinfo:
        """The zone of that name; UTC needs no database."""
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)


class LogSettings(SettingsSection):
    """``[log]``"""

    #: ``auto``: for people on a terminal, JSON elsewhere.
    format: Literal["auto", "console", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(SettingsSection):
    """Everything that can be set, checked and frozen."""

    gateway: GatewaySettings = GatewaySettings()
    mqtt: MqttSettings = MqttSettings()
    topics: TopicSettings = TopicSettings()
    http: HttpSettings = HttpSettings()
    metrics: MetricsSettings = MetricsSettings()
    state: StateSettings = StateSettings()
    models: ModelSettings = ModelSettings()
    forecast: ForecastSettings = ForecastSettings()
    learning: LearningSettings = LearningSettings()
    history: HistorySettings = HistorySettings()
    limits: LimitSettings = LimitSettings()
    devices: DeviceSettings = DeviceSettings()
    homeassistant: HomeAssistantSettings = HomeAssistantSettings()
    site: SiteSettings = SiteSettings()
    log: LogSettings = LogSettings()
    #: ``[[sources]]``: which meters are read; none: the native readings on ``topics.reading``.
    sources: tuple[SourceSettings, ...] = ()
    #: Shares of the meters that this worker takes; None: there are no shards, and it takes all.
    shards: tuple[Annotated[int, Field(ge=0)], ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _sharded_topic(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("shards") is None or not isinstance(given.get("topics", {}), dict):
            return given
        return given | {"topics": {"reading": f"gap/{SHARD}/{{device}}/reading", **given.get("topics", {})}}

    @field_validator("shards", mode="before")
    @classmethod
    def _separated(cls, shards: object) -> object:
        return [one.strip() for one in shards.split(",") if one.strip()] if isinstance(shards, str) else shards

    @model_validator(mode="after")
    def _meters_are_shared(self) -> Settings:
        topics = {f"topics.{name}": str(topic) for name, topic in self.topics}
        of_sources = {f"sources.{i}.topic": source.topic for i, source in enumerate(self.sources)}
        for problem in sharing_problems(self.shards, topics, of_sources):
            raise ValueError(problem)
        if self.shards and not self.state.keep:
            msg = "shards need state.keep: another worker goes on from what was kept"
            raise ValueError(msg)
        if self.shards and (self.mqtt.protocol == "3.1.1" or self.mqtt.share_group):
            msg = "shards need MQTT 5, by which a broker says that another took a session over: leave mqtt.protocol out"
            if self.mqtt.share_group:
                msg = "shards and mqtt.share_group are two ways to share meters out: choose one"
            raise ValueError(msg)
        if self.mqtt.share_group and any(source.parts for source in self.sources):
            msg = "mqtt.share_group: a source whose value comes in {part}s would be torn, for each has its own topic"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _reads_no_own_topic(self) -> Settings:
        topics = self.topics
        published = {
            f"topics.{name}": getattr(topics, name)
            for name in ("forecast", "availability", "scores", "status", "rejected", "events", "dealing")
        }
        published["topics.answers"] = f"{topics.answers}#"
        if self.homeassistant.enabled:
            prefix = self.homeassistant.discovery_prefix
            published["homeassistant.discovery_prefix"] = f"{prefix}/device/gapcast_{{device}}/config"
        subscribed = {
            f"sources.{i}.topic": tuple(
                _filter_of(source.topic.replace("{part}", part)) for part in source.parts or ("{part}",)
            )
            for i, source in enumerate(self.sources)
        } or {"topics.reading": (_filter_of(topics.reading),)}
        subscribed["topics.predict"] = (self._with_gateway(topics.predict),)
        published = {key: self._with_gateway(topic) for key, topic in published.items()}
        for problem in echo_problems(subscribed, published):
            raise ValueError(problem)
        return self

    def _with_gateway(self, topic: str) -> str:
        return topic.replace("{gateway}", self.gateway.id) if self.gateway.id else topic

    @model_validator(mode="after")
    def _availability_is_told(self) -> Settings:
        if self.homeassistant.enabled and not self.devices.stale_after_min:
            msg = "homeassistant.enabled needs devices.stale_after_min above 0: it goes by each device's availability"
            raise ValueError(msg)
        return self


def _filter_of(topic: str) -> str:
    """Return the subscription that takes in all that a pattern of readings stands for."""
    return "/".join("+" if level in _WHOLE_LEVELS else level for level in topic.split("/"))
