"""Measures whether a broker delivers each topic of a shared subscription to one member only (topic affinity).

The test runs before a worker joins: two test clients join the group on a topic of no meter, and one of them publishes
several messages there. A broker that distributes by the topic's hash delivers them all to one client. A broker that
distributes round-robin or at random delivers some to each, and would split the readings of every meter.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

from gapcast.mqtt.connection.client import SessionOptions
from gapcast.mqtt.session.session import Session

#: With random distribution, all messages go to one of two members once in 2,048 times.
N_MESSAGES = 12
#: The problem of a broker without shared subscriptions, and how paho names the reason code that says so.
NO_SHARING = "this broker has no shared subscriptions"
_NOT_SUPPORTED = "Shared subscription not supported"
_ANSWER_S = 5.0
_POLL_S = 0.05


class GroupDistribution(NamedTuple):
    """How many messages of one topic each of two members received; ``problem`` if the measurement failed.

    ``can_share`` is false if it failed because the broker has no shared subscriptions.
    """

    n_each: tuple[int, int]
    problem: str = ""
    can_share: bool = True

    @property
    def splits_topic(self) -> bool:
        """Whether one topic's messages went to both members."""
        return all(self.n_each)


def subscription(group: str, topic: str) -> str:
    """Return the filter with which a member of ``group`` subscribes to its share of ``topic``.

    >>> subscription("workers", "gap/+/reading")
    '$share/workers/gap/+/reading'
    """
    return f"$share/{group}/{topic}"


def measure_group(options: SessionOptions, group: str, topic: str) -> GroupDistribution:
    """Measure how the broker of ``options`` distributes messages on ``topic`` among members of ``group``."""
    shared = (subscription(group, topic),)
    members = [
        Session(
            replace(
                options, gateway=f"{options.gateway}-deal-{i}", subscriptions=shared, stale_subscriptions=(),
                request_topics=(), request_topics_mqtt5=(), session_expiry_s=0, announce=False, yields=False, qos=1,
            )
        )
        for i in range(2)
    ]  # fmt: skip
    try:
        return _distribution(members, topic.encode())
    finally:
        for member in members:
            member.close(1.0)


def _distribution(members: list[Session], topic: bytes) -> GroupDistribution:
    deadline_s = time.monotonic() + _ANSWER_S
    while not all(member.connected for member in members):
        for member in members:
            member.receive_messages(0, _POLL_S)
            if not member.has_shared_subscriptions or _NOT_SUPPORTED in member.problem:
                return GroupDistribution((0, 0), NO_SHARING, can_share=False)
        if time.monotonic() > deadline_s:
            return GroupDistribution((0, 0), next(member.problem for member in members if not member.connected))
    for _ in range(N_MESSAGES):
        members[0].publish(topic, b"check")
    n_each = [0, 0]
    while sum(n_each) < N_MESSAGES:
        for i, member in enumerate(members):
            for received in member.receive_messages(N_MESSAGES, _POLL_S):
                n_each[i] += 1
                member.acknowledge_after(received.publication, 0)
            member.flush()
        if time.monotonic() > deadline_s:
            return GroupDistribution(
                (0, 0), f"received only {sum(n_each)} of {N_MESSAGES} test messages on {topic.decode()}"
            )
    return GroupDistribution((n_each[0], n_each[1]))
