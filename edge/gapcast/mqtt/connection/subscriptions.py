"""The subscriptions of a session at the broker."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gapcast.mqtt.connection.broker_problem import broker_reason
from gapcast.mqtt.connection.client import Client, SessionOptions

#: How long after a refusal the topics are requested again: the account may have got the permission in the meantime.
_RETRY_S = 30.0
#: A connection that ends this soon after the broker refused a topic has ended because of the refusal.
_CUT_SHORT_S = 2.0


class BrokerSubscriptions:
    """Requests the topics of ``options``, and finds the topics that the broker refuses."""

    def __init__(self, options: SessionOptions) -> None:
        self._options = options
        self._due_s = math.inf
        #: Topics that the broker refused since the last request, in the order of the request, and when.
        self._refused: tuple[str, ...] = ()
        self._refused_s = -math.inf
        self._left_out: set[str] = set()

    @property
    def is_due(self) -> bool:
        """Whether to request the topics again: the broker refused a required one, long enough ago."""
        return time.monotonic() >= self._due_s

    def request(self, client: Client, *, mqtt5: bool, session_present: bool) -> None:
        """Send the SUBSCRIBE; before it, an UNSUBSCRIBE of stale topics if the broker resumed the session."""
        options, self._due_s, self._refused = self._options, math.inf, ()
        if options.stale_subscriptions and session_present:
            client.unsubscribe(list(options.stale_subscriptions))
        subscribe_options: Any = SubscribeOptions(qos=options.qos, retainHandling=1) if mqtt5 else options.qos
        client.subscribe([(topic, subscribe_options) for topic in self._topics(mqtt5=mqtt5)])

    def refused(self, reasons: Sequence[ReasonCode], *, mqtt5: bool) -> dict[str, str]:
        """Return why topics are refused, by topic, from the ``reasons`` of the SUBACK."""
        answers = zip(self._topics(mqtt5=mqtt5), reasons, strict=False)
        refused = {topic: broker_reason(reason) for topic, reason in answers if reason.is_failure}
        self._refused, self._refused_s = tuple(refused), time.monotonic()
        if not refused.keys().isdisjoint(self._options.subscriptions):
            self._due_s = self._refused_s + _RETRY_S
        return refused

    @property
    def ended_by_refusal(self) -> bool:
        """Whether a connection that ends now ends because the broker refused a topic, as RabbitMQ does."""
        return bool(self._refused) and time.monotonic() - self._refused_s < _CUT_SHORT_S

    def leave_out_refused(self) -> str:
        """After a connection :attr:`ended_by_refusal`: leave out the refused topic from now on, and return it.

        Empty if the topic is required. The topic is the first refused one: RabbitMQ does not check those after it, and
        reports all of them as refused.
        """
        topic = self._refused[0]
        if topic in self._options.subscriptions:
            return ""
        self._left_out.add(topic)
        return topic

    def _topics(self, *, mqtt5: bool) -> list[str]:
        """Return the subscribed topics, readings first."""
        options = self._options
        topics = options.subscriptions + options.request_topics + (options.request_topics_mqtt5 if mqtt5 else ())
        return [topic for topic in topics if topic not in self._left_out]
