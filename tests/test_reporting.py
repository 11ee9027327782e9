"""Live scores and changes in a house, told on the link and as metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from structlog.testing import capture_logs

from edge.announcing import Telling
from edge.core.engine import Engine
from edge.core.grid import DAY_MIN, minute_label
from edge.core.online.blend import Blend
from edge.core.online.options import Options
from edge.core.online.summary import MIN_OUTCOMES
from edge.core.presence import Presence
from edge.core.reading import Reading
from edge.predictors.baselines import Trend
from edge.service import MAX_BATCH, Service
from edge.telemetry import build_registry
from tests.support.links import MemoryLink

#: 2010-11-01T00:00Z
FIRST = 21_476_160


def service_over(link: MemoryLink, every_s: float = 1e-9, max_devices: int = 10) -> Service:
    """Return a service of a blend that does not learn by heart, which tells scores at each turn by itself."""
    model = Trend()
    blend = Blend((model,), Options(learns=False, max_devices=max_devices))
    engine = Engine(model, blend=blend)
    return Service(link, engine, {}, telling=Telling(Presence(stale_after_s=600), every_s))


def stream(n: int, device: str = "home", first: int = 0) -> Iterator[Reading]:
    return (Reading(device, FIRST + i, 1 + (i % 7) / 10) for i in range(first, first + n))


def feed(service: Service, link: MemoryLink, readings: Iterable[Reading]) -> None:
    link.put(*readings)
    while service.turn(0):
        pass


def test_the_scores_of_a_device_are_told_once_a_forecast_was_scored() -> None:
    link = MemoryLink()
    service = service_over(link)
    feed(service, link, stream(6))
    assert link.scores == {}, "no forecast's minute has come"
    feed(service, link, stream(4, first=6))
    told = link.scores["home"]
    assert list(told) == ["v", "device", "model", "last_day", "last_week", "ever"]
    assert (told["v"], told["device"], told["model"]) == (1, "home", "blend")
    for period in ("last_day", "last_week", "ever"):
        assert told[period]["n"] == 4  # type: ignore[index]
        assert told[period]["enough"] is False  # type: ignore[index]
        assert list(told[period]["experts"]) == ["trend", "persistence"]  # type: ignore[index]


@pytest.mark.parametrize("every_s", [0, 3_600])
def test_the_scores_are_told_so_often_as_was_asked_for(every_s: float) -> None:
    link = MemoryLink()
    service = service_over(link, every_s)
    feed(service, link, stream(10))
    first = dict(link.scores)
    assert list(first) == (["home"] if every_s else [])
    feed(service, link, stream(10, first=10))
    assert link.scores == first


def test_a_turn_tells_of_a_few_and_the_next_ones_of_the_rest() -> None:
    link = MemoryLink()
    service = service_over(link, 3_600)
    link.put(*(reading for i in range(10) for reading in stream(10, f"meter-{i}")))
    n_told = []
    for _ in range(4):
        service.turn(0)
        n_told.append(len(link.scores))
    assert n_told == [4, 8, 10, 10]


def test_while_the_broker_is_away_scores_wait_for_it() -> None:
    link = MemoryLink()
    service = service_over(link)
    link.connected = False
    feed(service, link, stream(10))
    assert link.scores == {}
    link.connected = True
    service.turn(0)
    assert list(link.scores) == ["home"]


def test_devices_beyond_those_that_are_followed_have_no_scores() -> None:
    link = MemoryLink()
    service = service_over(link, max_devices=1)
    feed(service, link, [*stream(10), *stream(10, "other")])
    assert list(link.scores) == ["home"]


def test_a_device_that_is_forgotten_is_scored_anew_and_no_score_of_it_waits() -> None:
    link = MemoryLink()
    service = service_over(link)
    link.connected = False
    feed(service, link, stream(10))
    assert service.forget("home")
    link.connected = True
    service.turn(0)
    assert (link.scores, link.forgotten) == ({}, ["home"])
    feed(service, link, stream(8, first=10))
    assert link.scores["home"]["ever"]["n"] == 2  # type: ignore[index]


def test_a_lasting_change_is_told_once_and_counted() -> None:
    """Twelve days of a house whose power scatters three times as much from the ninth on."""
    draw = np.random.default_rng(5)
    spread_kw = np.repeat([0.1] * 8 + [0.3] * 4, DAY_MIN)
    power_kw = 2 + spread_kw * draw.standard_normal(len(spread_kw))
    readings = [Reading("home", FIRST + i, kw) for i, kw in enumerate(power_kw.tolist())]
    link = MemoryLink()
    service = service_over(link, 3_600)
    registry = build_registry(service, "none")
    with capture_logs() as logs:
        feed(service, link, readings[: 8 * DAY_MIN])
        assert link.events == []
        assert registry.get_sample_value("gapcast_drifts_total") == 0
        feed(service, link, readings[8 * DAY_MIN :])
    (event,) = link.events
    at = FIRST + 11 * DAY_MIN
    assert event == {
        "v": 1, "event": "drift", "device": "home", "at": minute_label(at), "errors": "grew",
        "factor": pytest.approx(3, rel=0.1), "days": 3,
    }  # fmt: skip
    assert registry.get_sample_value("gapcast_drifts_total") == 1
    warned = [log for log in logs if log["event"] == "house.changed"]
    assert [(log["device"], log["errors"]) for log in warned] == [("home", "grew")]


def test_metrics_hold_no_verdict_before_there_is_enough_and_each_expert_after() -> None:
    link = MemoryLink()
    service = service_over(link)
    registry = build_registry(service, "none")
    feed(service, link, stream(MAX_BATCH))
    assert registry.get_sample_value("gapcast_scored_forecasts", {"period": "ever"}) == MAX_BATCH - 6
    assert registry.get_sample_value("gapcast_skill_ratio", {"model": "blend", "period": "ever"}) is None
    feed(service, link, stream(MIN_OUTCOMES, first=MAX_BATCH))
    summary = service.live_scores()[0]
    for period, its in summary.items():
        assert its.enough
        for name, one in (("blend", its), ("trend", its.experts["trend"]), ("persistence", its.experts["persistence"])):
            labels = {"model": name, "period": period}
            assert registry.get_sample_value("gapcast_skill_ratio", labels) == one.skill
            assert registry.get_sample_value("gapcast_squared_error_kw2", labels) == one.mse_kw2
            assert registry.get_sample_value("gapcast_absolute_error_kw", labels) == one.mae_kw
        labels = {"model": "blend", "period": period}
        assert registry.get_sample_value("gapcast_interval_coverage_ratio", labels) == its.coverage
        assert registry.get_sample_value("gapcast_interval_width_kw", labels) == its.width_kw
        assert registry.get_sample_value("gapcast_pinball_loss_kw", labels) == its.pinball_kw
        assert registry.get_sample_value("gapcast_bias_kw", labels) == its.bias_kw
