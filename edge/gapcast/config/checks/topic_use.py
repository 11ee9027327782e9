"""Checks the topics of a gateway: each is read or published only once, and the gateway reads none that it publishes.

They also check the distribution of meters among workers: by a level ``{shard}``, or by the broker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gapcast.config.checks.topic_overlap import echo_problems, overlaps
from gapcast.config.sections.demand import DemandSettings
from gapcast.config.sections.mqtt import TopicSettings
from gapcast.config.sections.sources import SourceSettings
from gapcast.config.sections.submeters import SubmeterSettings

#: The placeholder for a shard's number in a topic.
SHARD = "{shard}"
_BY_THE_BROKER = ("$share/", "$queue/")
#: Placeholders that stand for a whole level of a topic.
_WHOLE_LEVELS = frozenset({"{device}", "{channel}", "{part}", SHARD})
_ALWAYS_PUBLISHED = ("forecast", "availability", "scores", "status", "rejected", "events", "distribution_check")
_OF_DEMANDS = ("demand", "headroom_w", "max_power_w")


def sharing_problems(
    shards: Sequence[int] | None, topics: Mapping[str, str], of_sources: Mapping[str, str]
) -> Iterator[str]:
    """Yield each problem with the distribution of meters in a sentence that names the key.

    ``topics`` are the topics of ``[topics]`` and ``of_sources`` the topics of ``[[sources]]``, by key.
    """
    readings = of_sources or {"topics.reading": topics["topics.reading"]}
    for key, topic in readings.items():
        if topic.startswith(_BY_THE_BROKER):
            yield f"{key} ({topic}): remove the group, and set mqtt.share_group instead"
    if shards is None:
        for key, topic in {**topics, **of_sources}.items():
            if SHARD in topic:
                yield f"{key} ({topic}) has {SHARD}, but shards is not set: list the shards of this worker, such as [0]"
        return
    if not shards:
        yield "shards is empty: list at least one shard, or remove the key"
    if twice := sorted({shard for shard in shards if shards.count(shard) > 1}):
        yield f"shards lists {twice[0]} twice: a shard has one client and one store; list it once"
    for key, topic in readings.items():
        if SHARD not in topic.split("/"):
            yield (
                f"{key} ({topic}) has no level {SHARD}, and all shards would read the same meters: "
                f"add the level, as in gap/{SHARD}/{{device}}/reading"
            )


def published_topics(
    topics: TopicSettings, discovery_prefix: str | None, *, has_outlook: bool, has_demand: bool
) -> dict[str, str]:
    """Return the topics that are published, by configuration key; ``discovery_prefix`` is Home Assistant's, if used."""
    published = {f"topics.{name}": getattr(topics, name) for name in _ALWAYS_PUBLISHED}
    published["topics.answers"] = f"{topics.answers}#"
    if has_outlook:
        published["topics.outlook"] = topics.outlook
    if discovery_prefix is not None:
        published["topics.measured"] = topics.measured
        published["homeassistant.discovery_prefix"] = f"{discovery_prefix}/device/gapcast_{{device}}/config"
    if has_demand:
        published |= {f"topics.{name}": getattr(topics, name) for name in _OF_DEMANDS}
    return published


def meter_filters(
    reading_topic: str, sources: Sequence[SourceSettings], submeters: Sequence[SubmeterSettings]
) -> dict[str, tuple[str, ...]]:
    """Return the subscriptions of ``sources`` (without any: of native readings) and of ``submeters``, by key."""
    filters = {f"sources.{i}.topic": tuple(map(_filter_of, one.topics)) for i, one in enumerate(sources)}
    filters = filters or {"topics.reading": (_filter_of(reading_topic),)}
    return filters | {f"submeters.{i}.topic": one.topics for i, one in enumerate(submeters)}


def topic_problems(
    topics: TopicSettings,
    published: Mapping[str, str],
    meters: Mapping[str, tuple[str, ...]],
    demand: DemandSettings,
    gateway: str,
) -> Iterator[str]:
    """Yield a sentence with the key for each topic that is read twice, published twice, or both read and published.

    ``published`` are the topics of :func:`published_topics`, ``meters`` the filters of :func:`meter_filters`.
    ``gateway`` is the gateway's name, empty if it is not known yet.
    """

    def with_gateway(topic: str) -> str:
        return topic.replace("{gateway}", gateway) if gateway else topic

    subscribed = {**meters, "topics.predict": (with_gateway(topics.predict),)}
    commands = {"topics.plan": topics.plan}
    if demand.is_limited:
        subscribed["topics.headroom"] = (with_gateway(topics.headroom),)
        commands |= {"topics.demand_limit": topics.demand_limit, "topics.month_peak": topics.month_peak}
    for command, topic in commands.items():
        for key, filters in subscribed.items():
            if _filter_of(topic) in filters:
                yield read_twice(command, topic, key)
        subscribed[command] = (_filter_of(topic),)
    for register in demand.registers:
        filter_ = _filter_of(register.topic)
        for key in ("topics.reading", "topics.predict", "topics.headroom", *commands):
            if any(overlaps(filter_, one) for one in subscribed.get(key, ())):
                yield read_twice(register.key, register.topic, key)
        subscribed[register.key] = (filter_,)
    yield from _published_twice(published)
    yield from echo_problems(subscribed, {key: with_gateway(topic) for key, topic in published.items()})


def _published_twice(published: Mapping[str, str]) -> Iterator[str]:
    """Yield each topic that two keys name: subscribers could not distinguish their messages."""
    keys: dict[str, str] = {}
    for key, topic in published.items():
        if topic in keys:
            yield f"{key}: {topic!r} is already published by {keys[topic]}: set different topics"
        keys[topic] = key


def _filter_of(topic: str) -> str:
    """Return the subscription that matches a pattern of readings."""
    return "/".join("+" if level in _WHOLE_LEVELS else level for level in topic.split("/"))


def read_twice(key: str, topic: str, other: str) -> str:
    """Return the problem that ``key`` reads a ``topic`` which the key ``other`` also reads."""
    return f"{key}: {topic!r} is already read by {other}; each message is processed once: change or remove one of them"
