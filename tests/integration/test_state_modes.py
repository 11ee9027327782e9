"""A gateway without a umask stores only private files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gapcast.bundled import models_path
from gapcast.predictors.installation.install import install
from gapcast.predictors.models_folder.library import Library
from gapcast.predictors.tflite.runtime import load_interpreter
from gapcast.predictors.trials.admission import Admission
from gapcast.predictors.trials.proven_models import ProvenModels
from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, power, reading
from tests.support.brokers import Broker
from tests.support.models import ModelCopy, default_name


@pytest.fixture(autouse=True)
def _no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes_of(state: Path) -> dict[str, str]:
    """Return every existing path, and its mode."""
    return {str(path.relative_to(state)): stat.filemode(path.stat().st_mode) for path in (state, *state.rglob("*"))}


def test_running_gateway_without_a_umask_stores_private_files(
    broker: Broker, start_gateway: StartGateway, connect: Connect, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    trained = ModelCopy(tmp_path / "download", default_name())
    trained.alter_card(lambda card: card.update(name="own"))
    admission = Admission(models_path(), ProvenModels(state, load_interpreter()[1]))
    install(trained.folder, Library((models_path(), state / "models")), admission)

    gateway = start_gateway(broker, gateway={"id": ""}, models={"path": None}, forecast={"model": "own"})
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    for i in range(3):
        peer.publish("gap/home/reading", reading(FIRST + i, power(i)))
    peer.wait_for("gap/home/forecast", 2)
    running = modes_of(state)
    assert httpx.delete(f"{gateway.url}/devices/home").status_code == 204
    gateway.stop()
    for found in (running, modes_of(state)):
        assert {"gateway-id", "proven.json", "models/own/card.json", "models/own/model.tflite"} <= set(found)
        assert any(name.startswith("stream/checkpoint-") for name in found)
        assert any(name.startswith("stream/readings-") for name in found)
        assert {mode for mode in found.values() if mode not in {"drwx------", "-rw-------"}} == set(), found
