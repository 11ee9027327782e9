"""The page of a gateway without readings: its subscriptions, and the messages received so far."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.page.conftest import Look
from tests.support.brokers import MosquittoBroker
from tests.support.browser import PHONE
from tests.support.gateways import Gateway
from tests.support.peers import peer_of

#: Interval of the page's requests, three seconds.
SEEN_MS = 60_000


def test_empty_page_of_native_readings_has_the_command(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    window = look(f"{start(mosquitto, topics={'reading': 'power/{device}/in'}).url}/", viewport=PHONE)
    window.see("#empty", "No readings yet", SEEN_MS)
    address = f"{mosquitto.host}:{mosquitto.port}"
    window.see("#listening", f"Listening to power/+/in at {address}: no message yet.", SEEN_MS)
    command = f"mosquitto_pub -h {mosquitto.host} -p {mosquitto.port} -q 1 -t power/home/in -m 1.234"
    assert window.text("#try-command") == command
    assert window.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_empty_page_counts_the_samples_of_a_source(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    source = {
        "topic": "tele/{device}/SENSOR",
        "value": "Power",
        "unit": "W",
        "lateness_s": 600,
    }  # the minute stays open
    gateway = start(mosquitto, sources=[source])
    window = look(f"{gateway.url}/")
    listening = f"Listening to tele/+/SENSOR at {mosquitto.host}:{mosquitto.port}"
    window.see("#listening", f"{listening}: no message yet.", SEEN_MS)
    assert window.text("#try-command").endswith("-v -t tele/+/SENSOR")
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        peer.publish("tele/wohnung/SENSOR", json.dumps({"Uptime": 1}))
        window.see("#listening", "1 message without a power", SEEN_MS)
        peer.publish("tele/wohnung/SENSOR", json.dumps({"Power": 230}))
        window.see("#listening", "1 sample from wohnung", SEEN_MS)
        window.see("#empty-head", "Waiting for the first minute", SEEN_MS)
        window.wait(
            r"() => /; first forecast at about \d\d:\d\d\.$/.test(document.querySelector('#listening').innerText)",
            timeout_ms=SEEN_MS,
        )
