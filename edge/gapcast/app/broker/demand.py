"""Connects demands to the broker: topics, changes of limits and peaks, headroom requests and registers."""

from __future__ import annotations

from collections.abc import Callable

from gapcast.api.headroom_answer import HeadroomHandler
from gapcast.app.broker.broker import filters_of, headroom_topic_of, register_sources_of
from gapcast.config.settings import Settings
from gapcast.core.models.predictor import ModelIdentity
from gapcast.mqtt.link import MqttLink
from gapcast.mqtt.requests.demand_registers import RegisterReader
from gapcast.mqtt.requests.request_topics import PredictRequests
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.topics import DemandTopics, DeviceTopic, answer_prefix
from gapcast.service.service import Service


def demand_topics_of(settings: Settings) -> DemandTopics:
    """Return the topics of demands; raise :class:`SettingsError` if one is invalid."""
    topics = settings.topics
    return DemandTopics(
        DeviceTopic.parse("topics.demand", topics.demand),
        DeviceTopic.parse("topics.headroom_w", topics.headroom_w),
        DeviceTopic.parse("topics.max_power_w", topics.max_power_w),
        DeviceTopic.parse("topics.demand_limit", topics.demand_limit),
        DeviceTopic.parse("topics.month_peak", topics.month_peak),
    )


def demand_check_of(
    settings: Settings, outlook_model_of: Callable[[str], ModelIdentity | None]
) -> Callable[[str], bool]:
    """Return a predicate: whether a device has a demand, that is a limit, and a model by ``outlook_model_of``."""
    site = settings.demand.site_options(settings.site.zone)
    return lambda device: site.for_device(device).is_limited and outlook_model_of(device) is not None


def connect_demand(link: MqttLink, settings: Settings, service: Service, session: Session) -> None:
    """Let ``link`` read limits, month's peaks, registers and headroom requests; ``service`` handles them."""
    changes = service.demand_changes
    link.listen_for_limits(changes)
    answers = answer_prefix("topics.answers", settings.topics.answers, session.gateway)
    link.listen(
        headroom_topic_of(settings, session.gateway),
        PredictRequests(session, answers, HeadroomHandler(service.queries).answer_message),
    )
    registers = register_sources_of(settings)
    if registers:
        limits = settings.reading_limits
        link.listen_for_registers(RegisterReader(registers, filters_of(settings), limits, changes, link.reject))
