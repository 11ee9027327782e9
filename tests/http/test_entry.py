"""The entry of the REST API: requests answered without the application, and when the application is built."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_network
from threading import Event

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp

from gapcast.api.predict_answer import PredictHandler
from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Limits, Reading
from gapcast.http.app import create_app
from gapcast.http.entry import DeferredApp, RestEntry, create_entry
from gapcast.http.options import HttpOptions
from gapcast.observability.metrics import ServiceInfo, build_registry
from gapcast.predictors.baselines import Persistence
from gapcast.service.service import Service
from tests.support.links import MemoryLink
from tests.support.waiting import wait_until

NOON = 29_000_000
PROBES = ("/livez", "/readyz", "/healthz", "/metrics")


class Builds:
    """Builds an application that answers with its own name, and counts the builds; the first ``n_failures`` fail."""

    def __init__(self, n_failures: int = 0) -> None:
        self.n = 0
        self._n_failures = n_failures
        self.may_end = Event()
        self.may_end.set()

    def __call__(self) -> ASGIApp:
        self.n += 1
        self.may_end.wait()
        if self.n <= self._n_failures:
            raise ImportError("too many open files")
        return PlainTextResponse("application")


@pytest.fixture
def link() -> MemoryLink:
    return MemoryLink()


@pytest.fixture
def service(link: MemoryLink) -> Service:
    model = Persistence()
    service = Service(link, Engine(model), {model.name: model})
    link.put(*(Reading("home", NOON + i, 1.0 + i) for i in range(200)))
    service.run_once(0)
    return service


def entry_of(service: Service, builds: Builds, options: HttpOptions) -> RestEntry:
    registry = build_registry(service, ServiceInfo("", "gw"))
    return RestEntry(DeferredApp(builds, service.statistics), service, lambda: registry, options)


def ask(app: ASGIApp, *requests: httpx.Request, client: str = "127.0.0.1") -> Sequence[httpx.Response]:
    """Send all ``requests`` to ``app`` at once."""
    return during(app, requests, _nothing, client)


async def _nothing() -> None:
    pass


def during(
    app: ASGIApp, requests: Sequence[httpx.Request], meanwhile: Callable[[], Awaitable[None]], client: str = "127.0.0.1"
) -> Sequence[httpx.Response]:
    async def send() -> Sequence[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(client, 1))) as http:
            sent = [asyncio.ensure_future(http.send(request)) for request in requests]
            await meanwhile()
            return await asyncio.gather(*sent)

    return asyncio.run(send())


def get(path: str, **headers: str) -> httpx.Request:
    return httpx.Request("GET", f"http://localhost{path}", headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.mark.parametrize("path", [*PROBES, "/predict?device=home"])
def test_entry_answers_probes_without_the_application(service: Service, path: str) -> None:
    builds = Builds()
    (answer,) = ask(entry_of(service, builds, HttpOptions()), get(path))
    assert (answer.status_code, builds.n) == (200, 0)
    assert answer.text != "application"


@pytest.mark.parametrize("path", [*PROBES, "/predict?device=home", "/predict?device=other", "/devices"])
@pytest.mark.parametrize("is_connected", [True, False])
def test_entry_answers_like_the_application(service: Service, link: MemoryLink, path: str, is_connected: bool) -> None:
    link.connected = is_connected
    registry = CollectorRegistry()
    handler = PredictHandler(service.queries, Limits(), max_body_bytes=1_000, max_readings=100)
    (expected,) = ask(create_app(service, list, registry, handler, HttpOptions()), get(path))
    (answer,) = ask(create_entry(service, list, lambda: registry, handler, HttpOptions()), get(path))
    assert answer.status_code == expected.status_code
    assert answer.content == expected.content
    assert answer.headers == expected.headers


def test_entry_reports_once_that_the_application_is_loaded(service: Service) -> None:
    loaded: list[bool] = []
    handler = PredictHandler(service.queries, Limits(), max_body_bytes=1_000, max_readings=100)
    registry = CollectorRegistry()
    app = create_entry(service, list, lambda: registry, handler, HttpOptions(), on_loaded=lambda: loaded.append(True))
    ask(app, get("/readyz"))
    assert not loaded
    ask(app, get("/devices"), get("/models"))
    assert loaded == [True]


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("GET", "/predict?device=other", {}),
        ("HEAD", "/devices", {}),
        ("POST", "/metrics", {}),
        ("GET", "/readyz", {"origin": "http://elsewhere.example"}),
    ],
)
def test_entry_passes_other_requests_on(service: Service, method: str, path: str, headers: dict[str, str]) -> None:
    builds = Builds()
    request = httpx.Request(method, f"http://localhost{path}", headers=headers)
    (answer,) = ask(entry_of(service, builds, HttpOptions()), request)
    assert (answer.status_code, builds.n) == (200, 1)
    assert method == "HEAD" or answer.text == "application"


def test_entry_answers_head_as_get(service: Service) -> None:
    builds = Builds()
    (answer,) = ask(entry_of(service, builds, HttpOptions()), httpx.Request("HEAD", "http://localhost/livez"))
    assert (answer.status_code, builds.n) == (200, 0)


def test_entry_with_token_guards_metrics_and_forecasts(service: Service) -> None:
    app = entry_of(service, Builds(), HttpOptions(token="secret"))
    paths = ("/metrics", "/predict?device=home", "/readyz", "/livez")
    assert [answer.status_code for answer in ask(app, *map(get, paths))] == [401, 401, 200, 200]
    authorized = [get(path, authorization="Bearer secret") for path in paths]
    assert [answer.status_code for answer in ask(app, *authorized)] == [200] * 4


def test_entry_rejects_foreign_names_and_networks(service: Service) -> None:
    app = entry_of(service, Builds(), HttpOptions(allow_from=(ip_network("10.0.0.0/8"),)))
    foreign = [get(path, host="evil.example") for path in ("/metrics", "/readyz")]
    assert [answer.status_code for answer in ask(app, *foreign)] == [421, 200]
    assert [ask(app, get("/readyz"), client=client)[0].status_code for client in ("10.1.1.1", "192.0.2.1")] == [
        200,
        403,
    ]


def test_deferred_app_is_built_once_for_concurrent_requests(service: Service) -> None:
    builds = Builds()
    builds.may_end.clear()

    async def while_it_is_built() -> None:
        await asyncio.to_thread(wait_until, lambda: builds.n > 0, "the build")
        builds.may_end.set()

    answers = during(DeferredApp(builds, service.statistics), [get("/"), get("/devices")], while_it_is_built)
    assert [answer.text for answer in answers] == ["application", "application"]
    assert builds.n == 1


def test_deferred_app_that_cannot_be_built_is_built_again(service: Service) -> None:
    builds = Builds(n_failures=1)
    app = DeferredApp(builds, service.statistics)
    (refused,) = ask(app, get("/devices"))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert service.statistics.internal_errors == {"http": 1}
    (answer,) = ask(app, get("/devices"))
    assert (answer.text, builds.n) == ("application", 2)
