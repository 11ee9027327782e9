"""Outlooks in the service: they follow the forecasts, and never affect them; REST reads the newest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import generate_latest

from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.learning.scores.summary import ALL_TIME, MIN_OUTCOMES
from gapcast.core.models.predictor import Predictor
from gapcast.core.outlook.documents.outlook_document import outlook_document
from gapcast.core.outlook.options import OutlookConfig, OutlookOptions
from gapcast.core.outlook.outlook import Outlooks
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.http.routes.event_history import Ring
from gapcast.observability.metrics import ServiceInfo, build_registry
from gapcast.predictors.baselines import Persistence
from gapcast.service.queries.unknown_device import unknown_device
from gapcast.service.service import Service
from tests.support.links import MemoryLink
from tests.support.outlook_model import OutlookModel
from tests.support.rest_requests import ask

NOON = 21_476_160
N_DEVICES = 2


def service_of(link: MemoryLink, outlook_model: Predictor | None) -> Service:
    model, options = Persistence(), OutlookOptions(max_devices=N_DEVICES)
    engine = Engine(model, outlook=None if outlook_model is None else OutlookConfig(outlook_model, options))
    return Service(link, engine, {model.name: model})


def run(service: Service, link: MemoryLink, *devices: str, n: int = 3, first: int = NOON) -> None:
    """Take ``n`` minutes of each device in one batch."""
    link.put(*(Reading(device, first + i, 1.0 + i) for i in range(n) for device in devices))
    service.run_once(0)


@pytest.fixture
def link() -> MemoryLink:
    return MemoryLink()


@pytest.fixture
def service(link: MemoryLink) -> Service:
    return service_of(link, OutlookModel())


# --- the stream --------------------------------------------------------------------------------------


class Ordered(MemoryLink):
    """A link that records in which order it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def publish(self, forecasts: Forecasts) -> list[int]:
        self.order.append("forecasts")
        return super().publish(forecasts)

    def publish_outlooks(self, outlooks: Outlooks) -> None:
        self.order.append("outlooks")
        super().publish_outlooks(outlooks)


def test_outlooks_follow_the_forecasts_of_their_batch() -> None:
    link = Ordered()
    service = service_of(link, OutlookModel())
    run(service, link, "home", "other", "third")
    assert link.order == ["forecasts", "outlooks"]
    assert [(one.device, one.observed_minute - NOON) for one in link.outlooks] == [
        ("home", 1), ("other", 1), ("home", 2), ("other", 2),
    ]  # fmt: skip
    assert {one.issued_at_ms for one in link.outlooks} == {one.issued_at_ms for one in link.published}
    assert service.statistics.n_outlooks == 4
    metrics = generate_latest(build_registry(service, ServiceInfo("", "gw"))).decode()
    assert "gapcast_outlooks_total 4.0" in metrics


def test_outlooks_need_a_model(link: MemoryLink) -> None:
    service = service_of(link, None)
    run(service, link, "home")
    assert (len(link.published), link.outlooks, service.statistics.internal_errors) == (2, [], {})
    assert service.queries.outlooks.live_scores() == {}


@pytest.mark.parametrize("error", [ModelError("no memory"), ValueError("a defect")])
def test_failing_outlook_leaves_its_batch_as_it_is(
    service: Service, link: MemoryLink, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(engine: Engine, accepted: AcceptedBatch, forecasts: Forecasts) -> None:
        raise error

    monkeypatch.setattr(Engine, "outlook", fail)
    run(service, link, "home")
    monkeypatch.undo()
    assert service.statistics.readings["accepted"] == 3
    assert (len(link.published), link.outlooks) == (2, [])
    is_models = isinstance(error, ModelError)
    assert service.statistics.n_model_failures == int(is_models)
    assert service.statistics.internal_errors == ({} if is_models else {"outlook": 1})
    run(service, link, "home", n=1, first=NOON + 3)
    assert [one.observed_minute for one in link.outlooks] == [NOON + 3]


def test_link_that_fails_with_outlooks_is_contained(service: Service, link: MemoryLink) -> None:
    link.publish_outlooks = lambda outlooks: 1 / 0  # type: ignore[assignment, method-assign]  # a link that fails
    run(service, link, "home")
    assert service.statistics.internal_errors == {"outlook": 1}
    assert service.statistics.readings["accepted"] == 3


def test_outlook_events_follow_the_forecasts(service: Service, link: MemoryLink) -> None:
    service.feed.listen(lambda: None)
    run(service, link, "home", "other", n=2)
    events, missed = service.feed.drain()
    ring = Ring()
    first = ring.next_id
    for event in events:
        ring.add(event)
    text = ring.read(first, "home", 100_000)[0].decode()
    kinds = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event")]
    assert (kinds, missed) == (["reading", "reading", "forecast", "outlook"], False)
    assert '"lead_min":[1,2,3,4,5,10,15,20,30,45,60]' in text


def test_outlook_scores_are_metrics_from_sufficient_outcomes_on(service: Service, link: MemoryLink) -> None:
    def scraped() -> list[str]:
        lines = generate_latest(build_registry(service, ServiceInfo("", "gw"))).decode().splitlines()
        return [line for line in lines if line.startswith("gapcast_outlook_")]

    for first in range(0, MIN_OUTCOMES + 4, 180):
        run(service, link, "home", n=180, first=NOON + first)
    assert service.queries.outlooks.live_scores()[ALL_TIME].point[4].n >= MIN_OUTCOMES
    found = "\n".join(scraped())
    for name in ("gapcast_outlook_skill_ratio", "gapcast_outlook_coverage_ratio"):
        assert f'{name}{{kind="mean",lead_min="5",period="all_time"}}' in found
        assert f'{name}{{kind="point",lead_min="60",period="last_day"}}' not in found


# --- REST --------------------------------------------------------------------------------------------


def test_outlook_of_a_device_is_the_published_one(service: Service, link: MemoryLink) -> None:
    run(service, link, "home")
    answer = ask(service, "GET", "/outlook?device=home")
    assert (answer.status_code, answer.json()) == (200, outlook_document(link.outlooks[-1]))
    device = ask(service, "GET", "/devices/home").json()
    assert device["outlook"] == answer.json()
    assert device["outlook_scores"]["all_time"]["point"]["n"][:3] == [1, 0, 0]
    assert "outlook" not in ask(service, "GET", "/devices").json()["devices"][0]


@pytest.mark.parametrize(
    ("device", "detail"),
    [
        ("third", "device 'third' has no outlook: only the first 2 devices have one (outlook.max_devices)"),
        ("new", "device 'new' has no outlook yet: it is computed with the next forecast"),
        ("nobody", unknown_device("nobody")),
    ],
)
def test_outlook_that_is_absent_is_not_found(service: Service, link: MemoryLink, device: str, detail: str) -> None:
    run(service, link, "home", "new", "third", n=1)
    run(service, link, "home", first=NOON + 1)
    answer = ask(service, "GET", f"/outlook?device={device}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == detail


def test_outlook_of_a_forgotten_device_is_gone(service: Service, link: MemoryLink) -> None:
    run(service, link, "home")
    service.forget("home")
    assert ask(service, "GET", "/outlook?device=home").json()["detail"] == unknown_device("home")


def test_outlook_without_a_model_names_the_keys(link: MemoryLink) -> None:
    service = service_of(link, None)
    run(service, link, "home")
    answer = ask(service, "GET", "/outlook?device=home")
    assert answer.status_code == 404
    for key in ("outlook.enabled", "outlook.max_devices", "outlook.model"):
        assert key in answer.json()["detail"]
    assert ask(service, "GET", "/outlook").json() == {"outlooks": [], "n_devices": 0, "next": None}
    device = ask(service, "GET", "/devices/home").json()
    assert (device["outlook"], device["outlook_scores"]) == (None, None)
    assert service.queries.outlooks.model_of("home") is None


def test_outlooks_are_paged_by_device(service: Service, link: MemoryLink) -> None:
    run(service, link, "b", "a", "c")
    first = ask(service, "GET", "/outlook?limit=1").json()
    assert ([one["device"] for one in first["outlooks"]], first["n_devices"], first["next"]) == (["a"], 2, "a")
    second = ask(service, "GET", "/outlook?limit=1&after=a").json()
    assert ([one["device"] for one in second["outlooks"]], second["next"]) == (["b"], None)


def test_outlooks_of_a_page_are_of_devices_that_have_one(service: Service, link: MemoryLink) -> None:
    run(service, link, "a", n=1)
    assert ask(service, "GET", "/outlook").json() == {"outlooks": [], "n_devices": 0, "next": None}
    run(service, link, "b")
    page = ask(service, "GET", "/outlook?limit=1").json()
    assert ([one["device"] for one in page["outlooks"]], page["n_devices"], page["next"]) == (["b"], 1, None)


def test_request_with_outlook_has_both(service: Service) -> None:
    readings = [1.0, 2.0, 1.5]
    answer: dict[str, Any] = ask(service, "POST", "/predict", json={"readings": readings, "outlook": True}).json()
    outlook = answer.pop("outlook")
    assert (outlook["device"], outlook["observed_at"]) == (None, answer["observed_at"])
    assert outlook["mean_kw"][outlook["lead_min"].index(answer["horizon_min"])] == answer["gap_kw"]
    assert "outlook" not in ask(service, "POST", "/predict", json={"readings": readings}).json()
    assert service.queries.n_devices == 0


@pytest.mark.parametrize(
    ("outlook", "detail"),
    [
        (True, "outlook: this gateway computes no outlooks"),
        ("yes", "outlook: must be true or false (it is 'yes')"),
    ],
)
def test_request_with_an_outlook_that_cannot_be_is_a_422(link: MemoryLink, outlook: object, detail: str) -> None:
    answer = ask(service_of(link, None), "POST", "/predict", json={"readings": [1.0, 2.0], "outlook": outlook})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(detail)


class Forgetting(MemoryLink):
    """A link over which a device is forgotten as soon as its forecast is published."""

    def __init__(self) -> None:
        super().__init__()
        self.forget_device: Callable[[str], object] = str

    def publish(self, forecasts: Forecasts) -> list[int]:
        if "home" in forecasts.devices:
            self.forget_device("home")
        return super().publish(forecasts)


def test_device_forgotten_at_its_forecast_leaves_the_next_no_outlook() -> None:
    link = Forgetting()
    service = service_of(link, OutlookModel())
    run(service, link, "home", "shop")
    link.forget_device = service.forget
    run(service, link, "home", "shop", first=NOON + 3)
    run(service, link, "new", n=1, first=NOON + 6)
    assert service.queries.read(lambda engine, _: engine.buffers.row("new")) == 0
    assert service.queries.outlooks.for_device("new") is None
    shop = service.queries.outlooks.for_device("shop")
    assert shop is not None
    assert shop.observed_minute == NOON + 5
