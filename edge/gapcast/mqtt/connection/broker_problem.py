"""Why there is no connection, in plain words: the system's and the broker's reasons, and whole sentences.

Logs, the page, ``gapcast check``, ``setup`` and ``replay`` show these.
"""

from __future__ import annotations

import socket

from paho.mqtt.reasoncodes import ReasonCode

from gapcast.mqtt.packets.splitter import ProtocolError

_NOT_GIVEN = "no reason given"
#: "Unspecified error" of MQTT: the other side gives no reason, or the connection was cut without a message.
_UNSPECIFIED = 0x80
#: Codes of MQTT 5 that refuse a login: "Bad user name or password", "Not authorized".
NOT_AUTHORIZED = frozenset({0x86, 0x87})
#: "Unsupported protocol version" of MQTT 5, also for the refusal of a broker that supports 3.1.1 only.
UNSUPPORTED_PROTOCOL = 0x84
#: Problems of a connection.
NOT_CONNECTED_YET, NO_ANSWER = "not connected yet", "the broker does not answer"
#: Beginning of the problem if the broker refuses a required subscription.
SUBSCRIPTION_REFUSED = "the subscription to "
#: The broker's reasons to refuse a login, and the beginning of the problem in each case.
LOGIN_REASONS = ("Not authorized", "Bad user name")
LOGIN_REFUSED = tuple(f"refused: {reason}" for reason in LOGIN_REASONS)
#: Beginning of a connection's problem -> the sentence, with the broker's address and the reason.
_SENTENCES = {
    "unreachable: ": "Broker not reachable at {address}: {reason}",
    "refused: ": "Broker at {address} refuses the connection: {reason}",
    "disconnected: ": "Broker at {address} closed the connection: {reason}",
    NOT_CONNECTED_YET: "Not connected to the broker at {address} yet",
    NO_ANSWER: "Broker at {address} does not answer",
}


def network_reason(error: BaseException, host: str) -> str:
    """Return why ``host`` cannot be reached, from the ``error`` that a connection attempt raised.

    >>> network_reason(ConnectionRefusedError(111, "Connection refused"), "broker")
    'connection refused'
    >>> network_reason(socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "broker")
    'host not found: broker'
    >>> network_reason(TimeoutError("timed out"), "broker"), network_reason(OSError(113, "No route to host"), "broker")
    ('no response', 'no route to host')
    """
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return f"host not found: {host} (name resolution fails)"
    if isinstance(error, (socket.gaierror, UnicodeError)):  # UnicodeError: a part of the name is empty, or too long
        return f"host not found: {host}"
    if isinstance(error, TimeoutError):
        return "no response"
    return uncapitalized(getattr(error, "strerror", None) or str(error))


def broker_reason(code: ReasonCode) -> str:
    """Return the reason that the broker gave with ``code``, or that it gave none."""
    return _NOT_GIVEN if code.value == _UNSPECIFIED else str(code)


def disconnection_reason(code: ReasonCode, failure: OSError | None, host: str) -> str:
    """Return why the connection to ``host`` ended: a packet that cannot be read, the broker's reason, or ``failure``.

    >>> from paho.mqtt.packettypes import PacketTypes
    >>> unspecified = ReasonCode(PacketTypes.DISCONNECT, "Unspecified error")
    >>> disconnection_reason(unspecified, ConnectionResetError(104, "Connection reset by peer"), "broker")
    'connection reset by peer'
    """
    if failure is not None and (code.value == _UNSPECIFIED or isinstance(failure, ProtocolError)):
        return network_reason(failure, host)
    return broker_reason(code)


def uncapitalized(text: str) -> str:
    """Return ``text`` as the rest of a sentence; an abbreviation such as TLS stays in capitals.

    >>> uncapitalized("Connection refused"), uncapitalized("TLS failed")
    ('connection refused', 'TLS failed')
    """
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def broker_address(host: str, port: int) -> str:
    """Return host and port as in a URL.

    >>> broker_address("broker", 1883), broker_address("::1", 1883)
    ('broker:1883', '[::1]:1883')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def broker_problem(problem: str, host: str, port: int) -> str:
    """Return the sentence for the ``problem`` of a connection to ``host``; empty if there is none.

    >>> broker_problem("unreachable: connection refused", "broker", 1883)
    'Broker not reachable at broker:1883: connection refused'
    >>> broker_problem("refused: Not authorized: check mqtt.username and mqtt.password", "broker", 1883)
    'Broker at broker:1883 refuses the connection: not authorized: check mqtt.username and mqtt.password'
    >>> broker_problem("the subscription to a/b is refused: Not authorized", "broker", 1883)
    'The subscription to a/b is refused: Not authorized'
    """
    for begins, sentence in _SENTENCES.items():
        if problem.startswith(begins):
            reason = uncapitalized(problem.removeprefix(begins))
            return sentence.format(address=broker_address(host, port), reason=reason)
    return problem[:1].upper() + problem[1:]
