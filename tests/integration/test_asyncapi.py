"""docs/asyncapi.yaml is valid, and matches the topics and messages of a running gateway."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any, Literal

import httpx
import pytest
import yaml
from pydantic import BaseModel

from gapcast.api.predict_request import PredictRequest, TimedReading
from gapcast.app.broker.topics import discovery_topics_of
from gapcast.config.sections.mqtt import TopicSettings
from gapcast.config.settings import Settings
from gapcast.core.billing.changes import limit_kw_of, month_peak_of
from gapcast.core.demand.headroom.headroom_request import headroom_request
from gapcast.core.errors import PayloadError, RequestError
from gapcast.core.learning.scores.drift import MIN_OUTCOMES_PER_DAY, QUIET_DAYS, ErrorChange
from gapcast.core.readings.reading import Limits
from gapcast.core.time_grid import DAY_MIN
from gapcast.mqtt.discovery.discovery_message import birth_topics
from gapcast.mqtt.payloads import encode_rejection
from gapcast.service.reports.score_reports import event_document
from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, reading
from tests.support.brokers import MosquittoBroker
from tests.support.clocks import coming_midnight
from tests.support.gateways import GATEWAY, REJECTED
from tests.support.models import every_feature_model
from tests.support.optional_tools import ROOT
from tests.support.peers import PeerMessage
from tests.support.schemas import asyncapi_faults, faults, resolved, unknown_keywords

DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8"))
CHANNELS: dict[str, dict[str, Any]] = DOCUMENT["channels"]
SENT = {
    "forecast", "availability", "scores", "status", "rejected", "answers", "homeAssistantDevice", "measured",
}  # fmt: skip
#: The first forecast is for the second minute, and its outcome arrives five minutes later.
N_READINGS = 7


def messages_of(channel: dict[str, Any]) -> list[dict[str, Any]]:
    return [resolved(message, DOCUMENT) for message in channel["messages"].values()]


def channel_of(topic: str) -> str:
    """Return the only channel whose address matches ``topic``."""
    fitting = []
    for name, channel in CHANNELS.items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(channel["address"]))
        if re.fullmatch(pattern, topic):
            fitting.append(name)
    assert len(fitting) == 1, f"{topic} fits {fitting}"
    return fitting[0]


def payload_of(message: PeerMessage) -> Any:
    try:
        return json.loads(message.payload)
    except ValueError:
        return message.payload.decode()


def test_asyncapi_document_is_valid() -> None:
    assert asyncapi_faults(DOCUMENT) == []
    assert {name: unknown_keywords(schema) for name, schema in DOCUMENT["components"]["schemas"].items()} == {
        name: set() for name in DOCUMENT["components"]["schemas"]
    }


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda d: d.update(asyncapi="2.6.0"), "$.asyncapi: '3.0.0' was expected"),
        (lambda d: d["info"].pop("version"), "$.info: 'version' is a required property"),
        (lambda d: d["operations"]["reject"].update(action="publish"), "$.operations.reject.action: 'publish' is not"),
        (lambda d: d["operations"]["reject"].pop("channel"), "$.operations.reject: "),
        (lambda d: d["operations"]["reject"]["bindings"]["mqtt"].update(qos=3), "$.operations.reject.bindings.mqtt"),
        (lambda d: d["channels"]["status"].update(adress="status"), "'adress'"),
        (lambda d: d["components"]["schemas"]["minute"].update(type="text"), "$.components.schemas.minute"),
        (lambda d: d.update(topics={}), "$: 'topics' does not match"),
    ],
)
def test_asyncapi_schema_detects_faults(spoil: Callable[[dict[str, Any]], object], fault: str) -> None:
    spoilt = copy.deepcopy(DOCUMENT)
    spoil(spoilt)
    assert fault in "\n".join(asyncapi_faults(spoilt))


def test_asyncapi_schema_detects_misspelt_keywords() -> None:
    assert unknown_keywords({"type": "object", "properties": {"a": {"oneOf": [{"minimun": 1}]}}}) == {"minimun"}


def test_asyncapi_has_exactly_the_configured_topics() -> None:
    topics = TopicSettings()
    home = discovery_topics_of(Settings(), "gw")
    of_code = {getattr(topics, name) for name in TopicSettings.model_fields} - {topics.answers}
    of_code |= {
        f"{topics.answers}{{asker}}",
        *birth_topics(home.discovery_prefix),
        "homeassistant/device/{objectId}/config",
    }
    assert re.fullmatch(r"homeassistant/device/[\w-]+/config", home.config_topic("a.b"))
    assert {channel["address"] for channel in CHANNELS.values()} == of_code


def test_asyncapi_references_and_parameters_resolve() -> None:
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            resolved(node, DOCUMENT)
        for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            walk(one)

    walk(DOCUMENT)
    for channel in CHANNELS.values():
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel.get("parameters", {}))
    used = {resolved(operation["channel"], DOCUMENT)["address"] for operation in DOCUMENT["operations"].values()}
    used |= {CHANNELS["answers"]["address"]}  # as a reply
    assert used == {channel["address"] for channel in CHANNELS.values()}


@pytest.mark.parametrize(
    "name", [name for name, message in DOCUMENT["components"]["messages"].items() if "examples" in message]
)
def test_asyncapi_examples_match_their_schemas(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    assert message["examples"]
    for example in message["examples"]:
        assert faults(example["payload"], message["payload"], DOCUMENT) == []


@pytest.mark.parametrize(("name", "model"), [("request", PredictRequest), ("requestReading", TimedReading)])
def test_asyncapi_request_has_the_keys_that_are_read(name: str, model: type[BaseModel]) -> None:
    schema, read = DOCUMENT["components"]["schemas"][name], model.model_json_schema()
    assert set(schema["properties"]) == set(read["properties"])
    assert (schema["required"], schema["additionalProperties"]) == (read["required"], read["additionalProperties"])


@pytest.mark.parametrize(
    ("name", "read", "valid", "invalid"),
    [
        ("demandLimit", limit_kw_of, [0.01, None, {"kw": 0.01}, {"kw": None}], [0.009, {"kw": 0.009}, {"kw": -1}]),
        ("monthPeak", month_peak_of, [0, {"kw": 0}, {"kw": 1, "at": None}], [-0.001, {"kw": -0.001}, {"kw": None}]),
    ],
)
def test_asyncapi_change_of_a_demand_has_the_bounds_of_the_reader(
    name: str, read: Callable[[object, Limits], object], valid: list[Any], invalid: list[Any]
) -> None:
    schema = DOCUMENT["components"]["schemas"][name]
    for payload in valid:
        read(payload, Limits())
        assert faults(payload, schema, DOCUMENT) == []
    for payload in invalid:
        with pytest.raises(PayloadError):
            read(payload, Limits())
        assert faults(payload, schema, DOCUMENT) != []


@pytest.mark.parametrize(
    ("key", "valid", "invalid"), [("kw", 0.001, 0.0009), ("minutes", 1, 0), ("minutes", 1440, 1441)]
)
def test_asyncapi_headroom_request_has_the_bounds_of_the_reader(key: str, valid: float, invalid: float) -> None:
    schema, request = DOCUMENT["components"]["schemas"]["headroomRequest"], {"device": "home", "kw": 1, "minutes": 1}
    bounded = request | {key: valid}
    headroom_request(bounded["kw"], bounded["minutes"], Limits().max_kw)
    assert faults(bounded, schema, DOCUMENT) == []
    beyond = request | {key: invalid}
    with pytest.raises(RequestError, match=key):
        headroom_request(beyond["kw"], beyond["minutes"], Limits().max_kw)
    assert faults(beyond, schema, DOCUMENT) != []


@pytest.mark.parametrize("n_omitted", [0, 990])
def test_asyncapi_rejection_matches_its_schema(n_omitted: int) -> None:
    rejection = json.loads(encode_rejection("gap/home/reading", b"on", "not_json", "it is not", n_omitted))
    assert faults(rejection, DOCUMENT["components"]["schemas"]["rejection"], DOCUMENT) == []
    assert rejection.get("omitted", 0) == n_omitted


@pytest.mark.parametrize(("direction", "factor"), [("grew", 2.4), ("shrank", 0.41)])
def test_asyncapi_event_matches_its_schema(direction: Literal["grew", "shrank"], factor: float) -> None:
    document = event_document("home", ErrorChange(0, FIRST, direction, factor, 4))
    assert faults(json.loads(json.dumps(document)), DOCUMENT["components"]["schemas"]["event"], DOCUMENT) == []


def test_asyncapi_drift_event_matches_its_schema(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    learning = {"learn": False, "experts": [], "model": "linear"}
    gateway = start_gateway(mosquitto, forecast=learning)
    peer = connect(mosquitto, mqtt5=True)
    events = f"gapcast/{GATEWAY}/events"
    peer.subscribe(events)
    n_a_day = MIN_OUTCOMES_PER_DAY + 10
    for day in range(QUIET_DAYS + 8):
        size_kw = 0.1 if day <= QUIET_DAYS else 1.0
        for i in range(n_a_day):
            power_kw = 2 + size_kw * (i // 10 % 2)
            peer.send("gap/home/reading", reading(FIRST + day * DAY_MIN + i, power_kw))
    gateway.wait_taken(n_a_day * (QUIET_DAYS + 8))
    documents = [payload_of(message) for message in peer.wait_for(events)]
    assert [(one["event"], one["device"], one["errors"]) for one in documents] == [("drift", "home", "grew")]
    assert [faults(one, DOCUMENT["components"]["schemas"]["event"], DOCUMENT) for one in documents] == [[]]


@pytest.mark.parametrize("richly", [False, True])
def test_asyncapi_published_messages_match_their_schemas(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect, richly: bool
) -> None:
    model = every_feature_model()
    rich: dict[str, Any] = {"outlook": {"enabled": False}}
    if richly:
        rich = {
            "models": {"path": model.parent}, "forecast": {"model": model.name}, "outlook": {"model": "with-history"},
            "demand": {"limit_kw": 2.5, "fuse_kw": 9.2},
        }  # fmt: skip
    peer = connect(mosquitto, mqtt5=True)
    peer.subscribe("#")
    gateway = start_gateway(mosquitto, homeassistant={"enabled": True}, **rich)
    answer = f"gapcast/{GATEWAY}/answer/here"
    measured = ', "reactive_kvar": 0.1, "voltage_v": 240.0, "current_a": 4.2}'
    first = coming_midnight()  # the numbers of an older demand have expired, and are not published
    readings = [reading(first + i, 1.0)[:-1] + measured for i in range(N_READINGS)]
    peer.publish("gap/home/reading", readings[0])
    peer.wait_for("gap/home/availability")  # measured minutes are published of devices that Home Assistant knows
    for payload in (*readings[1:], "nonsense"):
        peer.publish("gap/home/reading", payload)
    request = json.dumps({"readings": [json.loads(one) for one in readings[:2]]})
    with_outlook = request[:-1] + ', "outlook": true}'
    for body in (request, with_outlook, '{"readings": [1]}', '{"readings": [1, 1230]}'):
        peer.publish(f"gapcast/{GATEWAY}/predict", body, ResponseTopic=answer)
    if richly:
        peer.wait_for("gap/home/demand", N_READINGS - 1)
        load = '{"device": "home", "kw": 1.5, "minutes": 45}'
        peer.publish(f"gapcast/{GATEWAY}/headroom", load, ResponseTopic=answer)
        peer.wait_for(answer, 5)
    for topic, n in (
        ("gap/home/forecast", N_READINGS - 1), ("gap/home/scores", 1), (REJECTED, 1), (answer, 4),
        ("gap/home/availability", 1),
    ):  # fmt: skip
        peer.wait_for(topic, n)
    if richly:
        peer.wait_for("gap/home/outlook", N_READINGS - 1)
    assert httpx.delete(f"{gateway.url}/devices/home").status_code == 204
    peer.wait_for("gap/home/availability", 2)
    gateway.stop()
    peer.wait_for(f"gapcast/{GATEWAY}/status", 2)

    seen, sent = set(), SENT | {"outlook", "demand", "headroom"} if richly else SENT
    for message in peer.messages:
        name = channel_of(message.topic)
        if name not in sent or not message.payload:
            continue
        seen.add(name)
        wrong = [faults(payload_of(message), one["payload"], DOCUMENT) for one in messages_of(CHANNELS[name])]
        assert sum(not one for one in wrong) == 1, (message.topic, payload_of(message), wrong)
        types = {one.get("contentType", DOCUMENT["defaultContentType"]) for one in messages_of(CHANNELS[name])}
        assert message.content_type is None or message.content_type in types
    assert seen == sent
