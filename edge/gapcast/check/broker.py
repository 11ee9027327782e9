"""Checks the topics, the connection to the broker, the login, and the permission to read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from gapcast.app.broker.broker import filters_of, register_sources_of, session_options, sources_of
from gapcast.app.broker.sharing import SHARDS_FIX, SHARDS_IF_NONE, measure_distribution
from gapcast.app.broker.topics import check_topics
from gapcast.check.finding import CheckInput, Finding, fail, ok, warn
from gapcast.config.settings import Settings
from gapcast.core.errors import EXIT_BAD_INPUT, EXIT_ERROR, SettingsError
from gapcast.mqtt.connection.broker_problem import (
    LOGIN_REASONS,
    LOGIN_REFUSED,
    NO_ANSWER,
    NOT_CONNECTED_YET,
    SUBSCRIPTION_REFUSED,
)
from gapcast.mqtt.connection.client import SessionOptions
from gapcast.mqtt.connection.transport import INVALID
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.topics import filter_covers, without_covered
from gapcast.presets import PER_TOPIC, presets

_BROKER_S = 8.0
_CREDENTIALS = "set mqtt.username and mqtt.password (better: GAPCAST_MQTT__PASSWORD_FILE) to an account of the broker"
_READ_FIX = "grant this account read access to the topic (docs/security.md lists the permissions)"
_CLOSED_FIX = (
    "the broker accepted this account, and then closed the connection: see its log; the account may lack read access "
    "to a topic (docs/security.md lists the permissions)"
)
#: Text in a connection problem -> fix.
_FIXES = {
    "connection refused": "nothing listens at this address: start the broker, or correct mqtt.host and mqtt.port",
    "name resolution fails": "check the network and the DNS server, or use the IP address",
    "host not found": "cannot resolve mqtt.host: check the spelling, or use the IP address",
    "no response": "no response from this address: check mqtt.host and firewalls",
    "no route to host": "no route to this address: check mqtt.host and the network",
    "network is unreachable": "the network is unreachable: check the network connection of this machine",
    NO_ANSWER: "another kind of server may listen there: check mqtt.port (usually 1883, or 8883 with TLS)",
    "malformed packet": 'gapcast cannot read this answer: check mqtt.port, or set mqtt.protocol = "3.1.1"',
    "disconnected": "the broker closed the connection: if this port uses TLS, set mqtt.tls.enabled = true",
    "subscription": _READ_FIX,
    **dict.fromkeys(LOGIN_REASONS, _CREDENTIALS),
}
_PERMISSIONS_FIX = (
    f"grant this account read and write access to topics.distribution_check (docs/security.md). {SHARDS_IF_NONE}"
)
_DISTRIBUTION_FIX = "configure the broker to distribute by topic (EMQX: hash_topic), or use shards (docs/scale.md)"
#: Problems that retrying does not solve.
_FINAL = ("unreachable", *LOGIN_REFUSED, SUBSCRIPTION_REFUSED)


def check_former_keys(inputs: CheckInput) -> Iterator[Finding]:
    """Find keys that are set by their former names."""
    for key, fix in inputs.settings.topics.former_keys:
        yield warn("configuration", f"{key} is a former name", fix)


def check_broker(inputs: CheckInput) -> Iterator[Finding]:
    """Connect and subscribe as the service does, with a separate client id."""
    settings = inputs.settings
    try:
        options = session_options(settings, inputs.environment)
        check_topics(settings, options.gateway)
    except SettingsError as error:
        key, _, rest = str(error).partition(": ")
        what = "topics" if key.startswith("topics.") else "broker"
        yield fail(what, f"{key}: {rest}", f"correct {key.split(',')[0]}", EXIT_BAD_INPUT)
        return
    # With the service's own id the check would take over its session; as a member of its group it would take readings
    # from it. A second session (_refused) subscribes to requests, to find refused topics; it answers none.
    registers = (source.filter for source in register_sources_of(settings))
    alone = replace(
        options,
        gateway=f"{options.gateway}-check",
        subscriptions=without_covered((*filters_of(settings), *registers)),
        stale_subscriptions=(),
        session_expiry_s=0,
        announce=False,
        request_topics=(),
        request_topics_mqtt5=(),
    )
    session = Session(alone)
    address = f"{settings.mqtt.host} port {settings.mqtt.port}"
    problem = connect(session)
    if not session.connected:
        session.close(1.0)
        fix = fix_of(problem)
        if session.n_connects and problem.startswith("disconnected") and "malformed" not in problem:
            fix = _CLOSED_FIX
        yield fail("broker", f"{address}: {problem or 'no answer'}", fix, EXIT_ERROR)
        return
    inputs.session = session
    topics = ", ".join(source.topic for source in settings.sources) or settings.topics.reading
    yield ok("broker", f"{address}, MQTT {session.protocol}, subscribed to {topics}")
    requests = options.request_topics + (options.request_topics_mqtt5 if session.has_properties else ())
    if refused := _refused(replace(alone, gateway=f"{alone.gateway}-requests"), requests):
        text = f"{', '.join(refused)}: the broker refuses the subscription, so that no message there arrives"
        yield warn("permissions", text, _READ_FIX)
    yield from _check_devices(settings)
    yield from _check_entities(settings)
    yield from _check_order(settings)
    yield from _check_distribution(inputs, options)


def _refused(options: SessionOptions, topics: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ``topics`` that the broker refuses; RabbitMQ also refuses those that follow one in a request."""
    session = Session(replace(options, subscriptions=topics))
    problem = connect(session)
    session.close(1.0)
    if not problem.startswith(SUBSCRIPTION_REFUSED):
        return ()
    return topics if len(topics) == 1 else tuple(topic for one in topics for topic in _refused(options, (one,)))


def _check_devices(settings: Settings) -> Iterator[Finding]:
    """Check that no two sources name the same device."""
    first: dict[str, int] = {}
    for i, source in enumerate(settings.sources):
        device = source.device
        if device in first:
            text = (
                f"sources.{first[device]} and sources.{i} are both the device {device}: their powers are not added up"
            )
            yield warn("sources", text, "use one source whose value is a sum, or set a different device for each")
        elif device and "{" not in device:
            first[device] = i


def _check_entities(settings: Settings) -> Iterator[Finding]:
    """Check that no source reads every sensor that Home Assistant streams."""
    topic = presets()[PER_TOPIC]["topic"]
    for i, source in enumerate(settings.sources):
        if source.preset == PER_TOPIC and source.topic == topic:
            text = f"sources.{i} reads every sensor that Home Assistant streams ({topic}), temperatures too"
            yield warn("sources", text, 'name the entity: topic = "homeassistant/sensor/grid_power/state", with device')


def _check_order(settings: Settings) -> Iterator[Finding]:
    """Check that no source reads all messages of a later source: the first matching source reads each message."""
    earlier: dict[str, int] = {}
    for i, (topic, _) in enumerate(sources_of(settings)):
        for one in topic.filters:
            first = next((number for other, number in earlier.items() if filter_covers(other, one)), None)
            if first is not None:
                text = f"sources.{i} receives nothing on {one}: sources.{first} matches first"
                yield warn("sources", text, f"write sources.{i} before sources.{first}")
        earlier |= dict.fromkeys(topic.filters, i)


def _check_distribution(inputs: CheckInput, options: SessionOptions) -> Iterator[Finding]:
    """Check how the broker distributes messages, if workers share a subscription."""
    found = measure_distribution(inputs.settings, replace(options, gateway=f"{options.gateway}-check"))
    if found is None:
        return
    group = inputs.settings.mqtt.share_group
    if not found.can_share:
        yield fail("sharing", f"group {group}: {found.problem}", SHARDS_FIX, EXIT_BAD_INPUT)
    elif found.problem:
        yield fail("sharing", f"group {group}: {found.problem}", _PERMISSIONS_FIX, EXIT_ERROR)
    elif found.splits_topic:
        one, other = found.n_each
        text = (
            f"group {group}: of {one + other} messages on one topic, {one} went to one member and {other} to the other"
        )
        yield fail("sharing", text, _DISTRIBUTION_FIX, EXIT_BAD_INPUT)
    else:
        yield ok("sharing", f"group {group}: the broker delivers all messages of a topic to one member")


def connect(session: Session) -> str:
    """Wait until the session is connected or rejected; return the last problem, empty if there was none."""
    deadline_s, problem = time.monotonic() + _BROKER_S, ""
    while not session.connected and time.monotonic() < deadline_s:
        session.receive_messages(1, 0.25)
        problem = session.problem if session.problem != NOT_CONNECTED_YET else problem
        if session.problem.startswith(_FINAL):
            break
    return problem


def fix_of(problem: str) -> str:
    """Return the fix for a connection problem."""
    found = [fix for words, fix in _FIXES.items() if words in problem]
    if found:
        return found[0]
    # TLS problems include their fix, and a broker does not log that its own certificate is invalid.
    return "" if "mqtt." in problem or INVALID in problem else "see the broker's log for the reason"
