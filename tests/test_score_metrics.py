"""Metrics of scores, over all devices and of single ones: from the minimum number of outcomes on."""

from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gapcast.core.engine import Engine
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.scores.summary import MIN_OUTCOMES
from gapcast.core.readings.reading import Reading
from gapcast.observability.metrics import ServiceInfo, build_registry
from gapcast.predictors.baselines import Trend
from gapcast.service.service import Service
from tests.support.links import MemoryLink

NOON = 21_476_160


def metrics(service: Service) -> dict[tuple[str, ...], float]:
    """Metrics by name and the values of their labels."""
    text = generate_latest(build_registry(service, ServiceInfo("", "gw"), per_device=1)).decode()
    found = (one for family in text_string_to_metric_families(text) for one in family.samples)
    return {(one.name, *one.labels.values()): one.value for one in found}


def test_scores_are_metrics_from_sufficient_outcomes_on() -> None:
    link, model = MemoryLink(), Trend()
    engine = Engine(model, ensemble=Ensemble((model,), EnsembleOptions()))
    service = Service(link, engine, {model.name: model})

    def take(first: int, n: int) -> dict[tuple[str, ...], float]:
        link.put(*(Reading("home", NOON + first + i, i % 7 / 2) for i in range(n)))
        while link.n_queued:
            service.run_once(0)
        return metrics(service)

    of_scores = {
        ("gapcast_device_skill_ratio", "home", "ever"),
        ("gapcast_skill_ratio", "blend", "ever"),
        ("gapcast_interval_coverage_ratio", "blend", "ever"),
    }
    assert not of_scores & take(0, MIN_OUTCOMES).keys(), "the first minutes have no forecast"
    found = take(MIN_OUTCOMES, 60)
    assert of_scores <= found.keys()
    latest = service.queries.latest_of("home")
    assert latest is not None
    bounds = [found[f"gapcast_device_forecast_{bound}_kw", "home"] for bound in ("lower", "upper")]
    assert bounds == [latest.lower_kw, latest.upper_kw]
