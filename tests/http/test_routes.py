"""Health, metrics, models, and the behaviour common to all routes."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.samples import Sample

from gapcast.core.readings.reading import Reading
from gapcast.core.windows.features import MEASURED
from tests.http.conftest import MODELS, Rest
from tests.http.test_predict import assert_problem
from tests.support.models import default_name

FIRST = 21_476_160
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


# --- health -----------------------------------------------------------------------------------------


@pytest.fixture
def disconnected(rest: Rest) -> Iterator[Rest]:
    """REST without a connected broker."""
    rest.link.connected = False
    yield rest
    rest.link.connected = True


def test_livez_with_and_without_a_broker(disconnected: Rest) -> None:
    without = disconnected.client.get("/livez")
    disconnected.link.connected = True
    with_broker = disconnected.client.get("/livez")
    assert without.status_code == with_broker.status_code == 200
    assert without.json() == with_broker.json() == {"status": "pass"}


@pytest.mark.parametrize("route", ["/readyz", "/healthz"])
def test_readyz_with_a_broker(rest: Rest, route: str) -> None:
    answer = rest.client.get(route)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/health+json"
    assert answer.json() == {
        "status": "pass",
        "version": version("gapcast"),
        "checks": {
            "mqtt:connection": [{"status": "pass"}],
            "models:loaded": [{"status": "pass", "output": ", ".join(MODELS)}],
        },
    }


@pytest.mark.parametrize("route", ["/readyz", "/healthz"])
def test_readyz_without_a_broker(disconnected: Rest, route: str) -> None:
    answer = disconnected.client.get(route)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/health+json"
    body = answer.json()
    assert body["status"] == "fail"
    assert body["checks"]["mqtt:connection"] == [{"status": "fail", "output": "not connected"}]
    assert body["checks"]["models:loaded"][0]["status"] == "pass"


# --- models -----------------------------------------------------------------------------------------


def test_models_returns_their_cards(rest: Rest) -> None:
    cards = rest.client.get("/models").json()["models"]
    assert [card["name"] for card in cards] == MODELS
    for card in cards:
        assert {"version", "sha256", "context", "lead_times_min", "features", "scores", "trained_on", "split"} <= set(
            card
        )


# --- metrics ----------------------------------------------------------------------------------------

#: Name as exposed -> (type, label names).
METRICS = {
    "gapcast_readings_total": ("counter", {"result"}),
    "gapcast_forecasts_total": ("counter", {"model"}),
    "gapcast_forecast_latency_seconds": ("histogram", set()),
    "gapcast_inference_seconds": ("histogram", set()),
    "gapcast_batch_size": ("histogram", set()),
    "gapcast_queue_depth": ("gauge", set()),
    "gapcast_devices": ("gauge", set()),
    "gapcast_broker_connected": ("gauge", set()),
    "gapcast_broker_disconnects_total": ("counter", set()),
    "gapcast_model_info": ("gauge", {"model", "version", "context", "default"}),
    "gapcast_build_info": ("gauge", {"version", "runtime", "compiled"}),
}


def samples(rest: Rest) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for family in parser.text_string_to_metric_families(rest.client.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def value(rest: Rest, name: str, **labels: str) -> float:
    (sample,) = (sample for sample in samples(rest)[name] if sample.labels == labels)
    return sample.value


def test_metrics_are_the_documented_ones(rest: Rest) -> None:
    answer = rest.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = list(parser.text_string_to_metric_families(answer.text))
    ours = {family.name: family for family in families if family.name.startswith("gapcast_")}
    found = {}
    for family in ours.values():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})
        assert family.documentation
    assert {name: METRICS[name] for name in METRICS} == {name: found.get(name) for name in METRICS}
    assert {"process_resident_memory_bytes", "process_cpu_seconds"} <= {family.name for family in families}


def test_metrics_labels_are_bounded(rest: Rest) -> None:
    n_before = sum(len(of_name) for of_name in samples(rest).values())
    rest.push(*(Reading(f"metric-{i}", FIRST + k, 1.0) for i in range(100) for k in range(2)))
    found = samples(rest)
    assert sum(len(of_name) for of_name in found.values()) == n_before
    assert not any("metric-" in label for of_name in found.values() for s in of_name for label in s.labels.values())


def test_metrics_count_readings_and_forecasts(rest: Rest) -> None:
    before = {result: value(rest, "gapcast_readings_total", result=result) for result in
              ("accepted", "duplicate", "late", "rejected")}  # fmt: skip
    forecasts = value(rest, "gapcast_forecasts_total", model=default_name())
    latencies = value(rest, "gapcast_forecast_latency_seconds_count")
    devices = value(rest, "gapcast_devices")
    batches = value(rest, "gapcast_batch_size_count")
    rest.push(*(Reading("counted", FIRST + k, 1.0) for k in range(4)))
    rest.link.put_problem()
    rest.push(Reading("counted", FIRST + 3, 1.0), Reading("counted", FIRST, 1.0))
    after = {result: value(rest, "gapcast_readings_total", result=result) for result in before}
    assert {result: after[result] - before[result] for result in before} == {
        "accepted": 4, "duplicate": 1, "late": 1, "rejected": 1,
    }  # fmt: skip
    assert value(rest, "gapcast_forecasts_total", model=default_name()) == forecasts + 3
    assert value(rest, "gapcast_forecast_latency_seconds_count") == latencies + 3
    assert value(rest, "gapcast_forecast_latency_seconds_sum") > 0
    assert value(rest, "gapcast_devices") == devices + 1
    assert value(rest, "gapcast_batch_size_count") == batches + 2
    assert value(rest, "gapcast_inference_seconds_bucket", le="+Inf") == value(rest, "gapcast_inference_seconds_count")


def test_metrics_of_queue_and_broker(disconnected: Rest) -> None:
    disconnected.link.put(Reading("queued", FIRST, 1.0))
    assert value(disconnected, "gapcast_queue_depth") == 1
    assert value(disconnected, "gapcast_broker_connected") == 0
    disconnected.service.run_once(0)
    disconnected.link.connected = True
    assert value(disconnected, "gapcast_queue_depth") == 0
    assert value(disconnected, "gapcast_broker_connected") == 1
    assert value(disconnected, "gapcast_broker_disconnects_total") == 0
    disconnected.link.n_disconnects = 2
    assert value(disconnected, "gapcast_broker_disconnects_total") == 2


def test_metrics_of_models_mark_the_default(rest: Rest) -> None:
    models = {sample.labels["model"]: sample.labels["default"] for sample in samples(rest)["gapcast_model_info"]}
    assert models == {name: "true" if name == default_name() else "false" for name in MODELS}


def test_metrics_openmetrics_if_accepted(rest: Rest) -> None:
    answer = rest.client.get("/metrics", headers={"accept": f"{OPENMETRICS},text/plain;q=0.5"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    families = {family.name: family.type for family in openmetrics_parser.text_string_to_metric_families(answer.text)}
    assert families["gapcast_readings"] == "counter"
    assert families["gapcast_model"] == "info"
    assert families["gapcast_forecast_latency_seconds"] == "histogram"


@pytest.mark.parametrize("accept", ["*/*", "text/plain", "application/json", "", "nonsense;;q=x"])
def test_metrics_text_format_by_default(rest: Rest, accept: str) -> None:
    answer = rest.client.get("/metrics", headers={"accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert list(parser.text_string_to_metric_families(answer.text))


# --- every route --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/nowhere", "/predict/home", "/v9", "/livez/x", "/livez/", "/docs/", "/%ff", "/metrics/../nowhere"]
)
def test_unknown_path_is_a_404_problem(rest: Rest, path: str) -> None:
    assert_problem(rest.client.get(path), 404, "there is no such route: /docs lists them")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/predict", {"GET", "HEAD", "POST"}),
        ("PUT", "/predict", {"GET", "HEAD", "POST"}),
        ("POST", "/livez", {"GET", "HEAD"}),
        ("POST", "/readyz", {"GET", "HEAD"}),
        ("POST", "/metrics", {"GET", "HEAD"}),
        ("PATCH", "/models", {"GET", "HEAD"}),
        ("PUT", "/devices/home", {"DELETE", "GET", "HEAD"}),
        ("DELETE", "/devices", {"GET", "HEAD"}),
        ("POST", "/events", {"GET"}),
    ],
)
def test_other_method_is_a_405_problem_with_allow(rest: Rest, method: str, path: str, allowed: set[str]) -> None:
    answer = rest.client.request(method, path)
    assert_problem(answer, 405, f"this route has no {method}: use {answer.headers['allow']}")
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/metrics", "/predict?device=home", "/predict", "/devices/none", "/v2", "/", "/docs"]
)
def test_head_is_get_without_a_body(rest: Rest, path: str) -> None:
    head, get = rest.client.head(path), rest.client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":  # whose numbers change
        assert head.headers["content-length"] == get.headers["content-length"]


def test_head_of_the_endless_stream_is_refused(rest: Rest) -> None:
    answer = rest.client.head("/events")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_openapi_json_lists_every_route(rest: Rest) -> None:
    description = rest.client.get("/openapi.json").json()
    assert {"/livez", "/readyz", "/healthz", "/metrics", "/predict", "/models"} <= set(description["paths"])
    assert set(description["paths"]["/predict"]) == {"get", "post"}
    assert [one["name"] for one in description["paths"]["/predict"]["get"]["parameters"]] == [
        "device",
        "limit",
        "after",
    ]
    assert not description["components"]["schemas"]["ForecastDocument"]["required"].count("path"), "not every model"
    timed = description["components"]["schemas"]["TimedReading"]
    assert set(timed["properties"]) == {"ts", *MEASURED}
    assert {timed["properties"][name]["type"] for name in MEASURED} == {"number"}
    assert set(timed["required"]) == {"ts", "gap_kw"}
    assert not [name for name in timed["properties"] if "default" in timed["properties"][name]], "null is no number"
    assert {"413", "422"} <= set(description["paths"]["/predict"]["post"]["responses"])
