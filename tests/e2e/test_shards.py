"""Workers as processes: two on one shard, several shards in one worker, and each exit."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from bench.ports import free_ports
from tests.e2e.conftest import Command, Start
from tests.integration.test_stream import FIRST, power, reading
from tests.support.brokers import MosquittoBroker
from tests.support.models import ModelCopy
from tests.support.peers import Peer, peer_of
from tests.support.ports import LOOPBACK, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.mosquitto
StartWorker = Callable[..., tuple[Command, int]]


@pytest.fixture
def models(tmp_path: Path) -> ModelCopy:
    """One small model, so that a worker starts quickly."""
    return ModelCopy(tmp_path / "models", "linear")


@pytest.fixture
def peer(mosquitto: MosquittoBroker) -> Iterator[Peer]:
    with peer_of(mosquitto.host, mosquitto.port) as connected:
        connected.subscribe("gapcast/+/status")
        connected.subscribe("gap/+/forecast")
        yield connected


@pytest.fixture
def worker(start: Start, mosquitto: MosquittoBroker, tmp_path: Path, models: ModelCopy) -> StartWorker:
    """Start ``gapcast run`` for some shards; return it and its first port."""

    def started(shards: str, state: str = "shards", **variables: str) -> tuple[Command, int]:
        port = free_ports(shards.count(",") + 1)
        settings = (
            f"mqtt.host={LOOPBACK}", f"mqtt.port={mosquitto.port}", f"http.host={LOOPBACK}", f"http.port={port}",
            f"state.path={tmp_path / state}", f"shards={shards}", "gateway.id=north",
        )  # fmt: skip
        words = (part for one in settings for part in ("--set", one))
        return start("run", *words, GAPCAST_MODELS__PATH=models.models, **variables), port

    return started


def children_of(command: Command) -> list[int]:
    pid = command.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def statuses(peer: Peer, shard: int, n: int) -> list[bytes]:
    return [message.payload for message in peer.wait_for(f"gapcast/north-{shard}/status", n)]


def test_second_worker_on_a_shard_is_rejected(worker: StartWorker, peer: Peer) -> None:
    first, port = worker("3")
    first.wait_ready(port)
    second, _ = worker("3")
    assert second.wait() == 4
    assert second.err.strip().splitlines()[-1].startswith("gapcast: another worker has this shard: ")
    assert f"process {first.process.pid} on " in second.err
    assert "mqtt.connected" not in second.err
    assert "Traceback" not in second.err
    assert statuses(peer, 3, 1) == [b"online"]
    first.signal(signal.SIGTERM)
    assert first.wait() == 0


def test_shard_taken_over_at_the_broker_is_released(worker: StartWorker, peer: Peer) -> None:
    """A worker on another machine, without access to the lock, would take it over like this."""
    first, port = worker("3", "one")
    first.wait_ready(port)
    second, port = worker("3", "other")
    second.wait_ready(port)
    assert first.wait() == 4
    assert "another worker took over the session of north-3" in first.err.strip().splitlines()[-1]
    assert "Traceback" not in first.err
    peer.publish("gap/3/home/reading", reading(FIRST, power(0)))
    peer.publish("gap/3/home/reading", reading(FIRST + 1, power(1)))
    peer.wait_for("gap/home/forecast")
    assert second.err.count("mqtt.connected") == 1
    assert first.err.count("mqtt.connected") == 1
    assert statuses(peer, 3, 2)[-1] == b"online", "the last will of the first does not outlast it"


def test_worker_serves_its_shards_until_the_stop(worker: StartWorker, peer: Peer) -> None:
    both, port = worker("0,1")
    for i in range(2):
        both.wait_ready(port + i)
        assert f'shard="{i}"' in httpx.get(f"http://{LOOPBACK}:{port + i}/metrics").text
        for minute in range(2):
            peer.publish(f"gap/{i}/meter-{i}/reading", reading(FIRST + minute, power(minute)))
        peer.wait_for(f"gap/meter-{i}/forecast")
    both.signal(signal.SIGHUP)  # handed on, and no end of it
    both.signal(signal.SIGTERM)
    assert both.wait() == 0
    assert statuses(peer, 0, 2) == statuses(peer, 1, 2) == [b"online", b"offline"]
    assert both.err.count('"event": "service.stopped"') == 2
    assert '"shard": 1' in both.err
    assert "worker.shard_ended" not in both.err


def test_killed_worker_leaves_no_process(worker: StartWorker, peer: Peer) -> None:
    both, port = worker("0,1")
    for i in range(2):
        both.wait_ready(port + i)
    children = children_of(both)
    assert len(children) == 2
    both.signal(signal.SIGKILL)
    both.wait()
    assert statuses(peer, 0, 2)[-1] == statuses(peer, 1, 2)[-1] == b"offline"
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), "their end")


def test_failed_shard_ends_the_worker_with_its_code(worker: StartWorker, peer: Peer) -> None:
    one, port = worker("1")
    one.wait_ready(port)
    both, _ = worker("0,1")
    assert both.wait() == 4
    assert "worker.shard_ended" in both.err
    assert "north-1" not in both.err or "another worker has this shard" in both.err
    assert statuses(peer, 0, 2) == [b"online", b"offline"]
    assert one.process.poll() is None


def test_killed_shard_process_ends_the_worker(worker: StartWorker) -> None:
    both, port = worker("0,1")
    for i in range(2):
        both.wait_ready(port + i)
    os.kill(children_of(both)[0], signal.SIGKILL)
    assert both.wait() == 1
    assert '"exit_code": -9' in both.err


def test_worker_with_other_models_is_rejected(worker: StartWorker, models: ModelCopy) -> None:
    first, port = worker("3")
    first.wait_ready(port)
    first.signal(signal.SIGTERM)
    assert first.wait() == 0
    models.alter_card(lambda card: card.update(version="77"))
    second, _ = worker("3")
    assert second.wait() == 4
    assert re.search(
        r"linear \d+ [0-9a-f]{8}, here 77 [0-9a-f]{8}\): install the same models on this worker", second.err
    )
    third, port = worker("3", GAPCAST_STATE__ACCEPT_OTHER_MODELS="true")
    third.wait_ready(port)
    assert "shard.other_models" in third.err


def test_several_shards_under_systemd_notify_are_rejected(worker: StartWorker) -> None:
    both, _ = worker("0,1", NOTIFY_SOCKET="/run/systemd/notify")
    assert both.wait() == 2
    assert "a unit for each shard" in both.err


def test_group_on_mosquitto_is_rejected(start: Start, mosquitto: MosquittoBroker) -> None:
    words = (
        f"mqtt.host={LOOPBACK}", f"mqtt.port={mosquitto.port}", f"http.host={LOOPBACK}", f"http.port={free_port()}",
        "mqtt.share_group=workers", "mqtt.shared_by=topic-hash",
    )  # fmt: skip
    service = start("run", *(part for one in words for part in ("--set", one)))
    assert service.wait() == 2
    assert "distributes group workers message by message" in service.err.strip().splitlines()[-1]
