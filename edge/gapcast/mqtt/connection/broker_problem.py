"""Connection problems as sentences for people: what is wrong with which broker."""

from __future__ import annotations

from gapcast.mqtt.connection.plain_reasons import uncapitalized

_NO_CONNECTION_YET, _NO_ANSWER = "not connected yet", "the broker does not answer"
#: How a connection's problem begins -> the sentence, with the broker's address and the reason.
_SENTENCES = {
    "unreachable: ": "Broker not reachable at {address}: {reason}",
    "refused: ": "Broker at {address} refuses the connection: {reason}",
    "disconnected: ": "Broker at {address} closed the connection: {reason}",
    _NO_CONNECTION_YET: "Not connected to the broker at {address} yet",
    _NO_ANSWER: "Broker at {address} does not answer",
}


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
