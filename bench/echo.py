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
FORECAST = (
    b'{"v":1,"device":"meter-000000","observed_at":"2010-11-01T00:29:00Z","target_at":"2010-11-01T00:34:00Z",'
    b'"issued_at":"2026-01-01T12:00:00.123Z","horizon_min":5,"gap_kw":1.312,"median_kw":1.281,"lower_kw":0.623,'
    b'"upper_kw":2.714,"level":0.9,"model":"lstm-5-3","model_version":"1","n_observed":30,"context":30}'
)


def main() -> None:
    """Echo until terminated."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--qos", type=int, choices=(0, 1), required=True)
    arguments.add_argument("--mqtt", choices=("3.1.1", "5"), default="3.1.1")
    arguments.add_argument(
        "--answer", choices=("reading", "forecast"), default="reading", help="whose size the answers have"
    )
    chosen = arguments.parse_args()
    qos: int = chosen.qos
    constant = FORECAST if chosen.answer == "forecast" else None

    version = MQTTProtocolVersion.MQTTv5 if chosen.mqtt == "5" else MQTTProtocolVersion.MQTTv311
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-echo", protocol=version)
    client.max_inflight_messages_set(IN_FLIGHT)

    def on_socket_open(_client: paho.Client, _userdata: Any, link: Any) -> None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def on_connect(client: paho.Client, _userdata: Any, _flags: Any, _reason: ReasonCode, _properties: Any) -> None:
        client.subscribe("gap/+/reading", qos)

    def on_message(client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        client.publish(message.topic[:-7] + "forecast", constant or message.payload, qos)

    client.on_socket_open = on_socket_open
    client.on_connect = on_connect
    client.on_message = on_message
    client.connect("127.0.0.1", chosen.port)
    client.loop_forever()


if __name__ == "__main__":
    main()
