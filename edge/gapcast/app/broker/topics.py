"""The topics of the MQTT adapter, from the settings and the gateway's id."""

from __future__ import annotations

import structlog

from gapcast.config.settings import Settings
from gapcast.mqtt.discovery.discovery_message import HomeAssistantTopics
from gapcast.mqtt.topics import DemandTopics, DeviceTopic, Topics, answer_prefix, gateway_topic

log = structlog.get_logger(__name__)


def topics_of(settings: Settings, gateway: str) -> Topics:
    """Return the topics of the link of ``gateway``.

    Raises :class:`~gapcast.core.errors.SettingsError` if one is invalid.
    """
    topics = settings.topics
    return Topics(
        DeviceTopic.parse("topics.reading", topics.reading),
        DeviceTopic.parse("topics.forecast", topics.forecast),
        gateway_topic("topics.rejected", topics.rejected, gateway),
        DeviceTopic.parse("topics.availability", topics.availability),
        DeviceTopic.parse("topics.scores", topics.scores),
        gateway_topic("topics.events", topics.events, gateway),
        DeviceTopic.parse("topics.plan", topics.plan),
        DeviceTopic.parse("topics.outlook", topics.outlook),
        demand_topics_of(settings),
    )


def demand_topics_of(settings: Settings) -> DemandTopics:
    """Return the topics of demands; raise :class:`~gapcast.core.errors.SettingsError` if one is invalid."""
    topics = settings.topics
    return DemandTopics(
        DeviceTopic.parse("topics.demand", topics.demand),
        DeviceTopic.parse("topics.headroom_w", topics.headroom_w),
        DeviceTopic.parse("topics.max_power_w", topics.max_power_w),
        DeviceTopic.parse("topics.demand_limit", topics.demand_limit),
        DeviceTopic.parse("topics.month_peak", topics.month_peak),
    )


def check_topics(settings: Settings, gateway: str) -> None:
    """Raise :class:`~gapcast.core.errors.SettingsError` for the first invalid topic of ``gateway``."""
    topics_of(settings, gateway)
    discovery_topics_of(settings, gateway)
    answer_prefix("topics.answers", settings.topics.answers, gateway)


def log_former_keys(settings: Settings) -> None:
    """Log which keys of topics are set by their former names."""
    for key, fix in settings.topics.former_keys:
        log.warning("configuration.former_key", key=key, fix=fix)


def discovery_topics_of(settings: Settings, gateway: str) -> HomeAssistantTopics:
    """Return the topics that are announced to Home Assistant.

    Raises :class:`~gapcast.core.errors.SettingsError` if one is invalid.
    """
    topics = settings.topics
    return HomeAssistantTopics(
        settings.homeassistant.discovery_prefix,
        DeviceTopic.parse("topics.forecast", topics.forecast),
        DeviceTopic.parse("topics.availability", topics.availability),
        gateway_topic("topics.status", topics.status, gateway),
        DeviceTopic.parse("topics.measured", topics.measured),
        DeviceTopic.parse("topics.outlook", topics.outlook),
        demand_topics_of(settings),
        DeviceTopic.parse("topics.scores", topics.scores) if settings.learning.report_every_min else None,
        settings.homeassistant.max_devices,
        settings.limits.max_kw,
        settings.learning.report_every_min * 60,
    )
