"""Reasons in plain words: no number of an error, no "Unspecified error", in the problem and in the log."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from structlog.testing import capture_logs

from gapcast.check.broker import fix_of
from gapcast.mqtt.connection.broker_problem import broker_reason, disconnection_reason, network_reason
from gapcast.mqtt.connection.client import SessionOptions
from gapcast.mqtt.connection.connection_log import ConnectionLog
from gapcast.mqtt.connection.transport import Transport, connection_error

UNSPECIFIED = ReasonCode(PacketTypes.DISCONNECT, "Unspecified error")


def system_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "reason", "fix"),
    [
        (system_error(errno.ECONNREFUSED), "connection refused", "nothing listens at this address"),
        (system_error(errno.EHOSTUNREACH), "no route to host", "no route to this address"),
        (system_error(errno.ENETUNREACH), "network is unreachable", "the network is unreachable"),
        (system_error(errno.ETIMEDOUT), "no response", "check mqtt.host and firewalls"),
        (TimeoutError("timed out"), "no response", "check mqtt.host and firewalls"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "host not found: house", "the spelling"),
        (socket.gaierror(socket.EAI_NODATA, "No address associated"), "host not found: house", "the spelling"),
        (
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
            "host not found: house (name resolution fails)",
            "the DNS server",
        ),
        (UnicodeError("label empty or too long"), "host not found: house", "the spelling"),
        (ValueError("Invalid host."), "invalid host.", "the broker's log"),
    ],
)
def test_network_error_has_a_plain_reason_and_a_fix(error: Exception, reason: str, fix: str) -> None:
    assert network_reason(error, "house") == connection_error(error, "house", Transport()) == reason
    assert fix in fix_of(f"unreachable: {reason}")


def test_reason_that_the_broker_omits_is_reported_as_missing() -> None:
    assert broker_reason(UNSPECIFIED) == "no reason given"
    assert broker_reason(ReasonCode(PacketTypes.DISCONNECT, "Server shutting down")) == "Server shutting down"


def test_log_of_a_refused_login_mentions_the_restart_after_a_change() -> None:
    connection = ConnectionLog(SessionOptions("home", "status", ()))
    connection.refused(ReasonCode(PacketTypes.CONNACK, "Not authorized"))
    fix = "check mqtt.username and mqtt.password, and restart gapcast after a change"
    assert connection.problem == f"refused: Not authorized: {fix}"
    connection.refused(ReasonCode(PacketTypes.CONNACK, "Server busy"))
    assert connection.problem == "refused: Server busy"


def test_log_of_a_lost_broker_has_plain_reasons() -> None:
    options = SessionOptions("home", "status", ())
    connection = ConnectionLog(options)
    with capture_logs() as logged:
        for failure in (ConnectionResetError(104, "Connection reset by peer"), None):
            why = disconnection_reason(UNSPECIFIED, failure, options.host)
            connection.disconnected(why, was_connected=True, was_answered=True)
        lost = connection.problem
        error = system_error(errno.ECONNREFUSED)
        connection.unreachable(connection_error(error, options.host, options.transport))
    said: list[Any] = [one.get("problem", one.get("reason")) for one in logged]
    assert said == ["connection reset by peer", "no reason given", "connection refused"]
    assert [lost, connection.problem] == ["disconnected: no reason given", "unreachable: connection refused"]
