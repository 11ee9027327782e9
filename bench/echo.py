"""The baseline: a bare paho client that answers each reading with a message, without decoding it.

``python -m bench.echo --port 1883 --qos 1``
"""

from __future__ import annotations

import argparse
import socket
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

IN_FLIGHT = 1_000


def main() -> None:
    """Echo until terminated."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--qos", type=int, choices=(0, 1), required=True)
    arguments.add_argument("--mqtt", choices=("3.1.1", "5"), default="3.1.1")
    chosen = arguments.parse_args()
    qos: int = chosen.qos

    version = MQTTProtocolVersion.MQTTv5 if chosen.mqtt == "5" else MQTTProtocolVersion.MQTTv311
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-echo", protocol=version)
    client.max_inflight_messages_set(IN_FLIGHT)

    def on_socket_open(_client: paho.Client, _userdata: Any, link: Any) -> None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def on_connect(client: paho.Client, _userdata: Any, _flags: Any, _reason: ReasonCode, _properties: Any) -> None:
        client.subscribe("gap/+/reading", qos)

    def on_message(client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        client.publish(message.topic[:-7] + "forecast", message.payload, qos)

    client.on_socket_open = on_socket_open
    client.on_connect = on_connect
    client.on_message = on_message
    client.connect("127.0.0.1", chosen.port)
    client.loop_forever()


if __name__ == "__main__":
    main()
