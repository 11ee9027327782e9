"""Creates the link to the broker from the settings, and connects requests and discovery to it."""

from __future__ import annotations

from collections.abc import Callable

from gapcast.api.headroom_answer import HeadroomHandler
from gapcast.api.predict_answer import PredictHandler
from gapcast.app.broker.broker import (
    described_subscriptions,
    filters_of,
    headroom_topic_of,
    register_sources_of,
    sources_of,
    submeters_of,
)
from gapcast.app.broker.topics import discovery_topics_of, topics_of
from gapcast.app.models.loaded_models import Models
from gapcast.config.settings import Settings
from gapcast.core.models.predictor import ModelIdentity
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.windows.features import measured_in
from gapcast.mqtt.discovery.discovery import Discovery
from gapcast.mqtt.discovery.discovery_message import birth_topics
from gapcast.mqtt.link import MqttLink
from gapcast.mqtt.message_reader import IntakeOptions
from gapcast.mqtt.requests.demand_registers import RegisterReader
from gapcast.mqtt.requests.request_topics import PredictRequests
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.sources.sources import SourceReader
from gapcast.mqtt.sources.submeters import SubmeterReader
from gapcast.mqtt.topics import answer_prefix, gateway_topic
from gapcast.service.service import Service


def link_of(settings: Settings, session: Session, models: Models, statistics: Statistics) -> MqttLink:
    """Return the link over ``session``, which reads the inputs of ``models`` and counts in ``statistics``.

    Raises :class:`~gapcast.core.errors.SettingsError`.
    """
    limits = settings.reading_limits
    return MqttLink(
        session,
        topics_of(settings, session.gateway),
        limits,
        retain_forecasts=settings.mqtt.retain_forecasts,
        extras=_extras_of(models),
        intake=IntakeOptions(
            source_reader_of(settings, models, statistics),
            SubmeterReader(submeters_of(settings), limits) if settings.submeters else None,
            statistics,
            settings.mqtt.rejections_per_s,
            described_subscriptions(settings),
        ),
    )


def source_reader_of(settings: Settings, models: Models, statistics: Statistics) -> SourceReader | None:
    """Return the reader of the configured sources, with the inputs of ``models``; None without sources.

    Raises :class:`~gapcast.core.errors.SettingsError`.
    """
    sources = sources_of(settings)
    if not sources:
        return None
    return SourceReader(sources, settings.reading_limits, _extras_of(models), settings.devices.max, statistics)


def _extras_of(models: Models) -> tuple[str, ...]:
    """Return the measured inputs of ``models`` besides the power."""
    return measured_in(models.primary.features)[1:]


def connect_service(link: MqttLink, settings: Settings, service: Service, session: Session) -> PredictHandler:
    """Connect ``service`` to the messages on ``link`` other than readings; return the handler of forecast requests."""
    limits, gateway = settings.reading_limits, session.gateway
    answers = answer_prefix("topics.answers", settings.topics.answers, gateway)
    link.listen_for_plans(service.replace_plan)
    if settings.demand.is_limited:
        link.listen_for_limits(service.demand_changes)
        answer_headroom = HeadroomHandler(service.queries).answer_message
        link.listen(headroom_topic_of(settings, gateway), PredictRequests(session, answers, answer_headroom))
        if registers := register_sources_of(settings):
            of_readings = filters_of(settings)
            reader = RegisterReader(registers, of_readings, limits, service.demand_changes, link.reject)
            link.listen_for_registers(reader)
    http = settings.http
    handler = PredictHandler(
        service.queries, limits, max_body_bytes=http.max_body_bytes, max_readings=http.max_readings
    )
    predict_topic = gateway_topic("topics.predict", settings.topics.predict, gateway)
    link.listen(predict_topic, PredictRequests(session, answers, handler.answer_message))
    if settings.homeassistant.enabled:
        connect_discovery(link, settings, service, session)
    return handler


def demand_check_of(
    settings: Settings, outlook_model_of: Callable[[str], ModelIdentity | None]
) -> Callable[[str], bool]:
    """Return a predicate: whether a device has a demand, that is a limit, and a model by ``outlook_model_of``."""
    site = settings.demand.site_options(settings.site.zone)
    return lambda device: site.for_device(device).is_limited and outlook_model_of(device) is not None


def connect_discovery(link: MqttLink, settings: Settings, service: Service, session: Session) -> None:
    """Announce the devices of ``service`` to Home Assistant, and again whenever Home Assistant starts."""
    topics = discovery_topics_of(settings, session.gateway)
    outlook_model_of = service.queries.outlooks.model_of
    link.discovery = Discovery(
        session,
        topics,
        service.queries.published_model_of,
        outlook_model_of,
        demand_check_of(settings, outlook_model_of),
        is_beyond_limit=lambda device: service.queries.exceeds_device_limit(device, topics.max_devices),
    )
    for topic in birth_topics(topics.discovery_prefix):
        link.listen(topic, link.discovery)
