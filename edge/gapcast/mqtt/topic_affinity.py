"""Whether a broker that deals messages out to a group leaves each topic with one member of it.

The broker is asked before a worker takes part: two clients of our own join the group, on a topic that is no meter's,
and one of them publishes a few messages there. A broker that deals by the topic's hash gives them all to one. One that
deals in turn, or at random, gives some to each, and would so tear the readings of every meter apart.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

from gapcast.mqtt.client import SessionOptions
from gapcast.mqtt.session import Session

#: Dealt at random, all go to one of two members once in 2,048 times.
N_MESSAGES = 12
_ANSWER_S = 5.0
_TURN_S = 0.05


class GroupDistribution(NamedTuple):
    """How many messages of one topic each of two members was given; ``problem`` where that could not be found out."""

    n_each: tuple[int, int]
    problem: str = ""

    @property
    def splits_topic(self) -> bool:
        """Whether one topic's messages went to both."""
        return all(self.n_each)


def subscription(group: str, topic: str) -> str:
    """Return the filter by which a member of ``group`` takes its part of ``topic``.

    >>> subscription("workers", "gap/+/reading")
    '$share/workers/gap/+/reading'
    """
    return f"$share/{group}/{topic}"


def measure_group(options: SessionOptions, group: str, topic: str) -> GroupDistribution:
    """Find out how the broker of ``options`` deals out what is published on ``topic`` among members of ``group``."""
    shared = (subscription(group, topic),)
    members = [
        Session(
            replace(
                options, gateway=f"{options.gateway}-deal-{i}", subscriptions=shared, unwanted=(), request_topics=(),
                asides_mqtt5=(), session_expiry_s=0, announce=False, yields=False, qos=1,
            )
        )
        for i in range(2)
    ]  # fmt: skip
    try:
        return _dealt(members, topic.encode())
    finally:
        for member in members:
            member.close(1.0)


def _dealt(members: list[Session], topic: bytes) -> GroupDistribution:
    deadline_s = time.monotonic() + _ANSWER_S
    while not all(member.connected for member in members):
        for member in members:
            member.take(0, _TURN_S)
        if time.monotonic() > deadline_s:
            return GroupDistribution((0, 0), next(member.problem for member in members if not member.connected))
    for _ in range(N_MESSAGES):
        members[0].publish(topic, b"dealt")
    n_each = [0, 0]
    while sum(n_each) < N_MESSAGES:
        for i, member in enumerate(members):
            for received in member.take(N_MESSAGES, _TURN_S):
                n_each[i] += 1
                member.settle(received.publication, 0)
            member.flush()
        if time.monotonic() > deadline_s:
            return GroupDistribution(
                (0, 0), f"of {N_MESSAGES} messages on {topic.decode()} only {sum(n_each)} came back"
            )
    return GroupDistribution((n_each[0], n_each[1]))
