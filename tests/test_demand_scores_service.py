"""Live scores of demands: in the document of a device, and as metrics."""

from __future__ import annotations

from prometheus_client import generate_latest

from gapcast.core.billing.options import DemandOptions, SiteDemandOptions
from gapcast.observability.metrics import ServiceInfo, build_registry
from gapcast.service.service import Service
from tests.support.links import MemoryLink
from tests.support.rest_requests import ask
from tests.test_demand_service import run, service_of

SITE = SiteDemandOptions(DemandOptions(limit_kw=1.0, window_min=5))


def scraped(service: Service) -> list[str]:
    lines = generate_latest(build_registry(service, ServiceInfo("", "gw"))).decode().splitlines()
    return [line for line in lines if line.startswith("gapcast_demand_brier_score{")]


def test_device_document_has_the_scores_of_its_demands() -> None:
    link = MemoryLink()
    service = service_of(link, SITE)
    run(service, link, n=21)
    found = ask(service, "GET", "/devices/home").json()["demand_scores"]
    assert (found["n_windows"], found["n_events"], found["alarms"]["gapcast"]["n"]) == (4, 4, 4)
    assert [one["elapsed_min"] for one in found["elapsed"]] == [0, 1, 3]
    assert "demand_scores" not in ask(service, "GET", "/devices").json()["devices"][0]


def test_device_without_limit_has_no_demand_scores() -> None:
    link = MemoryLink()
    service = service_of(link, SiteDemandOptions())
    run(service, link)
    assert ask(service, "GET", "/devices/home").json()["demand_scores"] is None
    assert scraped(service) == []


def test_demand_scores_are_metrics_from_half_a_day_of_windows_on() -> None:
    link = MemoryLink()
    service = service_of(link, SITE)
    run(service, link, n=230)
    assert scraped(service) == []  # 46 windows
    run(service, link, first=230, n=30)
    assert [line.split(" ")[0] for line in scraped(service)] == [
        f'gapcast_demand_brier_score{{elapsed="{part}"}}' for part in ("0", "1/3", "2/3")
    ]
