"""Converts the settings to session options, subscriptions and sources of the MQTT adapter."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from gapcast.config.checks.topic_use import read_twice
from gapcast.config.files.state_dir import gateway_id, state_path
from gapcast.config.sections.mqtt import MqttSettings
from gapcast.config.sections.sources import SourceSettings
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError
from gapcast.core.meters.sample_advice import samples_fix
from gapcast.core.meters.source import PER_UNIT, Source
from gapcast.core.meters.values import parse_path
from gapcast.mqtt.connection.broker_problem import broker_address
from gapcast.mqtt.connection.client import SessionOptions
from gapcast.mqtt.connection.tls import Tls, TlsFiles
from gapcast.mqtt.connection.transport import Transport
from gapcast.mqtt.discovery.discovery_message import birth_topics
from gapcast.mqtt.requests.demand_registers import RegisterSource
from gapcast.mqtt.sources.source_topics import SourceTopic
from gapcast.mqtt.sources.submeters import SubmeterSource
from gapcast.mqtt.topic_affinity import subscription
from gapcast.mqtt.topics import DeviceTopic, gateway_topic, without_covered
from gapcast.service.ports.intake import Subscriptions


def sources_of(settings: Settings) -> list[tuple[SourceTopic, Source]]:
    """Return the configured sources; raise :class:`SettingsError` if two would read the same topic."""
    sources = []
    filters: dict[str, str] = {}
    for i, source in enumerate(settings.sources):
        key = f"sources.{i}"
        topic = SourceTopic.parse(key, source.topic, source.device, source.parts)
        for one in topic.filters:
            if one in filters:
                raise SettingsError(read_twice(f"{key}.topic", source.topic, filters[one]))
            filters[one] = key
        sources.append((topic, source.source(settings.site.zone)))
    return sources


def submeters_of(settings: Settings) -> list[SubmeterSource]:
    """Return the configured submeters; raise :class:`SettingsError` if a topic is invalid."""
    submeters = []
    for i, one in enumerate(settings.submeters):
        topic = SourceTopic.parse(f"submeters.{i}", one.topic, f"submeter-{i}-{one.name}", one.parts)
        submeters.append(SubmeterSource(topic, one.source(settings.site.zone), one.of, one.name))
    return submeters


def subscriptions_of(settings: Settings) -> tuple[str, ...]:
    """Return the subscriptions for all readings: the topics of the sources, or the native topic."""
    group = settings.mqtt.share_group
    return tuple(one if group is None else subscription(group, one) for one in filters_of(settings))


def filters_of(settings: Settings) -> tuple[str, ...]:
    """Return the filters that match all topics with readings, including submeters; ``mqtt.share_group`` shares them."""
    return without_covered(_all_filters_of(settings))


def _all_filters_of(settings: Settings) -> tuple[str, ...]:
    """Return the filters of the topics of each source, or of native readings, and of the submeters."""
    filters = tuple(one for topic, _ in sources_of(settings) for one in topic.filters)
    filters = filters or (DeviceTopic.parse("topics.reading", settings.topics.reading).filter,)
    of_submeters = [one for submeter in submeters_of(settings) for one in submeter.topic.filters]
    return (*filters, *of_submeters)


def _stale_subscriptions_of(settings: Settings) -> tuple[str, ...]:
    """Return the subscriptions that the session may have from an earlier configuration: unshared, or now covered."""
    group, every = settings.mqtt.share_group, _all_filters_of(settings)
    registers = tuple(one.filter for one in register_sources_of(settings))
    shared = () if group is None else tuple(subscription(group, one) for one in every)
    used = {*subscriptions_of(settings), *_demand_filters_of(settings)}
    return tuple(one for one in dict.fromkeys((*every, *registers, *shared)) if one not in used)


def _demand_filters_of(settings: Settings) -> tuple[str, ...]:
    """Return the subscriptions for limits, month's peaks and registers; empty if ``[demand]`` has no limit."""
    if not settings.demand.is_limited:
        return ()
    topics = settings.topics
    changes = (
        DeviceTopic.parse("topics.demand_limit", topics.demand_limit).filter,
        DeviceTopic.parse("topics.month_peak", topics.month_peak).filter,
    )
    registers = (one.filter for one in register_sources_of(settings))
    return without_covered((*changes, *registers), filters_of(settings))


def register_sources_of(settings: Settings) -> list[RegisterSource]:
    """Return the configured registers of the meters; raise :class:`SettingsError` if a topic is invalid."""
    return [
        RegisterSource(
            one.register,
            one.topic if one.device else DeviceTopic.parse(one.key, one.topic),
            one.device,
            parse_path(one.path) if one.path else (),
            PER_UNIT[one.unit],
        )
        for one in settings.demand.registers
    ]


def described_subscriptions(settings: Settings) -> Subscriptions:
    """Return a description of the subscriptions for logs and pages, with a command to try them."""
    mqtt, topics = settings.mqtt, filters_of(settings)
    address = broker_address(mqtt.host, mqtt.port)
    sources = tuple(source.preset or source.topic for source in settings.sources)
    submeters = tuple((one.of, one.name, one.topic) for one in settings.submeters)
    fix = samples_fix_of(settings.sources, settings)
    return Subscriptions(address, topics, sources, _try_command(settings, topics), submeters, fix)


def samples_fix_of(sources: Sequence[SourceSettings], settings: Settings) -> str:
    """Return how to read messages of ``sources`` that are minutes as samples; without sources, native readings."""
    native = [one.topic for one in sources if one.format == "gapcast"] if sources else [settings.topics.reading]
    has_minutes = any(one.kind == "minute" and one.format != "gapcast" for one in sources)
    return samples_fix(native, has_sources=bool(sources), has_minutes=has_minutes)


def _try_command(settings: Settings, topics: Sequence[str]) -> str:
    """Return the command that shows the messages of the sources, or publishes a native reading."""
    if settings.sources:
        filters = (word for topic in topics for word in ("-t", topic))
        return mosquitto_command(settings.mqtt, "mosquitto_sub", "-v", *filters)
    topic = DeviceTopic.parse("topics.reading", settings.topics.reading).for_device("home")
    return mosquitto_command(settings.mqtt, "mosquitto_pub", "-q", "1", "-t", topic, "-m", "1.234")


def mosquitto_command(mqtt: MqttSettings, program: str, *words: str) -> str:
    """Return the command line of a mosquitto client for this broker, without the account's name and password.

    Empty if these clients cannot connect as gapcast does: over WebSocket, or with ``mqtt.tls.server_name``.
    """
    tls = mqtt.tls
    if mqtt.transport != "tcp" or tls.server_name is not None:
        return ""
    access = ["-h", mqtt.host, "-p", str(mqtt.port)]
    if mqtt.username is not None:
        access += ["-u", "USER", "-P", "PASSWORD"]
    if tls.enabled:
        access += ["--tls-use-os-certs"] if tls.ca_path is None else ["--cafile", str(tls.ca_path)]
    if tls.certificate_path is not None:
        access += ["--cert", str(tls.certificate_path), "--key", str(tls.key_path or tls.certificate_path)]
    if tls.alpn:
        access += ["--tls-alpn", tls.alpn[0]]  # these clients offer one protocol
    return shlex.join([program, *access, *words])


def session_options(settings: Settings, environment: Mapping[str, str]) -> SessionOptions:
    """Return the options of the MQTT session."""
    gateway = gateway_id(settings.gateway.id, state_path(settings.state.path, environment))
    mqtt, home = settings.mqtt, settings.homeassistant
    return SessionOptions(
        gateway=gateway,
        status_topic=gateway_topic("topics.status", settings.topics.status, gateway),
        subscriptions=subscriptions_of(settings),
        stale_subscriptions=_stale_subscriptions_of(settings),
        request_topics=(
            *(birth_topics(home.discovery_prefix) if home.enabled else ()),
            DeviceTopic.parse("topics.plan", settings.topics.plan).filter,
            *_demand_filters_of(settings),
        ),
        request_topics_mqtt5=(
            gateway_topic("topics.predict", settings.topics.predict, gateway),
            *((headroom_topic_of(settings, gateway),) if settings.demand.is_limited else ()),
        ),
        host=mqtt.host,
        port=mqtt.port,
        username=mqtt.username,
        password=mqtt.password.get_secret_value() if mqtt.password else None,
        transport=transport_of(mqtt),
        protocol=mqtt.protocol,
        qos=mqtt.qos,
        keepalive_s=mqtt.keepalive_s,
        session_expiry_s=mqtt.session_expiry_s,
        receive_maximum=mqtt.receive_maximum,
        yields=settings.shards is not None,
    )


def headroom_topic_of(settings: Settings, gateway: str) -> str:
    """Return the topic of headroom requests."""
    return gateway_topic("topics.headroom", settings.topics.headroom, gateway)


def transport_of(mqtt: MqttSettings) -> Transport:
    """Return the transport under MQTT; raise :class:`SettingsError` if a TLS file is unusable."""
    tls = mqtt.tls
    if not tls.enabled:
        return Transport(mqtt.transport, mqtt.websocket_path)
    key_password = tls.key_password.get_secret_value() if tls.key_password else None
    files = TlsFiles(tls.ca_path, tls.certificate_path, tls.key_path, key_password, tls.alpn)
    return Transport(mqtt.transport, mqtt.websocket_path, Tls(files), tls.server_name)
