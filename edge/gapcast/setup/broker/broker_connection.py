"""Connects to the broker: resolve, reach, log in, subscribe; each step has its own error, and a new question."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, NamedTuple

from gapcast.app.broker.broker import session_options
from gapcast.check.broker import connect, fix_of
from gapcast.config.settings import Settings
from gapcast.core.errors import BrokerError, SettingsError
from gapcast.mqtt.connection.broker_problem import LOGIN_REFUSED, SUBSCRIPTION_REFUSED
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.topics import without_covered
from gapcast.setup.broker.broker_access import BrokerAccess, protocol_fix
from gapcast.setup.prompts import Prompts, ask_valid
from gapcast.setup.topics import EVERYTHING, filter_of, topic_problem, unit_topics


class Step(Enum):
    """The step of a connection that failed."""

    REACH = "reach"
    TALK = "talk"
    LOG_IN = "log in"
    SUBSCRIBE = "subscribe"


class AccessProblem(NamedTuple):
    """The step that failed, the reason, and the fix."""

    step: Step
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.problem}: {self.fix}" if self.fix else self.problem


class BrokerConnection:
    """Connects to a broker, and asks again for the answer that was wrong."""

    def __init__(self, prompts: Prompts, show: Callable[[str], None], *, tls: bool | None = None) -> None:
        self._prompts = prompts
        self._show = show
        self._tls = tls

    def ask_address(self, default: str) -> BrokerAccess:
        """Ask for the broker's address until it is valid."""
        question = "Broker (host name or address, optionally :port)"
        answer = ask_valid(self._prompts, self._show, question, default, "--broker", self._address_problem)
        return BrokerAccess.parse(answer, tls=self._tls)

    def connect(self, access: BrokerAccess, topics: Sequence[str]) -> tuple[Session, tuple[str, ...]]:
        """Return a connection subscribed to ``topics``, or to a topic that the user enters if they are not permitted.

        Asks until a connection succeeds. Raises :class:`BrokerError` if prompts are not interactive.
        """
        wanted = tuple(topics)
        while True:
            connected = _try(access, wanted)
            if isinstance(connected, Session):
                account = f' as "{access.username}"' if access.username else ""
                self._show(f"Connected to {access.host} port {access.port}{account}.")
                return connected, wanted
            if not self._prompts.is_interactive:
                msg = f"{access.host} port {access.port}: {connected}"
                raise BrokerError(msg)
            self._show(f"{access.host} port {access.port}: {connected.problem}")
            if connected.fix:
                self._show(f"     fix: {connected.fix}")
            wanted = self._correct(access, connected.step, wanted)

    def _correct(self, access: BrokerAccess, step: Step, topics: tuple[str, ...]) -> tuple[str, ...]:
        """Ask again for the answer that was wrong; return the topics."""
        prompts = self._prompts
        if step is Step.SUBSCRIBE:
            question = "Topic that this account has permission to read"
            return (ask_valid(prompts, self._show, question, topics[0], "--topic", topic_problem),)
        if step is Step.LOG_IN:
            access.username = prompts.text("User name at the broker", access.username or "gapcast", "--username")
            access.password = prompts.secret("Password")
            return topics
        entered = self.ask_address(access.address)
        access.host, access.port, access.tls = entered.host, entered.port, entered.tls
        if step is Step.TALK:
            access.tls = prompts.confirm("Use TLS?", default=entered.tls)
        return topics

    def _address_problem(self, text: str) -> str | None:
        try:
            BrokerAccess.parse(text)
        except SettingsError as error:
            return str(error)
        return None


def _try(access: BrokerAccess, topics: tuple[str, ...]) -> Session | AccessProblem:
    """Return a connection with a random client id that leaves no session behind, or the problem."""
    if (unreachable := access.network_problem()) is not None:
        return AccessProblem(Step.REACH, *unreachable)
    mqtt = access.section() | ({"password": access.password} if access.password else {})
    name = f"setup-{secrets.token_hex(4)}"
    sections: Mapping[str, Any] = {"mqtt": mqtt, "gateway": {"id": name}, "state": {"path": "unused"}}
    try:
        options = session_options(Settings.model_validate(sections), {})
    except SettingsError as error:
        return AccessProblem(Step.TALK, str(error), protocol_fix(str(error)))
    filters = without_covered(map(filter_of, topics)) or (EVERYTHING,)
    session = Session(
        replace(
            options,
            subscriptions=filters,
            request_topics=without_covered(map(filter_of, unit_topics(topics)), filters),
            request_topics_mqtt5=(),
            session_expiry_s=0,
            announce=False,
        )
    )
    problem = connect(session)
    if session.connected:
        return session
    session.close(1.0)
    return _explain(problem or "no answer", access)


def _explain(problem: str, access: BrokerAccess) -> AccessProblem:
    if problem.startswith(LOGIN_REFUSED):
        reason = problem.partition(": check ")[0]
        if access.username:
            fix = f'the broker does not accept "{access.username}" with this password (--username, --password-file)'
        else:
            fix = "the broker requires authentication: set the user name and password (--username, --password-file)"
        return AccessProblem(Step.LOG_IN, reason, fix)
    if problem.startswith(SUBSCRIPTION_REFUSED):
        return AccessProblem(Step.SUBSCRIBE, problem, fix_of(problem))
    return AccessProblem(Step.TALK, problem, protocol_fix(problem))
