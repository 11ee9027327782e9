"""Checks that the broker delivers each topic of ``mqtt.share_group`` to one worker."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import structlog

from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError
from gapcast.mqtt.connection.client import SessionOptions
from gapcast.mqtt.topic_affinity import GroupDistribution, measure_group
from gapcast.mqtt.topics import gateway_topic

log = structlog.get_logger(__name__)

#: Pause before a failed measurement of topic affinity is repeated.
_RETRY_S = 1.0
#: What to do with a broker without shared subscriptions; one of MQTT 3.1.1 cannot report that it has none.
SHARDS_FIX = "use shards (docs/scale.md)"
SHARDS_IF_NONE = f"If the broker has no shared subscriptions, {SHARDS_FIX}"


def measure_distribution(settings: Settings, options: SessionOptions) -> GroupDistribution | None:
    """Measure how the broker distributes topics among the workers of ``mqtt.share_group``; None without a group."""
    group = settings.mqtt.share_group
    if group is None:
        return None
    return measure_group(
        options, group, gateway_topic("topics.distribution_check", settings.topics.distribution_check, options.gateway)
    )


def wait_for_topic_affinity(
    settings: Settings, options: SessionOptions, stopping: Event, on_iteration: Callable[[], None] = lambda: None
) -> None:
    """Wait until the broker is known to deliver each topic to one worker, or until stopped.

    ``on_iteration`` is called after each inconclusive measurement. Raises :class:`SettingsError` if the broker splits
    the readings of a meter, or has no shared subscriptions.
    """
    group = settings.mqtt.share_group
    while not stopping.is_set():
        found = measure_distribution(settings, options)
        if found is None:
            return
        if found.splits_topic:
            one, other = found.n_each
            msg = (
                f"mqtt.share_group: this broker distributes group {group} message by message, which would split the "
                f"readings of a meter: of {one + other} messages on one topic, {one} went to one member and {other} to "
                "the other. Configure the broker to distribute by topic (EMQX: hash_topic), or use shards"
            )
            raise SettingsError(msg)
        if not found.can_share:
            msg = f"mqtt.share_group: {found.problem}: {SHARDS_FIX}"
            raise SettingsError(msg)
        if not found.problem:
            log.info("mqtt.topic_affinity_confirmed", group=group)
            return
        log.warning(
            "mqtt.topic_affinity_unknown",
            problem=found.problem,
            fix="check the broker and the permissions on topics.distribution_check; this is repeated. "
            f"{SHARDS_IF_NONE}",
        )
        on_iteration()
        stopping.wait(_RETRY_S)
