"""Messages meant to end the service, on a real mosquitto: it answers, rejects and keeps serving."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.models.predictor import Prediction
from gapcast.core.time_grid import minute_label
from gapcast.predictors.baselines import Persistence
from tests.integration.conftest import Connect, StartGateway, connect, stack, start_gateway
from tests.integration.test_stream import FIRST, reading
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import GATEWAY, REJECTED, Gateway, gateway_settings, running
from tests.support.waiting import wait_until

__all__ = ["connect", "stack", "start_gateway"]
pytestmark = pytest.mark.mosquitto
PREDICT, ANSWER = f"gapcast/{GATEWAY}/predict", f"gapcast/{GATEWAY}/answer/here"
DIGITS = {"4,301 digits": b"9" * 4_301, "64 kB of digits": b"9" * 65_000}
REQUESTS: dict[str, bytes] = {
    **{f"{name} as a value": b'{"readings": [1, %b]}' % digits for name, digits in DIGITS.items()},
    **{f"{name} as the body": digits for name, digits in DIGITS.items()},
    "4,300 digits": b'{"readings": [1, %b]}' % (b"9" * 4_300),
    "4,300 digits for a time": b'{"readings": [1, {"ts": %b, "gap_kw": 1}]}' % (b"9" * 4_300),
    "infinity": b'{"readings": [1, 1e400]}',
    "nan": b'{"readings": [1, NaN]}',
    "depth": b'{"readings": ' + b"[" * 30_000,
    "depth within the limit": b'{"readings": ' + b"[" * 200 + b"]" * 200 + b"}",
    "a lone surrogate": b'{"readings": [1, "\\ud800"]}',
    "nul in a name": b'{"readings": [1, 2], "\\u0000": 1}',
    "many names": b"{" + b",".join(b'"%d": 1' % i for i in range(6_000)) + b"}",
    "the wrong type": b'{"readings": {"0": 1}, "model": [[]]}',
    "bytes": bytes(range(256)) * 4,
}


@dataclass(frozen=True, slots=True)
class Unlucky(Persistence):
    """A model that raises an error if a window's last reading is 13 kW."""

    def predict(self, windows: F32) -> Prediction:
        if np.isclose(windows[:, -1, 0], 13.0).any():
            msg = "unlucky"
            raise RuntimeError(msg)
        return Persistence.predict(self, windows)


def alive(gateway: Gateway) -> None:
    assert httpx.get(f"{gateway.url}/livez").status_code == 200
    assert gateway.service.statistics.internal_errors == {}


def test_predict_topic_hostile_requests_are_answered_as_problems(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    gateway, peer = start_gateway(mosquitto), connect(mosquitto, mqtt5=True)
    peer.subscribe(ANSWER)
    for what, body in REQUESTS.items():
        peer.publish(PREDICT, body, ResponseTopic=ANSWER, CorrelationData=what.encode())
    answers = peer.wait_for(ANSWER, len(REQUESTS))
    assert {answer.correlation: answer.document["status"] for answer in answers} == {
        what.encode(): 422 for what in REQUESTS
    }
    alive(gateway)


def test_predict_topic_hostile_request_is_not_redelivered(
    mosquitto: MosquittoBroker, connect: Connect, tmp_path: Path
) -> None:
    """This would be a crash loop: a QoS 1 request in a persistent session that a crashed service never acknowledged."""
    settings = gateway_settings(mosquitto.port, tmp_path / "state")
    peer = connect(mosquitto, mqtt5=True)
    peer.subscribe(ANSWER)
    bodies = list(REQUESTS.values())
    with running(settings) as gateway:
        for body in bodies:
            peer.publish(PREDICT, body, ResponseTopic=ANSWER)
        peer.wait_for(ANSWER, len(bodies))
        alive(gateway)
    for body in bodies:  # these wait at the broker
        peer.publish(PREDICT, body, ResponseTopic=ANSWER)
    for n_answers in (2 * len(bodies), 2 * len(bodies) + 1):
        with running(settings) as gateway:
            if n_answers > 2 * len(bodies):
                peer.publish(PREDICT, b"{}", ResponseTopic=ANSWER)
            answers = peer.wait_for(ANSWER, n_answers)
            assert len(answers) == n_answers
            assert gateway.session.n_fresh_sessions == 0
            alive(gateway)


def test_readings_hostile_values_are_rejected_and_the_next_one_accepted(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    gateway, peer = start_gateway(mosquitto, mqtt={"rejections_per_s": 1_000}), connect(mosquitto)
    peer.subscribe(REJECTED)
    peer.subscribe("gap/home/forecast")
    n_rejected = 0
    for place in ("%b", '{"gap_kw": %b}', '{"gap_kw": 1, "ts": %b}', '{"gap_kw": {"a": %b}}', "[%b]"):
        for value in (*DIGITS.values(), b"9" * 4_300, b"1e400", b"NaN", b'"\\ud800"', b'"\\u0000"', b"[" * 20_000):
            peer.publish("gap/home/reading", place.encode() % value)
            n_rejected += 1
    peer.publish("gap/home/reading", reading(FIRST, 1.0))
    peer.publish("gap/home/reading", reading(FIRST + 1, 1.0))
    peer.wait_for("gap/home/forecast")
    reasons = {message.document["reason"] for message in peer.wait_for(REJECTED, n_rejected)}
    assert reasons <= {"not_json", "not_finite", "out_of_range", "bad_time", "not_a_number"}
    alive(gateway)


def test_forecast_that_raises_is_rejected_and_others_continue(
    mosquitto: MosquittoBroker, connect: Connect, tmp_path: Path
) -> None:
    devices = [f"meter-{i}" for i in range(8)]
    settings = gateway_settings(mosquitto.port, tmp_path / "state", forecast={"blend": False, "calibrate": False})
    peer = connect(mosquitto)
    peer.subscribe(REJECTED)
    peer.subscribe("gap/+/forecast")

    def send(minute: int, kw_of: Callable[[str], float]) -> None:
        for device in devices:
            document = {"ts": minute_label(FIRST + minute), "gap_kw": kw_of(device)}
            peer.publish(f"gap/{device}/reading", json.dumps(document))

    with running(settings) as gateway:
        gateway.service.swap_engine(Engine(Unlucky()), {"persistence": Unlucky()})
        wait_until(lambda: gateway.service.queries.model.name == "persistence", "the model that raises")
        send(0, lambda _: 1.0)
        send(1, lambda device: 13.0 if device == "meter-3" else 2.0)
        rejected = peer.wait_for(REJECTED)[0].document
        assert (rejected["topic"], rejected["reason"]) == ("gap/meter-3/reading", "internal_error")
        send(2, lambda _: 3.0)
        gateway.wait_taken(3 * len(devices))
        for device in devices:
            expected = [3.0] if device == "meter-3" else [2.0, 3.0]
            found = peer.wait_for(f"gap/{device}/forecast", len(expected))
            assert [message.document["gap_kw"] for message in found] == expected
        assert gateway.service.statistics.internal_errors == {"forecast": 1}
        metrics = httpx.get(f"{gateway.url}/metrics").text
        assert 'gapcast_internal_errors_total{part="forecast"} 1.0' in metrics
        assert gateway.service.statistics.readings["rejected"] == 1
    with running(settings) as gateway:
        assert gateway.session.n_fresh_sessions == 0
        send(3, lambda _: 4.0)
        gateway.wait_taken(len(devices))
        assert gateway.n_taken == len(devices), "nothing is redelivered"
        assert gateway.service.statistics.internal_errors == {}
