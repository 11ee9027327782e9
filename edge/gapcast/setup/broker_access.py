"""Connects to the broker, prompting until it accepts the connection."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gapcast.app.broker import session_options
from gapcast.check.broker import connect, cure_of
from gapcast.config.settings import Settings
from gapcast.core.errors import BrokerError, SettingsError
from gapcast.mqtt.routes import CHANNEL, DEVICE, PART
from gapcast.mqtt.session import Session
from gapcast.setup.prompts import Prompts

EVERYTHING = "#"
_TLS_PORT, _PLAIN_PORT = 8_883, 1_883


@dataclass(slots=True)
class BrokerAccess:
    """Address and credentials of the broker: the content of ``[mqtt]``, and the password, stored separately."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_path: Path | None = None

    @classmethod
    def parse(cls, text: str, *, tls: bool | None = None) -> BrokerAccess:
        """Parse ``host``, ``host:port`` or ``[v6]:port``; port 8883 implies TLS unless ``tls`` is given.

        >>> access = BrokerAccess.parse("broker:8883")
        >>> access.host, access.port, access.tls
        ('broker', 8883, True)
        """
        host, colon, port = text.rpartition(":") if text.count(":") == 1 or "]:" in text else (text, "", "")
        if colon and not port.isdecimal():
            msg = f"{text!r} is not a broker address: use HOST or HOST:PORT, e.g. broker:1883"
            raise SettingsError(msg)
        number = int(port) if port else _TLS_PORT if tls else _PLAIN_PORT
        return cls(host.strip("[]"), number, tls=number == _TLS_PORT if tls is None else tls)

    def section(self) -> dict[str, Any]:
        """Return ``[mqtt]``, without the password."""
        section: dict[str, Any] = {"host": self.host, "port": self.port}
        if self.username:
            section["username"] = self.username
        if self.tls:
            section["tls"] = {"enabled": True} | ({"ca_path": str(self.ca_path)} if self.ca_path else {})
        return section


def connect_interactively(
    access: BrokerAccess, topic: str, prompts: Prompts, show: Callable[[str], None]
) -> tuple[Session, str]:
    """Return a connection subscribed to ``topic``, or to another that the user enters if that is not permitted.

    Prompts until a connection succeeds. Raises :class:`BrokerError` if prompts are not interactive.
    """
    while True:
        session, problem = _try(access, filter_of(topic))
        if session is not None:
            return session, topic
        address = f"{access.host} port {access.port}"
        cure = cure_of(problem)
        if not prompts.is_interactive:
            msg = f"{address}: {problem or 'no answer'}{f': {cure}' if cure else ''}"
            raise BrokerError(msg)
        show(f"{address}: {problem or 'no answer'}")
        if "the subscription to" in problem:
            show(f"     cure: {cure}")
            topic = prompts.text("Topic that this account has permission to read", topic, "--topic")
        elif "refused: " in problem:
            access.username = prompts.text("User name at the broker", access.username or "gapcast", "--username")
            access.password = prompts.secret("Password")
        else:
            show(f"     cure: {cure}")
            entered = BrokerAccess.parse(prompts.text("Broker", f"{access.host}:{access.port}", "--broker"))
            access.host, access.port = entered.host, entered.port
            access.tls = prompts.confirm("Use TLS?", default=entered.tls)


def filter_of(topic: str) -> str:
    """Return the subscription that matches a topic, or a source's pattern.

    >>> filter_of("tele/{device}/SENSOR"), filter_of("")
    ('tele/+/SENSOR', '#')
    """
    for name in (DEVICE, CHANNEL, PART):
        topic = topic.replace(name, "+")
    return topic or EVERYTHING


def _try(access: BrokerAccess, topic: str) -> tuple[Session | None, str]:
    """Return a connection with a random client id that leaves no session behind, or None and the problem."""
    mqtt = access.section() | ({"password": access.password} if access.password else {})
    name = f"setup-{secrets.token_hex(4)}"
    sections: Mapping[str, Any] = {"mqtt": mqtt, "gateway": {"id": name}, "state": {"path": "unused"}}
    try:
        options = session_options(Settings.model_validate(sections), {})
    except SettingsError as error:
        return None, str(error)
    session = Session(
        replace(
            options,
            subscriptions=(topic,),
            request_topics=(),
            request_topics_mqtt5=(),
            session_expiry_s=0,
            announce=False,
        )
    )
    problem = connect(session)
    if session.connected:
        return session, ""
    session.close(1.0)
    return None, problem
