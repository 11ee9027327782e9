"""An ensemble forecast over MQTT and REST, its weights, and a restart."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Reading
from tests.e2e.conftest import Start
from tests.integration.test_stream import FIRST, assert_same, power, reading, without_issue
from tests.support.brokers import MosquittoBroker
from tests.support.models import shipped_models
from tests.support.peers import peer_of
from tests.support.ports import LOOPBACK

SettingsOf = Callable[[int], tuple[str, ...]]
OUT = "gap/home/forecast"
N_BEFORE, N = 120, 140
FORECAST = {"model": "linear", "experts": ["lstm-5-3"]}


def undisturbed() -> list[dict[str, Any]]:
    """Return the forecasts of an engine that is never stopped, without ``issued_at``."""
    settings = Settings.model_validate({"models": {"path": shipped_models()}, "forecast": FORECAST})
    engine: Engine = engine_of(settings, load_models(settings))
    documents = []
    for i in range(N):
        documents += [f.document() for f in engine.forecast(engine.accept([Reading("home", FIRST + i, power(i))]), 0)]
        engine.learn()
    return [without_issue(document) for document in documents]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ensemble_forecast_continues_after_a_restart(
    start: Start, settings_of: SettingsOf, http_port: int, mosquitto: MosquittoBroker, number: signal.Signals
) -> None:
    chosen = (*settings_of(mosquitto.port), "--set", "forecast.model=linear", "--set", "forecast.experts=lstm-5-3")
    service = start("run", *chosen)
    service.wait_ready(http_port)
    url = f"http://{LOOPBACK}:{http_port}/predict?device=home"
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        peer.subscribe(OUT)
        for i in range(N_BEFORE):
            peer.publish("gap/home/reading", reading(FIRST + i, power(i)))
        last = peer.wait_for(OUT, N_BEFORE - 1)[-1].document
        assert last["model"] == "blend"
        assert tuple(last["experts"]) == ("linear", "lstm-5-3", "learned", "persistence")
        assert sum(last["experts"].values()) == pytest.approx(1, abs=0.003)
        assert sum(last["median_experts"].values()) == pytest.approx(1, abs=0.003)
        assert httpx.get(url).json() == last, "the same object"
        service.signal(number)
        service.wait()

        start("run", *chosen).wait_ready(http_port)
        if number is signal.SIGTERM:  # killed, it may have to take the last reading again
            assert httpx.get(url).json() == last
        for i in range(N_BEFORE, N):
            peer.publish("gap/home/reading", reading(FIRST + i, power(i)))
        newest: dict[str, Any] = {}
        peer.wait_that(lambda messages: len({m.document["observed_at"] for m in messages}) == N - 1, "all")
        for message in peer.on(OUT):  # what was not confirmed before the kill is published again, unchanged
            document = without_issue(message.document)
            assert newest.setdefault(document["observed_at"], document) == document
    assert_same(list(newest.values()), undisturbed())


def test_single_model_is_published_without_blend(
    start: Start, settings_of: SettingsOf, http_port: int, mosquitto: MosquittoBroker, tmp_path: Path
) -> None:
    file = tmp_path / "gapcast.toml"
    file.write_text('[forecast]\nmodel = "linear"\nblend = false\n', encoding="utf-8")
    service = start("run", "--config", file, *settings_of(mosquitto.port))
    service.wait_ready(http_port)
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        peer.subscribe(OUT)
        for i in range(3):
            peer.publish("gap/home/reading", reading(FIRST + i, power(i)))
        document = peer.wait_for(OUT, 2)[-1].document
    assert document["model"] == "linear"
    assert "experts" not in document
    assert document["lower_kw"] < document["median_kw"] < document["upper_kw"]
