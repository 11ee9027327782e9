"""What a back-test reports of a file is what the live service reports of the same minutes."""

from __future__ import annotations

import csv
from dataclasses import astuple, fields
from functools import partial
from pathlib import Path

import pytest

from edge.backtest.houses import Part
from edge.backtest.run import Backtest, run_backtest
from edge.core.online.summary import EVER, Period, Summary
from edge.core.reading import Limits
from edge.replay.source import Columns, Minute, read_minutes
from edge.sample import sample_path
from edge.settings import Settings
from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import reading
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import Gateway
from tests.support.models import shipped_models
from tests.support.peers import Peer
from tests.support.waiting import wait_until

N = 300
#: The last bits, in which kernels for one row and for many differ, through what is learnt from them.
NEAR = 1e-5
FIGURES = [field.name for field in fields(Summary) if field.name not in {"n", "experts"}]
POWERS = ("gap_kw", "median_kw", "lower_kw", "upper_kw")


def houses(folder: Path, names: list[str]) -> dict[str, list[Minute]]:
    """Write a file for each name, of N readings of the sample each, from one day to the next."""
    minutes = list(read_minutes(sample_path(), Columns(), Limits()))
    found = {}
    for i, name in enumerate(names):
        found[name] = minutes[i * 1_440 : i * 1_440 + N]
        lines = [f"{minute.minute * 60},{minute.gap_kw}" for minute in found[name]]
        (folder / f"{name}.csv").write_text("\n".join(["ts,kw", *lines, ""]), encoding="utf-8")
    return found


def offline_of(folder: Path, names: list[str]) -> tuple[Backtest, dict[tuple[str, str], dict[str, str]]]:
    """Return what a back-test finds, and its lines by device and the minute that they go by."""
    settings = Settings.model_validate({"models": {"path": shipped_models()}})
    files, out = [folder / f"{name}.csv" for name in names], folder / "out.csv"
    found = run_backtest(settings, files, Columns("ts", "kw"), Part(), out=out, quiet=True)
    with out.open(encoding="utf-8", newline="") as lines:
        return found, {(line["device"], line["observed_at"]): line for line in csv.DictReader(lines)}


def replayed(gateway: Gateway, peer: Peer, found: dict[str, list[Minute]]) -> None:
    """Send the readings of all houses in turn, each as its meter would; wait until all is answered."""
    for minutes in zip(*found.values(), strict=True):
        for name, (minute, gap_kw) in zip(found, minutes, strict=True):
            peer.send(f"gap/{name}/reading", reading(minute, gap_kw))
    gateway.wait_taken(N * len(found))
    for name in found:
        peer.wait_for(f"gap/{name}/forecast", N - 1)


def has_told(peer: Peer, device: str, n: int) -> bool:
    """Whether the scores of ``device`` over ``n`` outcomes have come."""
    told = peer.on(f"gap/{device}/scores")
    return bool(told) and told[-1].document["ever"]["n"] == n


def assert_near(live: Summary, offline: Summary) -> None:
    assert live.n == offline.n
    for name in FIGURES:
        assert getattr(live, name) == pytest.approx(getattr(offline, name), abs=NEAR), name
    assert list(live.experts) == list(offline.experts)
    for name, its in live.experts.items():
        assert astuple(its) == pytest.approx(astuple(offline.experts[name]), abs=NEAR), name


@pytest.mark.parametrize("names", [["home"], ["home", "cabin"]])
def test_what_a_back_test_reports_is_what_the_live_service_reports(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect, tmp_path: Path, names: list[str]
) -> None:
    found = houses(tmp_path, names)
    offline, lines = offline_of(tmp_path, names)
    assert len(lines) == (N - 1) * len(names)

    # Each turn tells the scores of the devices that have new ones.
    gateway = start_gateway(mosquitto, learning={"report_every_min": 1e-9})
    peer = connect(mosquitto)
    peer.subscribe("gap/#")
    replayed(gateway, peer, found)

    overall, n_changes = gateway.service.live_scores()
    assert n_changes == 0
    assert overall[EVER].n == (N - 6) * len(names), "from the second reading on, and five minutes later"
    assert_near(overall[EVER], offline.scored)
    for house in offline.houses:
        for message in peer.on(f"gap/{house.name}/forecast"):
            told = message.document
            line = lines.pop((house.name, told["observed_at"]))
            assert told["model"] == offline.speaker
            assert [told[key] for key in POWERS] == pytest.approx([float(line[key]) for key in POWERS], abs=NEAR)
            assert told["target_at"] == line["target_at"]
        wait_until(partial(has_told, peer, house.name, house.live[EVER].n), f"the last scores of {house.name}")
        document = peer.on(f"gap/{house.name}/scores")[-1].document
        assert (document["device"], document["model"]) == (house.name, offline.speaker)
        for period in Period:
            assert_document_near(document[period], house.live[period].document())
    assert not lines, "each forecast was told"
    if len(names) == 1:
        for period in Period:
            assert_near(overall[period], offline.houses[0].live[period])


def assert_document_near(live: dict[str, object], offline: dict[str, object]) -> None:
    """Numbers are near each other, at any depth; all else is the same."""
    assert live.keys() == offline.keys()
    for key, value in live.items():
        other = offline[key]
        if isinstance(value, dict) and isinstance(other, dict):
            assert_document_near(value, other)
        else:
            assert value == pytest.approx(other, abs=NEAR), key
