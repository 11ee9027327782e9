"""Accounts on a real mosquitto: the rights of docs/mosquitto are sufficient and minimal."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from gapcast.core.learning.scores.drift import ErrorChange
from gapcast.core.time_grid import minute_label
from gapcast.service.reports.score_reports import event_document
from tests.integration.conftest import StartGateway
from tests.integration.test_stream import FIRST, reading
from tests.support.brokers import MosquittoBroker
from tests.support.clocks import coming_midnight
from tests.support.gateways import GATEWAY, REJECTED, STATUS
from tests.support.models import models_with_outlook
from tests.support.optional_tools import ROOT
from tests.support.peers import Peer, peer_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.mosquitto
ACL = ROOT / "docs" / "mosquitto" / "gapcast.acl"
EVENTS = f"gapcast/{GATEWAY}/events"
ACCOUNTS = ("gapcast", "reader", "asker", "homeassistant", "planner", "home", "cellar")


def password_of(account: str) -> str:
    return f"{account} knows"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """A mosquitto with the documented rights, and an account for each of ``ACCOUNTS``."""
    rights, passwords = tmp_path / "acl", tmp_path / "passwords"
    rights.write_text(ACL.read_text(encoding="utf-8").replace("gw-home", GATEWAY), encoding="utf-8")
    passwords.touch(mode=0o600)
    for account in ACCOUNTS:
        subprocess.run(["mosquitto_passwd", "-b", str(passwords), account, password_of(account)], check=True)
    rights.chmod(0o600)
    # With no bound on what it queues, mosquitto 2.0 would end the connection at each publish that it refuses.
    lines = ("max_queued_messages 1000", "allow_anonymous false", f"password_file {passwords}", f"acl_file {rights}")
    broker = MosquittoBroker(tmp_path / "mosquitto", lines)
    broker.start()
    yield broker
    broker.stop()


def account(name: str) -> dict[str, Any]:
    return {"username": name, "password": password_of(name)}


@pytest.fixture
def peers(guarded: MosquittoBroker, stack: ExitStack) -> dict[str, Peer]:
    """A client for each account."""
    return {
        name: stack.enter_context(peer_of(guarded.host, guarded.port, mqtt5=True, **account(name))) for name in ACCOUNTS
    }


def test_rights_documented_are_sufficient(
    guarded: MosquittoBroker, peers: dict[str, Peer], start_gateway: StartGateway, tmp_path: Path
) -> None:
    reader, meter, first = peers["reader"], peers["home"], coming_midnight()
    of_devices = ("forecast", "outlook", "demand", "headroom_w", "availability", "scores")
    for topic in (*(f"gap/+/{one}" for one in of_devices), STATUS, REJECTED, EVENTS):
        reader.subscribe(topic)
    with structlog.testing.capture_logs() as logged:
        with_demand = models_with_outlook(tmp_path / "models") | {"demand": {"limit_kw": 2.5}}
        gateway = start_gateway(guarded, mqtt=account("gapcast"), homeassistant={"enabled": True}, **with_demand)
        for i in range(7):  # the first forecast's minute is the seventh
            meter.publish("gap/home/reading", reading(first + i, 1.0))
        meter.publish("gap/home/reading", "nonsense")
        assert reader.wait_for("gap/home/forecast")[0].document["device"] == "home"
        assert reader.wait_for("gap/home/outlook")[0].document["lead_min"][-1] == 60
        assert reader.wait_for("gap/home/demand")[0].document["limit_kw"] == 2.5
        assert int(reader.wait_for("gap/home/headroom_w")[0].payload) < 2_500
        assert reader.wait_for("gap/home/availability")[0].payload == b"online"
        assert reader.wait_for("gap/home/scores")[0].document["all_time"]["n"] == 1
        asker = peers["asker"]
        asker.subscribe(f"gapcast/{GATEWAY}/answer/#")
        answer = f"gapcast/{GATEWAY}/answer/asker"
        asker.publish(f"gapcast/{GATEWAY}/predict", '{"readings": [1, 2]}', ResponseTopic=answer)
        assert asker.wait_for(answer)[0].document["n_observed"] == 2
        load = '{"device": "home", "kw": 0.5, "minutes": 9}'
        asker.publish(f"gapcast/{GATEWAY}/headroom", load, ResponseTopic=answer)
        assert asker.wait_for(answer, 2)[1].document["minutes"] == 9
        assert reader.wait_for(REJECTED)[0].document["reason"] == "not_json"
        for topic in ("gap/home/demand/limit", "gap/home/demand/month_peak"):
            peers["planner"].publish(topic, "lots")
        rejected = [message.document["topic"] for message in reader.wait_for(REJECTED, 3)[1:]]
        assert rejected == ["gap/home/demand/limit", "gap/home/demand/month_peak"]
        planned = {"kw": 7.4, "from": minute_label(first + 7), "minutes": 60}  # after the newest reading
        peers["planner"].publish("gap/home/plan", json.dumps([planned]))
        plan = f"{gateway.url}/devices/home/plan"
        wait_until(lambda: httpx.get(plan).json()["plan"][:1], "the plan")
        event = event_document("home", ErrorChange(0, FIRST, "grew", 2.4, 4))
        peers["gapcast"].publish(EVENTS, json.dumps(event))  # as it does weeks later
        assert reader.wait_for(EVENTS)[0].document == event
        gateway.stop()
        assert [message.payload for message in reader.wait_for(STATUS, 2)] == [b"online", b"offline"]
    assert "mqtt.publish_refused" not in {entry["event"] for entry in logged}, logged


def test_rights_of_a_meter_are_its_own_readings(
    guarded: MosquittoBroker, peers: dict[str, Peer], start_gateway: StartGateway
) -> None:
    gateway = start_gateway(guarded, mqtt=account("gapcast"))
    reader, meter = peers["reader"], peers["home"]
    for topic in ("gap/+/forecast", STATUS):
        reader.subscribe(topic)
    others = ("gap/home/forecast", "gap/cellar/forecast", "gap/home/scores", STATUS, REJECTED, EVENTS)
    for topic in ("gap/cellar/reading", *others):
        assert meter.refusal(topic, "9.9"), topic
    reader.wait_for(STATUS)
    for i in range(2):
        meter.publish("gap/home/reading", reading(FIRST + i, 1.0))
    reader.wait_for("gap/home/forecast")
    assert {m.topic for m in reader.messages} == {STATUS, "gap/home/forecast"}
    gateway.wait_taken(2)
    assert gateway.n_taken == 2


def test_rights_of_a_reader_exclude_writing(peers: dict[str, Peer]) -> None:
    topics = ("gap/home/forecast", "gap/home/scores", STATUS, EVENTS)
    for topic in ("gap/home/reading", *topics, f"gapcast/{GATEWAY}/predict"):
        assert peers["reader"].refusal(topic, "9.9"), topic


def test_rights_of_a_planner_are_plans(peers: dict[str, Peer]) -> None:
    for topic in ("gap/home/reading", "gap/home/forecast", STATUS, f"gapcast/{GATEWAY}/predict"):
        assert peers["planner"].refusal(topic, "9.9"), topic
    for topic in ("gap/home/plan", "gap/home/demand/limit", "gap/home/demand/month_peak"):
        assert peers["reader"].refusal(topic, "[]"), topic


def test_rights_of_home_assistant(
    guarded: MosquittoBroker, peers: dict[str, Peer], start_gateway: StartGateway
) -> None:
    assistant = peers["homeassistant"]
    for topic in ("homeassistant/#", "gap/+/forecast"):
        assistant.subscribe(topic)
    start_gateway(guarded, mqtt=account("gapcast"), homeassistant={"enabled": True})
    for i in range(2):
        peers["home"].publish("gap/home/reading", reading(FIRST + i, 1.0))
    assistant.wait_for("gap/home/forecast")
    assistant.wait_that(lambda came: any(m.topic.startswith("homeassistant/device/") for m in came), "its announcement")
    for topic in ("gap/home/demand/limit", "gap/home/demand/month_peak"):
        assert not assistant.refusal(topic, "2.5"), topic
    for topic in ("gap/home/reading", "gap/home/demand"):
        assert assistant.refusal(topic, "9.9"), topic
    announced = [message for message in assistant.messages if message.topic.startswith("homeassistant/device/")]
    assert len(announced) == 1
    assistant.publish("homeassistant/status", "online")
    wait_until(lambda: sum(m.topic == announced[0].topic for m in assistant.messages) == 2, "the repeated discovery")
    for topic in ("gap/home/reading", "gap/home/forecast", "homeassistant/sensor/lamp/config", STATUS):
        assert assistant.refusal(topic, "9.9"), topic
    assert not assistant.refusal(announced[0].topic, ""), "Home Assistant deletes a device by this message"


def test_rights_of_the_gateway_are_its_own_topics(peers: dict[str, Peer]) -> None:
    others = ("gapcast/another/status", "gapcast/another/rejected", "gapcast/another/events")
    for topic in ("gap/home/reading", *others, "lamp/set"):
        assert peers["gapcast"].refusal(topic, "9.9"), topic


def test_rights_missing_are_logged_with_a_fix(
    guarded: MosquittoBroker, peers: dict[str, Peer], start_gateway: StartGateway
) -> None:
    topics = {"reading": "gap/{device}/forecast", "forecast": "gap/{device}/expected"}  # it may read these, not write
    with structlog.testing.capture_logs() as logged:
        start_gateway(guarded, mqtt=account("reader"), topics=topics, connected=False)
        wait_until(lambda: "mqtt.publish_refused" in {entry["event"] for entry in logged}, "the refusal in the log")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("given", [{}, {"username": "gapcast", "password": "guessed word"}])
def test_rights_unknown_account_is_logged_without_the_password(
    guarded: MosquittoBroker, start_gateway: StartGateway, protocol: str, given: dict[str, str]
) -> None:
    with structlog.testing.capture_logs() as logged:
        gateway = start_gateway(guarded, connected=False, mqtt={"protocol": protocol, **given})
        wait_until(lambda: gateway.session.problem.startswith("refused"), lambda: gateway.session.problem)
        assert "mqtt.username" in gateway.session.problem
        assert "guessed word" not in f"{logged} {gateway.session.problem}"
