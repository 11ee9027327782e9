"""The same readings give the same forecasts on all tiers.

The tiers are ``gapcast run``, the loop of ``gapcast backtest``, three workers that share the meters by shards, and
Spark. All use the default models and learning, and get the readings of the houses in different orders.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from gapcast_fleet.connectors.sinks import to_files
from gapcast_fleet.connectors.sources import from_files
from gapcast_fleet.scoring.score import Plan, start
from tests.e2e.conftest import Command
from tests.fleet.houses import (
    ForecastKw,
    Forecasts,
    fleet,
    furthest,
    of_the_edge,
    of_the_fleet,
    settings,
    shuffled,
    write_lines,
)
from tests.fleet.queries import run_to_end
from tests.support.brokers import MosquittoBroker
from tests.support.models import shipped_models
from tests.support.peers import peer_of
from tests.support.ports import LOOPBACK, free_port
from tests.support.waiting import wait_until

#: The default: all shipped models, with the path of the default model.
_ALL_MODELS: dict[str, Any] = {"forecast": {"model": None, "experts": None}}
_AT_MOST_KW = 1e-5
_N_WORKERS = 3
_LAST = "gap/the-last-word/forecast"

Readings = Sequence[tuple[str, int, float]]


def test_all_tiers_give_the_same_forecasts(spark: SparkSession, mosquitto: MosquittoBroker, tmp_path: Path) -> None:
    houses = fleet(6, 90)
    shards = {name: i % _N_WORKERS for i, name in enumerate(houses)}
    expected = of_the_edge(tmp_path / "backtest", houses, **_ALL_MODELS)
    by_tier = {
        "gapcast run": of_workers(mosquitto, tmp_path / "run", shuffled(houses, 1), {}),
        "three workers": of_workers(mosquitto, tmp_path / "workers", shuffled(houses, 2), shards),
        "Spark": of_spark(spark, tmp_path / "spark", shuffled(houses, 3)),
    }
    off_kw = {tier: furthest(found, expected) for tier, found in by_tier.items()}
    assert off_kw == pytest.approx(dict.fromkeys(by_tier, 0.0), abs=_AT_MOST_KW)

    # The compared forecasts include what is learned of a house, and the correction of its bounds.
    unseen = of_the_edge(tmp_path / "unseen", houses, forecast={"model": None, "experts": None, "blend": False})
    assert len(expected) > 400
    assert furthest_of("gap_kw", expected, unseen) > 0.1
    assert furthest_of("upper_kw", expected, unseen) > 0.1
    assert all(its.lower_kw <= its.median_kw <= its.upper_kw for its in expected.values())
    assert all(its.lower_kw < its.upper_kw for its in expected.values())


def furthest_of(name: str, one: Forecasts, other: Forecasts) -> float:
    return max(abs(float(getattr(its, name) - getattr(other[key], name))) for key, its in one.items())


def of_workers(broker: MosquittoBroker, folder: Path, readings: Readings, shards: dict[str, int]) -> Forecasts:
    """Return what ``gapcast run`` publishes: one gateway or, if devices have ``shards``, a worker for each shard."""
    workers, ports = [], []
    with ExitStack() as stack:
        peer = stack.enter_context(peer_of(broker.host, broker.port))
        peer.subscribe("gap/+/forecast")
        started_shards: list[int | None] = [*sorted(set(shards.values()))] or [None]
        for shard in started_shards:
            ports.append(free_port())
            workers.append(started(folder / f"worker-{shard}", broker, ports[-1], shard))
            stack.callback(ended, workers[-1])
        for worker, port in zip(workers, ports, strict=True):
            worker.wait_ready(port)
        for device, minute, kw in readings:
            level = f"{shards[device]}/" if shards else ""
            peer.send(f"gap/{level}{device}/reading", json.dumps({"ts": minute * 60, "gap_kw": kw}))
        wait_until(lambda: sum(map(n_taken, ports)) == len(readings), "all readings to be taken")
        for worker in workers:
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0, worker.err
        peer.publish(_LAST, "")  # behind all that the workers published
        peer.wait_for(_LAST)
        documents = [message.document for message in peer.messages if message.topic != _LAST]
    found = {
        (its["device"], its["observed_at"]): ForecastKw(*(its[name] for name in ForecastKw._fields))
        for its in documents
    }
    assert len(found) == len(documents), "a forecast was published twice"
    return found


def started(folder: Path, broker: MosquittoBroker, port: int, shard: int | None) -> Command:
    """Start a separate ``gapcast run`` with all defaults."""
    folder.mkdir(parents=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GAPCAST_")}
    assignments = [
        f"mqtt.host={broker.host}", f"mqtt.port={broker.port}", f"http.host={LOOPBACK}", f"http.port={port}",
        f"state.path={folder / 'state'}", f"models.path={shipped_models()}", "gateway.id=tiers",
    ]  # fmt: skip
    if shard is not None:
        assignments += [f"shards={shard}", "topics.reading=gap/{shard}/{device}/reading"]
    words = [part for one in assignments for part in ("--set", one)]
    return Command(("run", *words), folder, clean | {"HOME": str(folder)})


def ended(worker: Command) -> None:
    if worker.process.poll() is None:
        worker.process.kill()
        worker.process.wait()


def n_taken(port: int) -> float:
    """Return the number of readings that a gateway has taken, whatever their outcome."""
    metrics = httpx.get(f"http://{LOOPBACK}:{port}/metrics").text
    return sum(map(float, re.findall(r"^gapcast_readings_total\{.*\} (\S+)$", metrics, re.MULTILINE)))


def of_spark(spark: SparkSession, folder: Path, readings: Readings) -> Forecasts:
    """Return what the stream on Spark writes, stopped half way; only Spark's state store lets it continue."""
    half = len(readings) // 2
    for first, part, cached_devices in ((0, readings[:half], 100_000), (2, readings[half:], 0)):
        write_lines(folder / "in", part, 2, first)
        source = from_files(spark, folder / "in", "json", 1)
        plan = Plan(folder / "checkpoint", once=True, n_buckets=2, cached_devices=cached_devices)
        run_to_end(partial(start, settings(**_ALL_MODELS), source, to_files(folder / "out", "json"), plan))
    return of_the_fleet(folder / "out")
