"""Logs the events of a connection, and the reason why there is none.

:mod:`gapcast.mqtt.connection.broker_problem` turns the problems into sentences for people.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from paho.mqtt.reasoncodes import ReasonCode

from gapcast.mqtt.connection.broker_problem import (
    NO_ANSWER,
    NOT_AUTHORIZED,
    NOT_CONNECTED_YET,
    SUBSCRIPTION_REFUSED,
    broker_reason,
)
from gapcast.mqtt.connection.client import CONNECT_TIMEOUT_S, SessionOptions

log = structlog.get_logger(__name__)

_REFUSED = "refused"
#: Maximum number of characters of an exception that is shown.
_SHOWN_ERROR_CHARS = 120
#: The user name and the password, also of a file, are read only at the start of the service.
_LOGIN_FIX = ": check mqtt.username and mqtt.password, and restart gapcast after a change"
_LEFT_OUT_FIX = "grant this account read access to the topic (docs/security.md), and restart gapcast"
_LEFT_OUT_MEANWHILE = "messages on this topic do not arrive: the broker ends the connection when it refuses the topic"


class ConnectionLog:
    """Logs the events of a connection, and holds its current problem.

    A lasting problem is logged as a warning or error once, not once per attempt.
    """

    def __init__(self, options: SessionOptions) -> None:
        self._options = options
        #: Why there is no connection, in a sentence; empty while there is one.
        self.problem = NOT_CONNECTED_YET
        #: Why MQTT 5 is not used although it may be, if it has been tried.
        self.mqtt5_problem = ""
        #: Topics that are not required and that the broker refused at the last request.
        self._refused_requests: frozenset[str] = frozenset()

    def accepted(self, *, mqtt5: bool, session_present: bool) -> None:
        """Record that the broker accepted the connection."""
        log_it = log.debug if self._lacks_subscription else log.info
        log_it(
            "mqtt.connected",
            host=self._options.host,
            port=self._options.port,
            protocol="5" if mqtt5 else "3.1.1",
            session_present=session_present,
            **({} if mqtt5 or not self.mqtt5_problem else {"mqtt5_problem": self.mqtt5_problem}),
        )

    def subscribed(self) -> None:
        """Record that the broker granted the required subscriptions: there is no problem."""
        if self._lacks_subscription:
            log.info("mqtt.subscription_granted", topics=self._options.subscriptions)
        self.problem = ""

    def unreachable(self, problem: str) -> None:
        """Record that the broker could not be reached."""
        is_new = self._replace(f"unreachable: {problem}")
        log_it = log.warning if is_new else log.debug
        log_it("mqtt.unreachable", host=self._options.host, port=self._options.port, problem=problem)

    def unanswered(self) -> None:
        """Record that the broker did not answer in time."""
        is_new = self._replace(NO_ANSWER)
        log_it = log.warning if is_new else log.debug
        log_it("mqtt.no_answer", host=self._options.host, port=self._options.port, waited_s=CONNECT_TIMEOUT_S)

    def refused(self, reason: ReasonCode) -> None:
        """Record that the broker refused the client."""
        fix = _LOGIN_FIX if reason.value in NOT_AUTHORIZED else ""
        why = broker_reason(reason)
        is_new = self._replace(f"{_REFUSED}: {why}{fix}")
        log_it = log.error if is_new else log.debug
        log_it("mqtt.refused", host=self._options.host, port=self._options.port, reason=why)

    def failed(self, error: BaseException) -> None:
        """Record that the connection raised ``error``."""
        self.problem = f"the connection failed ({type(error).__name__}: {str(error)[:_SHOWN_ERROR_CHARS]})"
        host, port = self._options.host, self._options.port
        log.error("mqtt.connection_failed", host=host, port=port, problem=self.problem, exc_info=error)

    def disconnected(self, why: str, *, was_connected: bool, was_answered: bool) -> None:
        """Record ``why`` a connection ended; a refusal, also of a subscription, remains the problem."""
        if was_answered and not was_connected and self.problem.startswith((_REFUSED, SUBSCRIPTION_REFUSED)):
            return
        is_new = self._replace(f"disconnected: {why}")
        log_it = log.warning if is_new or was_connected else log.debug
        log_it("mqtt.disconnected", host=self._options.host, reason=why)

    def taken_over(self, n_in_a_row: int) -> None:
        """Record that another client uses the client id."""
        self.problem = (
            f"another client connects with the client id gapcast-{self._options.gateway}: "
            "give each gateway its own gateway.id and state.path"
        )
        log.error("mqtt.taken_over", problem=self.problem, n_in_a_row=n_in_a_row)

    def subscriptions_refused(self, reasons: Mapping[str, str]) -> bool:
        """Record the ``reasons`` of refused subscriptions by topic; return whether a required one is among them."""
        needed = [topic for topic in reasons if topic in self._options.subscriptions]
        if needed:
            reason = reasons[needed[0]]
            if self._replace(f"{SUBSCRIPTION_REFUSED}{', '.join(needed)} is refused: {reason}"):
                log.error("mqtt.subscription_refused", reason=reason, topics=tuple(needed))
            return True
        for topic, reason in reasons.items():
            if topic not in self._refused_requests:
                log.warning("mqtt.subscription_refused", reason=reason, topics=(topic,))
        self._refused_requests = frozenset(reasons)
        return False

    def left_out(self, topic: str) -> None:
        """Log that ``topic`` is not subscribed to any more: the broker ends the connection when it refuses it."""
        log.warning("mqtt.subscription_left_out", topic=topic, fix=_LEFT_OUT_FIX, meanwhile=_LEFT_OUT_MEANWHILE)

    @property
    def _lacks_subscription(self) -> bool:
        return self.problem.startswith(SUBSCRIPTION_REFUSED)

    def _replace(self, problem: str) -> bool:
        """Replace the problem; return whether it has changed."""
        is_new, self.problem = problem != self.problem, problem
        return is_new
