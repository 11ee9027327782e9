"""A gateway whose model needs more than power: its readings and forecasts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from gapcast.app.models.models import load_models
from gapcast.config import loader as configuration
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError, SettingsError
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import minute_label
from gapcast.predictors.models_folder.store import load_model
from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, KEYS, Document, assert_same, power, without_issue
from tests.support.brokers import Broker
from tests.support.gateways import ALONE, REJECTED
from tests.support.models import ModelCopy, every_feature_model

ZONE = "Europe/Paris"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with a shipped model and one with every feature, which is the default."""
    ModelCopy(tmp_path / "models", "linear")
    return ModelCopy(tmp_path / "models", source=every_feature_model()).models


def measured(i: int) -> dict[str, float]:
    return {"reactive_kvar": 0.1 * (i % 3), "voltage_v": 230.0 + i % 7, "current_a": 4.0 + i % 5}


def payload(i: int, **changes: Any) -> str:
    return json.dumps({"ts": minute_label(FIRST + i), "gap_kw": power(i), **measured(i), **changes})


def expected(n: int) -> list[Document]:
    """Return the engine's own forecasts of the stream, with the site's time of day."""
    engine = Engine(load_model(every_feature_model()), zone=ZoneInfo(ZONE))
    documents = []
    for i in range(n):
        accepted = engine.accept([Reading("home", FIRST + i, power(i), measured=measured(i))])
        documents += [without_issue(forecast.document()) for forecast in engine.forecast(accepted, 0)]
    return documents


def apart(documents: list[Document]) -> tuple[list[Document], list[float]]:
    """Separate the paths from documents, because their last bits depend on the batch."""
    return ([{k: v for k, v in document.items() if k != "path"} for document in documents],
            [kw for document in documents for kw in document["path"]])  # fmt: skip


def test_readings_with_all_features_are_forecast_with_a_path(
    broker: Broker, start_gateway: StartGateway, connect: Connect, models: Path
) -> None:
    gateway = start_gateway(broker, models={"path": models}, site={"timezone": ZONE}, forecast=ALONE)
    peer = connect(broker)
    peer.subscribe("gap/home/forecast")
    for i in range(20):
        peer.publish("gap/home/reading", payload(i, mood="ignored"))
    documents = [message.document for message in peer.wait_for("gap/home/forecast", 19)]
    assert [list(document) for document in documents] == [[*KEYS, "path"]] * 19
    found, found_kw = apart([without_issue(document) for document in documents])
    wanted, wanted_kw = apart(expected(20))
    assert_same(found, wanted)
    assert found_kw == pytest.approx(wanted_kw, abs=1e-5)
    assert [document["path"][-1] for document in documents] == [document["gap_kw"] for document in documents]

    assert httpx.get(f"{gateway.url}/predict", params={"device": "home"}).json() == documents[-1]
    readings = [json.loads(payload(i)) for i in range(20)]
    posted = httpx.post(f"{gateway.url}/predict", json={"readings": readings}).json()
    assert posted["path"] == pytest.approx(documents[-1]["path"], abs=1e-5)
    at_rest = httpx.post(f"{gateway.url}/predict", json={"readings": [1.0, 1.2], "model": "linear"}).json()
    assert at_rest["model"] == "linear"


def test_reading_without_a_feature_is_rejected_and_leaves_a_gap(
    broker: Broker, start_gateway: StartGateway, connect: Connect, models: Path
) -> None:
    gateway = start_gateway(broker, models={"path": models})
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    peer.subscribe(REJECTED)
    for sent in (payload(0), "1.5", '{"gap_kw": 1.5, "voltage_v": 230}', payload(1, voltage_v="high"), payload(2)):
        peer.publish("gap/home/reading", sent)
    documents = [message.document for message in peer.wait_for(REJECTED, 3)]
    assert [document["reason"] for document in documents] == ["missing_feature", "missing_feature", "not_a_number"]
    assert "no reactive_kvar or voltage_v or current_a, which model every-feature needs" in documents[0]["detail"]
    assert "no reactive_kvar or current_a, which model every-feature needs" in documents[1]["detail"]
    assert documents[0]["payload"] == "1.5"
    assert peer.wait_for("gap/home/forecast")[0].document["n_observed"] == 2
    gateway.wait_taken(5)
    assert gateway.service.statistics.readings == {"accepted": 2, "duplicate": 0, "late": 0, "rejected": 3}


def test_held_reading_disproved_is_rejected_with_its_payload(
    broker: Broker, start_gateway: StartGateway, connect: Connect, models: Path
) -> None:
    start_gateway(broker, models={"path": models})
    peer = connect(broker)
    peer.subscribe(REJECTED)
    for i in (0, 5_000, 1):
        peer.publish("gap/home/reading", payload(i))
    rejected = peer.wait_for(REJECTED)[0].document
    assert rejected["reason"] == "time_jump"
    assert json.loads(rejected["payload"]) == json.loads(payload(5_000))


# --- the site's clock ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Europe/Pars", "Europe", "", "../etc/passwd", "/etc/localtime", "\0", "CEST2"])
def test_unknown_time_zone_is_rejected_by_key(name: str) -> None:
    with pytest.raises(SettingsError, match=r"site\.timezone: there is no such time zone: use an IANA name"):
        configuration.load(None, {}, {"site": {"timezone": name}})


# --- models that are not published ---------------------------------------------------------------------------


def test_ensemble_member_that_fails_is_reported_at_start(models: Path) -> None:
    ModelCopy(models, "other", source=every_feature_model()).alter_card(
        lambda card: card["golden"]["mean"][0].__setitem__(0, 99.0)
    )
    with pytest.raises(ModelError, match="model other: mean of the golden example differs by"):
        load_models(Settings.model_validate({"models": {"path": models}, "forecast": {"model": "linear"}}))


def test_unknown_model_lists_the_known_ones(models: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no model 'oracle' in .*; there are: every-feature, linear"):
        load_models(Settings.model_validate({"models": {"path": models}, "forecast": {"model": "oracle"}}))
