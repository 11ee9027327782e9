"""Metrics of scores, over all devices and of single ones: from the minimum number of outcomes on."""

from __future__ import annotations

from itertools import takewhile
from types import SimpleNamespace
from typing import cast

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gapcast.core.engine import Engine
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.scores.scores import Scores
from gapcast.core.learning.scores.summary import MIN_OUTCOMES
from gapcast.core.readings.reading import Reading
from gapcast.observability.metrics import ServiceInfo, build_registry
from gapcast.observability.score_metrics import score_families
from gapcast.predictors.baselines import Trend
from gapcast.service.queries.queries import ServiceQueries
from gapcast.service.service import Service
from tests.core.learning.outcomes import MEMBERS, NAN, outcomes
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
        ("gapcast_device_skill_ratio", "home", "all_time"),
        ("gapcast_device_skill_ratio", "home", "ever"),
        ("gapcast_skill_ratio", "blend", "all_time"),
        ("gapcast_skill_ratio", "blend", "ever"),
        ("gapcast_interval_coverage_ratio", "blend", "all_time"),
        ("gapcast_interval_coverage_ratio", "blend", "ever"),
    }
    assert not of_scores & take(0, MIN_OUTCOMES).keys(), "the first minutes have no forecast"
    found = take(MIN_OUTCOMES, 60)
    assert of_scores <= found.keys()
    latest = service.queries.latest_of("home")
    assert latest is not None
    bounds = [found[f"gapcast_device_forecast_{bound}_kw", "home"] for bound in ("lower", "upper")]
    assert bounds == [latest.lower_kw, latest.upper_kw]


def test_member_that_joined_has_metrics_after_sufficient_outcomes() -> None:
    scores = Scores(MEMBERS, 1)
    queries = cast(
        "ServiceQueries",
        SimpleNamespace(live_scores=lambda: (scores.overall(), 0), published_model=SimpleNamespace(name="blend")),
    )

    def models_with_skill() -> set[str]:
        families = takewhile(lambda family: family.name != "gapcast_drifts", score_families(queries))
        return {one.labels["model"] for of in families if of.name == "gapcast_skill_ratio" for one in of.samples}

    for minute in range(2 * MIN_OUTCOMES - 1):
        linear_kw = 1.0 if minute >= MIN_OUTCOMES else NAN
        scores.add(outcomes([0], NOON + minute, 1.5, members_kw=[[1.0, linear_kw, 1.0]] * 2))
    assert models_with_skill() == {"blend", "lstm", "persistence"}
    scores.add(outcomes([0], NOON + 2 * MIN_OUTCOMES, 1.5))
    assert models_with_skill() == {"blend", "lstm", "linear", "persistence"}
