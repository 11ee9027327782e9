"""Predict requests over MQTT, and forwarded MQTT properties, on a real mosquitto."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, power, reading, without_issue
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import GATEWAY, REJECTED, Gateway
from tests.support.models import every_feature_model
from tests.support.peers import Peer

pytestmark = pytest.mark.mosquitto
PREDICT, ANSWER = f"gapcast/{GATEWAY}/predict", f"gapcast/{GATEWAY}/answer/here"
TIMED = {"readings": [{"ts": "2010-11-01T00:00:00Z", "gap_kw": 1.0}, {"ts": "2010-11-01T00:01:00Z", "gap_kw": 1.5}]}


@pytest.fixture
def gateway(mosquitto: MosquittoBroker, start_gateway: StartGateway) -> Gateway:
    return start_gateway(mosquitto, http={"max_readings": 500, "max_body_bytes": 20_000})


@pytest.fixture
def asking(mosquitto: MosquittoBroker, gateway: Gateway, connect: Connect) -> Peer:
    peer = connect(mosquitto, mqtt5=True)
    peer.subscribe(f"gapcast/{GATEWAY}/answer/#")
    peer.subscribe(REJECTED)
    return peer


def test_predict_request_answer_equals_rest(gateway: Gateway, asking: Peer) -> None:
    user = [("who", "charger"), ("room", "garage")]
    asking.publish(PREDICT, json.dumps(TIMED), ResponseTopic=ANSWER, CorrelationData=b"\x01\x02", UserProperty=user)
    answer = asking.wait_for(ANSWER)[0]
    over_rest = httpx.post(f"{gateway.url}/predict", json=TIMED).json()
    assert without_issue(answer.document) == without_issue(over_rest)
    assert answer.document["observed_at"] == "2010-11-01T00:01:00Z"
    assert (answer.correlation, list(answer.user_properties)) == (b"\x01\x02", user)
    assert (answer.content_type, answer.retained, answer.qos) == ("application/json", False, 1)
    assert answer.expiry_s is not None
    assert 0 < answer.expiry_s <= 60
    assert gateway.service.queries.n_devices == 0


REQUESTS: dict[str, bytes] = {
    "an unknown model": b'{"readings": [1, 2], "model": "none"}',
    "one reading": b'{"readings": [1]}',
    "no readings": b"{}",
    "a value too large": b'{"readings": [1, 1230]}',
    "a value that is no number": b'{"readings": [1, "2"]}',
    "half with times": b'{"readings": [1, {"ts": 1288569660, "gap_kw": 1}]}',
    "a bad time": b'{"readings": [{"ts": "now", "gap_kw": 1}, {"ts": 1288569660, "gap_kw": 1}]}',
    "no power": b'{"readings": [{"ts": 1288569660}]}',
    "an unknown key": b'{"readings": [1, 2], "colour": "red"}',
    "times that go back": json.dumps({"readings": TIMED["readings"][::-1]}).encode(),
    "too many readings": json.dumps({"readings": [1] * 501}).encode(),
    "too large a body": json.dumps({"readings": [1.5] * 5_000}).encode(),
    "a body over what is kept": b" " * 70_000,
}


def test_predict_request_problem_equals_rest(gateway: Gateway, asking: Peer) -> None:
    for what, body in REQUESTS.items():
        asking.publish(PREDICT, body, ResponseTopic=ANSWER, CorrelationData=what.encode())
    answers = {answer.correlation: answer for answer in asking.wait_for(ANSWER, len(REQUESTS))}
    for what, body in REQUESTS.items():
        over_rest = httpx.post(
            f"{gateway.url}/predict", content=body, headers={"content-type": "application/json"}
        ).json()
        answer = answers[what.encode()]
        assert answer.document == over_rest, what
        assert answer.content_type == "application/problem+json", what


@pytest.mark.parametrize("body", [b"", b"nonsense", b"\xff\xfe", b"[" * 19_000, b"[]", b"5"])
def test_predict_request_invalid_has_the_status_of_rest(gateway: Gateway, asking: Peer, body: bytes) -> None:
    asking.publish(PREDICT, body, ResponseTopic=ANSWER)
    problem = asking.wait_for(ANSWER)[0].document
    over_rest = httpx.post(f"{gateway.url}/predict", content=body, headers={"content-type": "application/json"}).json()
    assert problem["status"] == over_rest["status"]
    assert "body" in problem["detail"]


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({}, "no response topic"),
        ({"CorrelationData": b"1"}, "no response topic"),
        ({"ResponseTopic": "gap/home/reading"}, f"choose one below gapcast/{GATEWAY}/answer/"),
        ({"ResponseTopic": f"gapcast/{GATEWAY}/status"}, "is not allowed"),
        ({"ResponseTopic": f"gapcast/{GATEWAY}/answer/"}, "is not allowed"),
    ],
)
def test_predict_request_response_topic_is_restricted(
    asking: Peer, gateway: Gateway, properties: dict[str, Any], words: str
) -> None:
    asking.subscribe("#")
    asking.publish(PREDICT, json.dumps(TIMED), **properties)
    documents = asking.wait_for(REJECTED)[0].document
    assert documents["reason"] == "bad_request"
    assert words in documents["detail"]
    asking.publish(PREDICT, json.dumps(TIMED), ResponseTopic=ANSWER)
    asking.wait_for(ANSWER)
    assert {m.topic for m in asking.messages} <= {
        PREDICT, ANSWER, REJECTED, f"gapcast/{GATEWAY}/status",
    }  # fmt: skip


def test_predict_request_retained_is_ignored(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    peer = connect(mosquitto, mqtt5=True)
    peer.subscribe(REJECTED)
    peer.publish(PREDICT, json.dumps(TIMED), retain=True, ResponseTopic=ANSWER)
    start_gateway(mosquitto)
    assert "was retained" in peer.wait_for(REJECTED)[0].document["detail"]


def test_predict_requests_are_answered_in_order(gateway: Gateway, asking: Peer) -> None:
    asking.subscribe("gap/home/forecast")
    n = 40
    for i in range(n):
        asking.publish(PREDICT, json.dumps(TIMED), ResponseTopic=ANSWER, CorrelationData=b"%d" % i)
        asking.send("gap/home/reading", reading(FIRST + i, power(i)))
    assert len(asking.wait_for("gap/home/forecast", n - 1)) == n - 1
    assert [answer.correlation for answer in asking.wait_for(ANSWER, n)] == [b"%d" % i for i in range(n)]
    gateway.wait_taken(n)
    assert gateway.service.statistics.readings["rejected"] == 0


def test_predict_request_over_mqtt_3_1_1_is_ignored(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    gateway = start_gateway(mosquitto, mqtt={"protocol": "3.1.1"})
    peer = connect(mosquitto, mqtt5=True)
    peer.subscribe("#")
    peer.publish(PREDICT, json.dumps(TIMED), ResponseTopic=ANSWER)
    for i in range(2):
        peer.publish("gap/home/reading", reading(FIRST + i, 1.0))
    peer.wait_for("gap/home/forecast")
    assert not peer.on(ANSWER)
    assert not peer.on(REJECTED)
    gateway.wait_taken(2)
    assert gateway.n_taken == 2


@pytest.mark.parametrize("qos", [0, 1])
def test_forecast_carries_the_properties_of_its_reading(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect, qos: int
) -> None:
    start_gateway(mosquitto, mqtt={"qos": qos})
    peer = connect(mosquitto, mqtt5=True)
    peer.subscribe("gap/+/forecast")
    for i in range(3):
        for device in ("home", "cellar"):
            given: dict[str, Any] = {}
            if device == "home" and i != 1:
                given = {"UserProperty": [("trace", str(i))], "CorrelationData": b"%d" % i, "ContentType": "text/x"}
            peer.publish(f"gap/{device}/reading", reading(FIRST + i, 1.0), **given)
    first, second = peer.wait_for("gap/home/forecast", 2)
    assert (first.correlation, first.user_properties) == (None, ())
    assert (second.correlation, second.user_properties, second.content_type) == (b"2", (("trace", "2"),), None)
    assert second.expiry_s is not None, "it expires all the same"
    assert {(m.correlation, m.user_properties) for m in peer.wait_for("gap/cellar/forecast", 2)} == {(None, ())}


@pytest.mark.parametrize("path", [True, False])
def test_forecast_path_is_published_if_enabled(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect, path: bool
) -> None:
    model = every_feature_model()
    gateway = start_gateway(mosquitto, models={"path": model.parent}, forecast={"path": path, "model": model.name})
    peer = connect(mosquitto, mqtt5=True)
    peer.subscribe("gap/+/forecast")
    peer.subscribe(ANSWER)
    measured = {"gap_kw": 1.0, "reactive_kvar": 0.1, "voltage_v": 240.0, "current_a": 4.2}
    readings = [{"ts": (FIRST + i) * 60, **measured} for i in range(2)]
    for one in readings:
        peer.publish("gap/home/reading", json.dumps(one))
    peer.publish(PREDICT, json.dumps({"readings": readings}), ResponseTopic=ANSWER)
    documents = [peer.wait_for("gap/home/forecast")[0].document, peer.wait_for(ANSWER)[0].document]
    documents += [httpx.get(f"{gateway.url}/predict?device=home").json()]
    documents += [httpx.post(f"{gateway.url}/predict", json={"readings": readings}).json()]
    assert [("path" in document) for document in documents] == [path] * 4
    if path:
        assert all(document["path"][-1] == document["gap_kw"] for document in documents)
