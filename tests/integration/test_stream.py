"""Readings in, forecasts out, over real brokers with stock clients."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from gapcast.core.engine import Engine
from gapcast.core.forecasts.forecast_fields import FIELDS
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import minute_label
from gapcast.predictors.models_folder.store import load_model
from gapcast.recordings.recording import read_recording
from gapcast.sample import sample_path
from tests.integration.conftest import Connect, StartGateway
from tests.support.brokers import BROKER_KINDS, Broker, MosquittoBroker, started_broker
from tests.support.gateways import ALONE
from tests.support.models import default_name, shipped_models
from tests.support.waiting import GUARD_S

#: 2010-11-01T00:00Z
FIRST = 21_476_160
KEYS = [field.name for field in FIELDS if not field.is_optional]
Document = dict[str, Any]
#: A broker counts down the expiry of a message that it holds: by at most this here, s.
BROKER_S = 30


@pytest.fixture(params=BROKER_KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """A started broker of each kind, because the tested behaviour may differ between them."""
    with started_broker(request.param, tmp_path) as made:
        yield made


def reading(minute: int, gap_kw: float) -> str:
    return json.dumps({"ts": minute_label(minute), "gap_kw": gap_kw})


def power(i: int) -> float:
    return round(1.2 + math.sin(i / 4) * 0.6 + (i % 7 == 0) * 1.5, 3)


def offline(device: str, minutes: list[tuple[int, float]]) -> list[Document]:
    """Return the engine's forecasts of a device, reading by reading, without ``issued_at``."""
    engine = Engine(load_model(shipped_models() / default_name()))
    documents = []
    for minute, gap_kw in minutes:
        accepted = engine.accept([Reading(device, minute, gap_kw)])
        documents += [forecast.document() for forecast in engine.forecast(accepted, 0)]
    return [without_issue(document) for document in documents]


def without_issue(document: Document) -> Document:
    return {key: value for key, value in document.items() if key != "issued_at"}


def assert_same(found: list[Document], expected: list[Document]) -> None:
    """Check equality except for the last bits, in which kernels for one row and for many differ."""
    powers = ("gap_kw", "median_kw", "lower_kw", "upper_kw")
    kept = [{key: value for key, value in d.items() if key not in {*powers, "path"}} for d in (*found, *expected)]
    assert kept[: len(found)] == kept[len(found) :]
    columns = [[d[key] for key in powers] + d.get("path", []) for d in (*found, *expected)]
    for one, other in zip(columns[: len(found)], columns[len(found) :], strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_forecast_is_sent_before_learning(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn, has_come, in_time = Engine.learn, Event(), []

    def once_it_has_come(engine: Engine, **options: bool) -> Any:
        in_time.append(has_come.wait(GUARD_S))
        return learn(engine, **options)

    monkeypatch.setattr(Engine, "learn", once_it_has_come)
    gateway = start_gateway(mosquitto)
    peer = connect(mosquitto)
    peer.subscribe("gap/+/forecast")
    has_come.set()  # the first reading alone gives none
    peer.publish("gap/home/reading", reading(FIRST, power(0)), 0)
    gateway.wait_taken(1)
    has_come.clear()
    peer.publish("gap/home/reading", reading(FIRST + 1, power(1)), 0)
    peer.wait_for("gap/home/forecast", 1)
    has_come.set()
    gateway.wait_taken(2)
    assert in_time == [True, True]


@pytest.mark.parametrize("qos", [0, 1])
def test_forecast_for_each_reading_from_the_second(
    broker: Broker, start_gateway: StartGateway, connect: Connect, qos: int
) -> None:
    gateway = start_gateway(broker, mqtt={"qos": qos}, forecast=ALONE)
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    minutes = [(FIRST + i, power(i)) for i in range(40)]
    for minute, gap_kw in minutes:
        peer.publish("gap/home/reading", reading(minute, gap_kw), qos)
    messages = peer.wait_for("gap/home/forecast", len(minutes) - 1)

    if isinstance(broker, MosquittoBroker):  # amqtt raises what it passes on to the subscription's QoS
        assert {message.qos for message in messages} == {qos}
    assert not any(message.retained for message in messages)
    documents = [message.document for message in messages]
    model = gateway.service.queries.model
    assert [list(document) for document in documents] == [[*KEYS, *["path"] * (len(model.lead_times_min) > 1)]] * 39
    context = model.spec.context
    assert [document["n_observed"] for document in documents] == [min(i, context) for i in range(2, 41)]
    assert_same([without_issue(document) for document in documents], offline("home", minutes))

    of_device = httpx.get(f"{gateway.url}/predict", params={"device": "home"}).json()
    assert of_device == documents[-1]
    assert httpx.get(f"{gateway.url}/predict").json() == {"forecasts": [documents[-1]], "n_devices": 1, "next": None}

    posted = httpx.post(
        f"{gateway.url}/predict", json={"readings": [{"ts": minute_label(m), "gap_kw": kw} for m, kw in minutes]}
    ).json()
    assert_same([without_issue(posted)], [without_issue(documents[-1] | {"device": None})])
    gateway.wait_taken(40)
    assert gateway.service.statistics.readings == {"accepted": 40, "duplicate": 0, "late": 0, "rejected": 0}


def test_forecast_is_not_retained_by_default(broker: Broker, start_gateway: StartGateway, connect: Connect) -> None:
    start_gateway(broker)
    early = connect(broker)
    early.subscribe("gap/home/forecast")
    for i in range(2):
        early.publish("gap/home/reading", reading(FIRST + i, 1.0))
    early.wait_for("gap/home/forecast")
    late = connect(broker)
    late.subscribe("#")
    late.wait_for("gapcast/gw-test/status")  # retained messages come in one go
    late.publish("marker", "1")
    late.wait_for("marker")
    assert not late.on("gap/home/forecast")


def test_forecast_is_retained_if_configured(broker: Broker, start_gateway: StartGateway, connect: Connect) -> None:
    start_gateway(broker, mqtt={"retain_forecasts": True})
    early = connect(broker)
    early.subscribe("gap/home/forecast")
    for i in range(2):
        early.publish("gap/home/reading", reading(FIRST + i, 1.0))
    early.wait_for("gap/home/forecast")
    late = connect(broker)
    late.subscribe("gap/home/forecast")
    assert late.wait_for("gap/home/forecast")[0].retained


def test_many_devices_have_their_own_windows(broker: Broker, start_gateway: StartGateway, connect: Connect) -> None:
    n_devices, n_minutes = 60, 5
    gateway = start_gateway(broker, forecast=ALONE)
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    streams = {
        f"house-{d}.A_{d}": [(FIRST + i, power(i * (d + 1)) + d / 100) for i in range(n_minutes)]
        for d in range(n_devices)
    }
    for i in range(n_minutes):
        for device, minutes in streams.items():
            peer.send(f"gap/{device}/reading", reading(*minutes[i]))
    for device, minutes in streams.items():
        documents = [message.document for message in peer.wait_for(f"gap/{device}/forecast", n_minutes - 1)]
        assert_same([without_issue(document) for document in documents], offline(device, minutes))
    assert len(peer.messages) == n_devices * (n_minutes - 1)
    assert gateway.service.queries.n_devices == n_devices
    listed = httpx.get(f"{gateway.url}/predict").json()["forecasts"]
    assert [forecast["device"] for forecast in listed] == sorted(streams)


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param(["1.5", "2"], id="bare numbers are of the minute they arrive in"),
        pytest.param(['{"gap_kw": 1.5}', '{"gap_kw": 2}'], id="so are objects without ts"),
    ],
)
def test_readings_without_a_time_are_accepted(
    broker: Broker, start_gateway: StartGateway, connect: Connect, payloads: list[str]
) -> None:
    gateway = start_gateway(broker)
    peer = connect(broker)
    for device in ("one", "two"):
        peer.publish(f"gap/{device}/reading", payloads[0])
    gateway.wait_taken(2)
    assert gateway.service.statistics.readings["accepted"] == 2
    peer.publish("gap/one/reading", payloads[1])
    gateway.wait_taken(3)  # the same minute, or, where one has just ended, the next
    readings = gateway.service.statistics.readings
    assert (readings["accepted"], readings["duplicate"]) in {(2, 1), (3, 0)}


@pytest.mark.parametrize("ts", ['"2010-11-01T01:00:30+01:00"', "1288569630", "1288569630000", "1288569630.5"])
def test_readings_accept_other_time_formats(
    broker: Broker, start_gateway: StartGateway, connect: Connect, ts: str
) -> None:
    start_gateway(broker)
    peer = connect(broker)
    peer.subscribe("gap/home/forecast")
    peer.publish("gap/home/reading", reading(FIRST - 1, 1.0))
    peer.publish("gap/home/reading", f'{{"ts": {ts}, "gap_kw": 1.1}}')
    assert peer.wait_for("gap/home/forecast")[0].document["observed_at"] == "2010-11-01T00:00:00Z"


def test_duplicate_and_late_readings_are_only_counted(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    gateway = start_gateway(broker, forecast=ALONE)
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    peer.subscribe("gapcast/+/rejected")
    in_order = [(FIRST + i, power(i)) for i in range(6)]
    disturbed = [
        *in_order[:3],
        (FIRST + 2, 9.0),  # a duplicate, of another value
        (FIRST, 9.0),  # late
        in_order[3],
        (FIRST + 3, 9.0),  # a duplicate
        (FIRST - 60, 9.0),  # late
        *in_order[4:],
    ]
    for minute, gap_kw in disturbed:
        peer.publish("gap/home/reading", reading(minute, gap_kw))
    gateway.wait_taken(len(disturbed))
    documents = [message.document for message in peer.wait_for("gap/home/forecast", 5)]
    assert_same([without_issue(document) for document in documents], offline("home", in_order))
    assert gateway.service.statistics.readings == {"accepted": 6, "duplicate": 2, "late": 2, "rejected": 0}
    assert len(peer.messages) == 5


def test_week_replayed_twice_gives_the_same_forecasts(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    n = 150
    source = read_recording(sample_path()).minutes()
    minutes = [next(source) for _ in range(n)]
    gateway = start_gateway(broker, forecast=ALONE)
    peer = connect(broker)
    peer.subscribe("gap/home/forecast")
    for _ in range(2):
        for minute in minutes:
            peer.send("gap/home/reading", reading(minute.minute, minute.gap_kw))
    # The second time begins with two late readings; the third one proves that the stream starts again there.
    gateway.wait_taken(2 * n)
    assert gateway.service.statistics.readings == {"accepted": 2 * n - 2, "duplicate": 0, "late": 2, "rejected": 0}
    documents = [without_issue(m.document) for m in peer.wait_for("gap/home/forecast", (n - 1) + (n - 2))]
    first, second = documents[: n - 1], documents[n - 1 :]
    assert_same(second, first[1:])


def test_gap_is_filled_or_restarts_the_window(broker: Broker, start_gateway: StartGateway, connect: Connect) -> None:
    start_gateway(broker, forecast=ALONE)
    peer = connect(broker)
    peer.subscribe("gap/home/forecast")
    minutes = [(FIRST + i, power(i)) for i in (0, 1, 2, 8, 9, 16, 17, 18)]  # 5 missing, then 6
    for minute, gap_kw in minutes:
        peer.publish("gap/home/reading", reading(minute, gap_kw))
    documents = [message.document for message in peer.wait_for("gap/home/forecast", 6)]
    assert [document["n_observed"] for document in documents] == [2, 3, 4, 5, 2, 3]
    assert_same([without_issue(document) for document in documents], offline("home", minutes))


def test_reading_far_ahead_is_held_and_rejected_if_disproved(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    gateway = start_gateway(broker)
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    peer.subscribe("gapcast/+/rejected")
    day = 24 * 60
    for minute in (FIRST, FIRST + 1, FIRST + 3 * day, FIRST + 2):
        peer.publish("gap/home/reading", reading(minute, 1.0))
    rejected = peer.wait_for("gapcast/gw-test/rejected")[0].document
    assert rejected["reason"] == "time_jump"
    assert rejected["topic"] == "gap/home/reading"
    assert json.loads(rejected["payload"]) == {"ts": "2010-11-04T00:00:00Z", "gap_kw": 1.0}
    assert len(peer.wait_for("gap/home/forecast", 2)) == 2
    gateway.wait_taken(4)
    assert gateway.service.statistics.readings == {"accepted": 3, "duplicate": 0, "late": 0, "rejected": 1}


def test_topics_are_configurable(broker: Broker, start_gateway: StartGateway, connect: Connect) -> None:
    topics = {
        "reading": "site/{device}/power",
        "forecast": "site/out/of/{device}",
        "status": "site/{gateway}",
        "rejected": "site/no",
    }
    start_gateway(broker, topics=topics)
    peer = connect(broker)
    peer.subscribe("site/#")
    assert peer.wait_for("site/gw-test")[0].payload == b"online"
    peer.publish("gap/home/reading", "1.5")
    peer.publish("site/home/power", "nonsense")
    peer.wait_for("site/no")
    for i in range(2):
        peer.publish("site/home/power", reading(FIRST + i, 1.0))
    assert peer.wait_for("site/out/of/home")[0].document["device"] == "home"


def test_devices_over_the_limit_are_rejected(broker: Broker, start_gateway: StartGateway, connect: Connect) -> None:
    gateway = start_gateway(broker, devices={"max": 2})
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    peer.subscribe("gapcast/+/rejected")
    for device in ("a", "b", "c"):
        peer.publish(f"gap/{device}/reading", reading(FIRST, 1.0))
    assert peer.wait_for("gapcast/gw-test/rejected")[0].document["reason"] == "too_many_devices"
    peer.publish("gap/b/reading", reading(FIRST + 1, 1.0))
    peer.wait_for("gap/b/forecast")
    assert gateway.service.queries.n_devices == 2


# --- MQTT 5 -----------------------------------------------------------------------------------------


def test_forecast_of_the_past_expires_after_five_minutes(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    gateway = start_gateway(mosquitto)
    assert gateway.session.protocol == "5"
    peer = connect(mosquitto, mqtt5=True)
    peer.subscribe("gap/home/forecast")
    for i in range(2):
        peer.publish("gap/home/reading", reading(FIRST + i, 1.0))
    expiry_s = peer.wait_for("gap/home/forecast")[0].expiry_s
    assert expiry_s is not None
    assert 300 - BROKER_S <= expiry_s <= 300  # the broker counts down while it holds it


def test_forecast_of_now_expires_at_its_target_minute(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    start_gateway(mosquitto)
    peer = connect(mosquitto, mqtt5=True)
    peer.subscribe("gap/home/forecast")
    now_min = int(time.time() // 60)
    for i in (-1, 0):
        peer.publish("gap/home/reading", reading(now_min + i, 1.0))
    forecast = peer.wait_for("gap/home/forecast")[0]
    issued_s = int(forecast.document["issued_at"][17:19])
    minutes_since = int(forecast.document["issued_at"][14:16]) - int(forecast.document["observed_at"][14:16])
    left_s = 300 - issued_s - 60 * (minutes_since % 60)
    assert forecast.expiry_s is not None
    assert left_s - BROKER_S <= forecast.expiry_s <= left_s


def test_status_and_rejections_do_not_expire(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    start_gateway(mosquitto)
    peer = connect(mosquitto, mqtt5=True)
    peer.subscribe("gapcast/#")
    peer.publish("gap/home/reading", "nonsense")
    assert peer.wait_for("gapcast/gw-test/rejected")[0].expiry_s is None
    assert peer.wait_for("gapcast/gw-test/status")[0].expiry_s is None
