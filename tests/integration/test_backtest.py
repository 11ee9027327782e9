"""A back-test gives the same forecasts and scores as the live service."""

from __future__ import annotations

import csv
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from gapcast.backtest.inputs.houses import FilePart
from gapcast.backtest.processes import run_files
from gapcast.backtest.request import BacktestRequest
from gapcast.core.learning.scores.summary import ALL_TIME, LAST_DAY, Summary
from gapcast.core.time_grid import minute_label
from gapcast.recordings.recording import Minute, read_recording
from gapcast.recordings.text.layout import FileFormat, Layout
from gapcast.replay.publisher import MeterPublisher
from gapcast.sample import sample_path
from tests.integration.conftest import Connect, StartGateway
from tests.support.brokers import Broker
from tests.support.gateways import Gateway, gateway_settings
from tests.support.peers import Peer
from tests.support.ports import LOOPBACK
from tests.support.waiting import wait_until

#: Half a day: enough outcomes for scores, and for changes of the weights and the interval.
N = 800
POWERS = ("gap_kw", "median_kw", "lower_kw", "upper_kw")


def written(path: Path, minutes: list[Minute]) -> Path:
    """Write the minutes to a file for ``gapcast backtest``."""
    lines = [f"{minute_label(minute.minute)},{minute.gap_kw}" for minute in minutes]
    path.write_text("\n".join(["time,kw", *lines]) + "\n", encoding="utf-8")
    return path


def scores_of(summary: Summary) -> dict[str, Any]:
    return summary.document()


def assert_close(found: Any, expected: Any) -> None:
    """Check equality, numbers within the last bits: live batches, and thus models' kernels, have other sizes."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_close(found[key], value)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=2e-5)
    else:
        assert found == expected


@pytest.mark.parametrize("n_houses", [1, 2])
def test_backtest_equals_the_live_service(
    broker: Broker, start_gateway: StartGateway, connect: Connect, tmp_path: Path, n_houses: int
) -> None:
    week = list(islice(read_recording(sample_path()).minutes(), n_houses * N))
    houses = {f"house_{i}": week[i * N : (i + 1) * N] for i in range(n_houses)}
    gateway = start_gateway(broker, learning={"report_every_min": 1e-9})
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    peer.subscribe("gap/+/scores")
    for i in range(N):
        for device, minutes in houses.items():
            payload = {"ts": minute_label(minutes[i].minute), "gap_kw": minutes[i].gap_kw}
            peer.publish(f"gap/{device}/reading", json.dumps(payload), 1)
    forecasts = {device: peer.wait_for(f"gap/{device}/forecast", N - 1) for device in houses}
    wait_for_scores(gateway, n_houses * (N - 6))

    files = [written(tmp_path / f"{device}.csv", minutes) for device, minutes in houses.items()]
    out = tmp_path / "out.csv"
    settings = gateway_settings(broker.port, tmp_path / "other")
    found = run_files(settings, files, FileFormat(Layout("time", "kw")), FilePart(), BacktestRequest(out=out))

    live, _ = gateway.service.queries.live_scores()
    assert live[ALL_TIME].n == n_houses * (N - 6)
    assert live[ALL_TIME].is_sufficient
    assert_close(scores_of(live[ALL_TIME]), scores_of(found.scored))
    for house in found.houses:
        published = last_scores(peer, house.name, N - 6)
        assert published["model"] == found.published_model == "blend"
        for period in (LAST_DAY, ALL_TIME):
            assert_close(published[period], scores_of(house.live[period]))
    with out.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for device, messages in forecasts.items():
        of_device = {line["observed_at"]: line for line in lines if line["device"] == device}
        assert len(of_device) == N - 1
        for message in messages:
            line = of_device[message.document["observed_at"]]
            for power in POWERS:
                assert float(line[power]) == pytest.approx(message.document[power], abs=1e-5)


def last_scores(peer: Peer, device: str, n: int) -> Any:
    """Return the document on the scores topic that reports ``n`` outcomes."""

    def of_all() -> list[Any]:
        documents = [message.document for message in peer.messages if message.topic == f"gap/{device}/scores"]
        return [document for document in documents if document[ALL_TIME]["n"] == n]

    wait_until(lambda: bool(of_all()), f"the scores of {n} outcomes of {device}")
    return of_all()[-1]


def wait_for_scores(gateway: Gateway, n: int) -> None:
    def scored() -> int:
        return gateway.service.queries.live_scores()[0][ALL_TIME].n

    wait_until(lambda: scored() >= n, lambda: f"{n} outcomes, {scored()} scored")


def test_replay_marks_filled_minutes(broker: Broker, connect: Connect) -> None:
    peer, topic = connect(broker), "gap/home/reading"
    peer.subscribe(topic)
    with MeterPublisher(LOOPBACK, broker.port, topic) as meter:
        meter.publish(Minute(21_476_160, 1.0))
        meter.publish(Minute(21_476_161, 1.5, is_filled=True))
    first, second = (message.document for message in peer.wait_for(topic, 2))
    assert (first, second["filled"]) == ({"ts": "2010-11-01T00:00:00Z", "gap_kw": 1.0}, True)
