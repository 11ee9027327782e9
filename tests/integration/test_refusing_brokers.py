"""``gapcast check`` and workers of a group, with brokers that refuse topics or have no shared subscriptions."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from gapcast.app.broker.broker import session_options
from gapcast.app.broker.sharing import wait_for_topic_affinity
from gapcast.check.broker import check_broker
from gapcast.check.finding import CheckInput, Finding, Severity
from gapcast.core.errors import EXIT_BAD_INPUT, SettingsError
from gapcast.mqtt.topic_affinity import GroupDistribution, measure_group
from tests.support.gateways import GATEWAY, gateway_settings
from tests.support.refusing_broker import NO_SHARING, RefusingBroker

READINGS, PLANS, PREDICT = "gap/+/reading", "gap/+/plan", f"gapcast/{GATEWAY}/predict"
IN_GROUP = {"share_group": "workers", "shared_by": "topic-hash"}


def checked(tmp_path: Path, broker: RefusingBroker, **mqtt: Any) -> list[Finding]:
    """Return the findings about a broker other than ``ok``, and end it."""
    inputs = CheckInput(gateway_settings(broker.port, tmp_path, mqtt=mqtt), {}, 0.0)
    findings = list(check_broker(inputs))
    if inputs.session is not None:
        inputs.session.close(1.0)
    broker.close()
    return [one for one in findings if one.severity is not Severity.OK]


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("refused", [{PLANS}, {PLANS, PREDICT}])
def test_check_warns_of_refused_request_topics(tmp_path: Path, refused: Collection[str], ends: bool) -> None:
    """RabbitMQ reports also the topics after a refused one as refused; these are not named."""
    (finding,) = checked(tmp_path, RefusingBroker(refused, ends=ends), protocol="5")
    assert (finding.severity, finding.what) == (Severity.WARN, "permissions")
    assert [topic in finding.text for topic in (PLANS, PREDICT)] == [topic in refused for topic in (PLANS, PREDICT)]
    assert "docs/security.md" in finding.fix


def test_check_of_granted_request_topics_finds_nothing(tmp_path: Path) -> None:
    broker = RefusingBroker()
    assert checked(tmp_path, broker, protocol="5") == []
    assert broker.requests == [[READINGS], [PLANS, PREDICT]]


def test_check_of_mqtt_3_1_1_requests_no_predict_topic(tmp_path: Path) -> None:
    assert checked(tmp_path, broker := RefusingBroker({PREDICT}), protocol="3.1.1") == []
    assert broker.requests == [[READINGS], [PLANS]]


def test_check_of_refused_readings_names_them_though_the_connection_ends(tmp_path: Path) -> None:
    (finding,) = checked(tmp_path, RefusingBroker({READINGS}), protocol="3.1.1")
    assert f"the subscription to {READINGS} is refused" in finding.text
    assert "grant this account read access" in finding.fix


def test_check_of_a_connection_that_ends_without_a_refusal_blames_no_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time passes only once the connection has ended, a second with each read of the clock."""
    broker, seconds = RefusingBroker({READINGS}, answers=False), count()
    clock = SimpleNamespace(monotonic=lambda: next(seconds) if broker.has_ended.is_set() else 0)
    monkeypatch.setattr("gapcast.check.broker.time", clock)
    (finding,) = checked(tmp_path, broker, protocol="5")
    assert "disconnected: no reason given" in finding.text
    assert "then closed the connection: see its log" in finding.fix


def test_check_of_a_broker_without_shared_subscriptions_names_shards(tmp_path: Path) -> None:
    (finding,) = checked(tmp_path, RefusingBroker(properties=NO_SHARING), protocol="5", **IN_GROUP)
    assert (finding.what, finding.severity, finding.code) == ("sharing", Severity.FAIL, EXIT_BAD_INPUT)
    assert (finding.text, finding.fix) == (
        "group workers: this broker has no shared subscriptions", "use shards (docs/scale.md)"
    )  # fmt: skip


def test_worker_ends_if_its_broker_has_no_shared_subscriptions(tmp_path: Path) -> None:
    broker = RefusingBroker(properties=NO_SHARING)
    settings = gateway_settings(broker.port, tmp_path, mqtt={"protocol": "5", **IN_GROUP})
    with pytest.raises(SettingsError, match=r"no shared subscriptions: use shards \(docs/scale\.md\)") as raised:
        wait_for_topic_affinity(settings, session_options(settings, {}), Event())
    broker.close()
    assert raised.value.exit_code == EXIT_BAD_INPUT


def test_refusal_of_shared_subscriptions_is_recognized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker of MQTT 5 may refuse them by the reason code alone."""
    monkeypatch.setattr("tests.support.refusing_broker.REFUSED", 0x9E)
    topic = "gapcast/gw-test/distribution_check"
    broker = RefusingBroker({f"$share/workers/{topic}"})
    options = session_options(gateway_settings(broker.port, tmp_path, mqtt={"protocol": "5", **IN_GROUP}), {})
    found = measure_group(options, "workers", topic)
    broker.close()
    assert found == GroupDistribution((0, 0), "this broker has no shared subscriptions", can_share=False)
