"""A running gateway with promtool and Prometheus: its metrics, alerts and dashboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from gapcast.core.learning.scores.summary import FORMER_ALL_TIME, MIN_OUTCOMES
from tests.integration.test_stream import FIRST, power, reading
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import Gateway, gateway_settings, running
from tests.support.optional_tools import ROOT
from tests.support.peers import peer_of
from tests.support.prometheus import Prometheus, promtool
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.mosquitto, pytest.mark.prometheus]
MONITORING = ROOT / "monitoring"
ALERTS, DASHBOARD = MONITORING / "alerts.yml", MONITORING / "grafana" / "gapcast.json"
#: Enough outcomes for scores, of devices with readings in the same hours.
N_MINUTES = MIN_OUTCOMES + 10
DEVICES = ("attic", "cellar", "home")
SHOWN = 2
#: Enough windows for a score.
DEMAND = {"limit_kw": 2.0, "window_min": 5}


class Watched(NamedTuple):
    """A gateway after half a day of readings, and a Prometheus that scrapes it."""

    gateway: Gateway
    prometheus: Prometheus


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    with ExitStack() as stack:
        broker = MosquittoBroker(folder / "mosquitto")
        broker.start()
        stack.callback(broker.stop)
        gateway = stack.enter_context(
            running(gateway_settings(broker.port, folder / "state", metrics={"per_device": SHOWN}, demand=DEMAND))
        )
        meter = stack.enter_context(peer_of(broker.host, broker.port))
        for i in range(N_MINUTES):
            for k, device in enumerate(DEVICES):
                meter.send(f"gap/{device}/reading", reading(FIRST + i, power(i + k)))
        gateway.wait_taken(N_MINUTES * len(DEVICES))
        prometheus = Prometheus(folder / "prometheus", gateway.url.removeprefix("http://"), ALERTS)
        prometheus.start()
        stack.callback(prometheus.stop)
        prometheus.wait_for("up", 1)
        for i in range(N_MINUTES, N_MINUTES + 3):  # what is counted from here on, a Prometheus sees grow
            meter.publish("gap/home/reading", reading(FIRST + i, power(i)))
        yield Watched(gateway, prometheus)


def test_metrics_pass_promtool(watched: Watched) -> None:
    text = httpx.get(f"{watched.gateway.url}/metrics").text
    assert "gapcast_device_skill_ratio{" in text
    assert promtool("check", "metrics", given=text) == ""


def test_metrics_are_documented(watched: Watched) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    exposed = re.findall(r"^# TYPE (gapcast_\w+)", httpx.get(f"{watched.gateway.url}/metrics").text, re.MULTILINE)
    assert len(exposed) > 30
    assert [name for name in exposed if name not in page] == []


def test_alerts_are_documented() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    alerts = re.findall(r"alert: (\w+)\n(?:.*\n)*? +labels: \{severity: (\w+)\}", ALERTS.read_text(encoding="utf-8"))
    assert dict(alerts) == dict(re.findall(r"^\| (Gapcast\w+) \| .* \| (\w+) \|$", page, re.MULTILINE))


def test_metrics_scraped_match_the_gateway(watched: Watched) -> None:
    prometheus = watched.prometheus
    prometheus.wait_for('gapcast_readings_total{result="accepted"}', N_MINUTES * len(DEVICES) + 3)
    prometheus.wait_for("gapcast_devices", len(DEVICES))
    prometheus.wait_for("gapcast_broker_connected", 1)

    def is_healthy() -> bool:
        (target,) = prometheus.ask("targets")["activeTargets"]
        return (target["health"], target["lastError"]) == ("up", "")

    wait_until(is_healthy, "a healthy target")
    kinds = {
        name: latest[0]["type"] for name, latest in prometheus.ask("metadata").items() if name.startswith("gapcast")
    }
    assert kinds["gapcast_forecast_latency_seconds"] == "histogram"
    assert "unknown" not in kinds.values()
    skills = prometheus.wait_query('gapcast_skill_ratio{period="last_day"}')
    assert {one["metric"]["model"] for one in skills} >= {"blend", "lstm", "persistence"}


def test_metrics_by_device_are_limited(watched: Watched) -> None:
    found = {one["metric"]["device"]: float(one["value"][1])
             for one in watched.prometheus.wait_query("gapcast_device_reading_kw")}  # fmt: skip
    assert list(found) == list(DEVICES[:SHOWN])
    last = N_MINUTES - 1
    assert found["cellar"] == pytest.approx(power(last + 1), abs=1e-6)
    latest = watched.gateway.service.queries.latest_of("cellar")
    assert latest is not None
    (of_cellar,) = watched.prometheus.wait_query('gapcast_device_forecast_kw{device="cellar"}')
    assert float(of_cellar["value"][1]) == pytest.approx(latest.gap_kw, abs=1e-6)
    watched.prometheus.wait_for('gapcast_device_forecast_timestamp_seconds{device="cellar"}', latest.target_minute * 60)
    watched.prometheus.wait_for("gapcast_devices_without_series", len(DEVICES) - SHOWN)


def test_alerts_are_silent_for_a_healthy_gateway(watched: Watched) -> None:
    rules = watched.prometheus.ask("rules")["groups"][0]["rules"]
    wait_until(
        lambda: all(rule["health"] == "ok" for rule in watched.prometheus.ask("rules")["groups"][0]["rules"]),
        "the alerts to be evaluated",
    )
    assert len(rules) > 10
    assert watched.prometheus.query('ALERTS{alertstate="firing"}') == []


# --- the alerts, by themselves ------------------------------------------------------------------------


def test_alerts_have_annotations_with_a_fix() -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", ALERTS)


def test_alerts_fire_when_due() -> None:
    assert "SUCCESS" in promtool("test", "rules", MONITORING / "alerts.test.yml")
    names = set(re.findall(r"alert: (\w+)", ALERTS.read_text(encoding="utf-8")))
    tested = set(re.findall(r"alertname: (\w+)", (MONITORING / "alerts.test.yml").read_text(encoding="utf-8")))
    assert names == tested


# --- the dashboard ------------------------------------------------------------------------------------


def panels_of(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    panels = [inner for panel in dashboard["panels"] for inner in (panel, *panel.get("panels", ()))]
    return [panel for panel in panels if panel["type"] != "row"]


def expressions_of(text: str) -> dict[str, str]:
    """Each query of the dashboard, as Grafana sends it for all gateways and one device, and the title of its panel."""
    values = {"$instance": ".*", "$period": "last_day", "$device": DEVICES[0], "$__rate_interval": "1m"}
    found = {}
    for panel in panels_of(json.loads(text)):
        for target in panel["targets"]:
            expression = target["expr"].replace(" offset ${horizon}m", "")  # a test does not wait so long
            for name, value in values.items():
                expression = expression.replace(name, value)
            assert "$" not in expression, expression
            found[expression] = panel["title"]
    return found


def test_dashboard_is_valid() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    everything = [*dashboard["panels"], *(inner for row in dashboard["panels"] for inner in row.get("panels", ()))]
    assert len({panel["id"] for panel in everything}) == len(everything)
    variables = {one["name"]: one for one in dashboard["templating"]["list"]}
    assert variables["datasource"]["query"] == "prometheus"
    assert variables["horizon"]["current"]["value"] == "5"
    for panel in panels_of(dashboard):
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
        for target in panel["targets"]:  # several gateways may be selected
            assert "{{instance}}" in target["legendFormat"], panel["title"]
            assert 'device=~"$device"' not in target["expr"], "one device: the dot in its name is no pattern"
            assert all("instance" in labels for labels in re.findall(r"\bby \(([^)]*)\)", target["expr"])), panel[
                "title"
            ]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]


def test_dashboard_queries_have_results(watched: Watched) -> None:
    expressions = expressions_of(DASHBOARD.read_text(encoding="utf-8"))
    assert len(expressions) > 40
    exposed = set(re.findall(r"^([a-z]\w+)", httpx.get(f"{watched.gateway.url}/metrics").text, re.MULTILINE))
    for expression, title in expressions.items():
        assert set(re.findall(r"\b(?:gapcast|process)_\w+", expression)) <= exposed, title
    waiting = dict(expressions)

    def all_answered() -> bool:
        for expression in list(waiting):
            if watched.prometheus.query(expression):
                del waiting[expression]
        return not waiting

    wait_until(all_answered, lambda: f"answers to {waiting}")


def test_dashboard_panels_without_data_say_why(mosquitto: MosquittoBroker, tmp_path: Path) -> None:
    """Grafana shows the text ``noValue`` in place of "No data", in a chart too."""
    with running(gateway_settings(mosquitto.port, tmp_path / "state")) as gateway:
        fresh = set(re.findall(r"^([a-z]\w+)", httpx.get(f"{gateway.url}/metrics").text, re.MULTILINE))
    silent = []
    for panel in panels_of(json.loads(DASHBOARD.read_text(encoding="utf-8"))):
        names = {name for target in panel["targets"] for name in re.findall(r"\bgapcast_\w+", target["expr"])}
        if names and not names & fresh:
            silent.append((panel["title"], panel["fieldConfig"]["defaults"].get("noValue")))
    assert len(silent) > 10
    assert [title for title, text in silent if not text] == []


def test_dashboard_variables_have_values(watched: Watched) -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            values_of = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"])
            assert values_of is not None
            metric, label = values_of.groups()
            found = {one["metric"].get(label) for one in watched.prometheus.wait_query(metric)}
            assert None not in found, variable["name"]
        if variable["name"] == "period":
            of_scores = watched.prometheus.wait_query(f'gapcast_scored_forecasts{{period!="{FORMER_ALL_TIME}"}}')
            assert {one["value"] for one in variable["options"]} == {one["metric"]["period"] for one in of_scores}
