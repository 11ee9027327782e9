"""The subscriptions of a session at the broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gapcast.mqtt.client import Client, SessionOptions
from gapcast.mqtt.plain_reasons import broker_reason


class BrokerSubscriptions:
    """Requests the topics of ``options``, and finds those that the broker refuses."""

    def __init__(self, options: SessionOptions) -> None:
        self._options = options

    def request(self, client: Client, *, mqtt5: bool, session_present: bool) -> None:
        """Send the SUBSCRIBE; before it, an UNSUBSCRIBE of stale topics if the broker resumed the session."""
        options = self._options
        if options.stale_subscriptions and session_present:
            client.unsubscribe(list(options.stale_subscriptions))
        subscribe_options: Any = SubscribeOptions(qos=options.qos, retainHandling=1) if mqtt5 else options.qos
        client.subscribe([(topic, subscribe_options) for topic in self._topics(mqtt5=mqtt5)])

    def refused(self, reasons: Sequence[ReasonCode], *, mqtt5: bool) -> dict[str, str]:
        """Return why topics are refused, by topic, from the ``reasons`` of the SUBACK."""
        answers = zip(self._topics(mqtt5=mqtt5), reasons, strict=False)
        return {topic: broker_reason(reason) for topic, reason in answers if reason.is_failure}

    def _topics(self, *, mqtt5: bool) -> tuple[str, ...]:
        """Return the subscribed topics, readings first."""
        options = self._options
        return options.subscriptions + options.request_topics + (options.request_topics_mqtt5 if mqtt5 else ())
