"""Reaching the broker, and asking again until it lets us in."""

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
    """How the broker is reached: what ``[mqtt]`` will say, and the password, which it will not."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_path: Path | None = None

    @classmethod
    def parse(cls, text: str, *, tls: bool | None = None) -> BrokerAccess:
        """Read ``host``, ``host:port`` or ``[v6]:port``; 8883 is with TLS unless said otherwise.

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


def reach(access: BrokerAccess, topic: str, ask: Prompts, show: Callable[[str], None]) -> tuple[Session, str]:
    """Return a connection that hears ``topic``, or another that a person says where this may not be heard.

    A person is asked until there is one. Raises :class:`BrokerError` where nobody can be asked.
    """
    while True:
        session, problem = _try(access, filter_of(topic))
        if session is not None:
            return session, topic
        where = f"{access.host} port {access.port}"
        cure = cure_of(problem)
        if not ask.is_person:
            msg = f"{where}: {problem or 'no answer'}{f': {cure}' if cure else ''}"
            raise BrokerError(msg)
        show(f"{where}: {problem or 'no answer'}")
        if "the subscription to" in problem:
            show(f"     cure: {cure}")
            topic = ask.text("Topic that this account has permission to read", topic, "--topic")
        elif "refused: " in problem:
            access.username = ask.text("User name at the broker", access.username or "gapcast", "--username")
            access.password = ask.secret("Password")
        else:
            show(f"     cure: {cure}")
            again = BrokerAccess.parse(ask.text("Broker", f"{access.host}:{access.port}", "--broker"))
            access.host, access.port = again.host, again.port
            access.tls = ask.yes("Use TLS?", default=again.tls)


def filter_of(topic: str) -> str:
    """Return the subscription that takes in a topic, or a source's pattern.

    >>> filter_of("tele/{device}/SENSOR"), filter_of("")
    ('tele/+/SENSOR', '#')
    """
    for name in (DEVICE, CHANNEL, PART):
        topic = topic.replace(name, "+")
    return topic or EVERYTHING


def _try(access: BrokerAccess, topic: str) -> tuple[Session | None, str]:
    """Return a connection of our own name that leaves nothing behind, or None and why there is none."""
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
