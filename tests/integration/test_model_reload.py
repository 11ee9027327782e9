"""Model reload during a stream: no reading is lost, and bad models change nothing."""

from __future__ import annotations

import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from gapcast.app.engines.model_watcher import ModelWatcher
from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import minute_label
from gapcast.predictors.installation.install import install
from gapcast.predictors.models_folder.library import Library
from gapcast.predictors.models_folder.store import load_model
from gapcast.predictors.trials.admission import Admission
from gapcast.predictors.trials.proven_models import ProvenModels
from gapcast.storage.generations import files_of
from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_restart import forecasts_of, metric
from tests.integration.test_stream import FIRST, assert_same, power, reading, without_issue
from tests.support.brokers import Broker, MosquittoBroker
from tests.support.gateways import Gateway
from tests.support.journals import journal_entries
from tests.support.models import ModelCopy, every_feature_model
from tests.support.peers import Peer
from tests.support.waiting import wait_until

IN, OUT = "gap/home/reading", "gap/home/forecast"
ALONE = {"blend": False, "calibrate": False}


@pytest.fixture
def copy(tmp_path: Path) -> ModelCopy:
    """The default model in its own folder, together with a second one."""
    ModelCopy(tmp_path / "models", "linear")
    return ModelCopy(tmp_path / "models")


def reloads(gateway: Gateway) -> dict[str, int]:
    return dict(gateway.service.statistics.model_reloads)


def wait_reloads(gateway: Gateway, **wanted: int) -> None:
    expected = {"swapped": 0, "refused": 0} | wanted
    wait_until(lambda: reloads(gateway) == expected, lambda: f"{expected}, not {reloads(gateway)}")


def versions(gateway: Gateway) -> dict[str, str]:
    cards = httpx.get(f"{gateway.url}/models").json()["models"]
    return {card["name"]: card["version"] for card in cards}


def install_version(copy: ModelCopy, version: str, tmp_path: Path, **options: Any) -> None:
    """Install another version of a model, like ``gapcast models install``."""
    other = tmp_path / f"download-{version}" / copy.name
    shutil.copytree(copy.folder, other)
    document = json.loads((other / "card.json").read_text(encoding="utf-8"))
    document["version"] = version
    (other / "card.json").write_text(json.dumps(document), encoding="utf-8")
    install(other, Library((copy.models,)), Admission(None, ProvenModels(None, "runtime")), **options)


@pytest.mark.mosquitto
def test_reload_new_version_loses_no_forecast(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect, copy: ModelCopy, tmp_path: Path
) -> None:
    """200 devices at QoS 1, which do not wait for anything."""
    n_devices, n_after = 200, 5
    gateway = start_gateway(mosquitto, models={"path": copy.models})
    peer = connect(mosquitto)
    peer.subscribe("gap/+/forecast")

    def send(minute: int) -> None:
        for device in range(n_devices):
            peer.send(f"gap/d{device}/reading", reading(FIRST + minute, power(minute + device)))
        wait_until(lambda: gateway.n_taken >= (minute - 1) * n_devices, "the gateway to keep up")

    before, n_minutes = versions(gateway), 20
    for minute in range(n_minutes):
        send(minute)
    install_version(copy, "new", tmp_path)
    while reloads(gateway)["swapped"] == 0:
        assert n_minutes < 5_000, reloads(gateway)
        send(n_minutes)
        n_minutes += 1
    for minute in range(n_minutes, n_minutes + n_after):
        send(minute)
    n_minutes += n_after
    gateway.wait_taken(n_minutes * n_devices)
    n_wanted = (n_minutes - 1) * n_devices
    peer.wait_that(lambda messages: len(messages) >= n_wanted, f"{n_wanted} forecasts")
    by_topic: dict[str, list[dict[str, Any]]] = {}
    for message in peer.messages:
        by_topic.setdefault(message.topic, []).append(message.document)
    assert len(by_topic) == n_devices
    for documents in by_topic.values():
        minutes = [document["observed_at"] for document in documents]
        assert minutes == [minute_label(FIRST + minute) for minute in range(1, n_minutes)], "each once, in order"
        current = [document["model_version"] for document in documents]
        n_new = current.count("new")
        n_old = len(current) - n_new
        assert current == [before[copy.name]] * n_old + ["new"] * n_new
        assert n_old >= 19
        assert n_new >= n_after
        assert [document["n_observed"] for document in documents[:178]] == list(range(2, len(documents[:178]) + 2))
    gateway.wait_taken(n_minutes * n_devices)
    assert gateway.service.statistics.readings["accepted"] == n_minutes * n_devices
    assert versions(gateway) == {**before, copy.name: "new"}
    (line,) = [line for line in metrics(gateway).splitlines() if f'model="{copy.name}",version="new"' in line]
    assert 'default="true"' in line
    assert 'gapcast_model_reloads_total{result="swapped"} 1.0' in metrics(gateway)


def metrics(gateway: Gateway) -> str:
    return httpx.get(f"{gateway.url}/metrics").text


def feed(peer: Peer, minutes: range) -> list[tuple[int, float]]:
    """Send minute after minute, each after the answer to the previous one."""
    for i in minutes:
        peer.publish(IN, reading(FIRST + i, power(i)))
        if i:
            peer.wait_for(OUT, i)
    return [(FIRST + i, power(i)) for i in range(minutes.stop)]


def alone(model: Path, minutes: list[tuple[int, float]]) -> dict[str, Any]:
    """Return the forecast of the last minute by an engine with only that model."""
    engine = Engine(load_model(model))
    for minute, gap_kw in minutes[:-1]:
        engine.accept([Reading("home", minute, gap_kw)])
    (forecast,) = engine.forecast(engine.accept([Reading("home", *minutes[-1])]), 0)
    return without_issue(forecast.document())


def test_reload_other_model_keeps_the_readings(
    broker: Broker, start_gateway: StartGateway, connect: Connect, copy: ModelCopy
) -> None:
    """The models have different contexts; the registry names another default, and later the first again."""
    gateway = start_gateway(broker, models={"path": copy.models}, forecast=ALONE)
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    feed(peer, range(5))
    for n_swapped, name in enumerate(("linear", copy.name), 1):
        copy.make_default(name)
        wait_reloads(gateway, swapped=n_swapped)
        n = 5 + n_swapped
        minutes = feed(peer, range(n - 1, n))
        newest = without_issue(peer.wait_for(OUT, n - 1)[-1].document)
        assert newest["model"] == name
        assert newest["n_observed"] == n
        assert_same([newest], [alone(copy.models / name, minutes)])


def test_reload_model_of_another_horizon_logs_that_learning_starts_again(
    broker: Broker, start_gateway: StartGateway, copy: ModelCopy
) -> None:
    ModelCopy(copy.models, "outlook")  # and now the default
    copy.make_default(copy.name)
    gateway = start_gateway(broker, models={"path": copy.models})
    with structlog.testing.capture_logs() as lines:
        copy.make_default("outlook")
        wait_reloads(gateway, swapped=1)
    (line,) = [line for line in lines if line["event"] == "state.learning_not_restored"]
    assert (line["log_level"], line["problem"]) == ("warning", "forecasts are 60 instead of 5 min ahead")
    assert "scores start again" in line["fix"]


def show(folder: Path, link: Path) -> None:
    """Let ``link`` show ``folder``, at once: files copied one by one may look complete for as long as two checks."""
    new = link.with_name("new")
    new.symlink_to(folder)
    new.replace(link)


def altered(copy: ModelCopy) -> None:
    copy.alter_file(copy.file.read_bytes()[:-8])


def wrong(copy: ModelCopy) -> None:
    copy.alter_card(lambda card: card["golden"]["mean"][0].__setitem__(0, 99.0))


def no_model(copy: ModelCopy) -> None:
    copy.alter_file(b"not a model at all", card_too=True)


def no_card(copy: ModelCopy) -> None:
    copy.card.write_text("{", encoding="utf-8")


def greedy(copy: ModelCopy) -> None:
    ModelCopy(copy.models, source=every_feature_model())  # and the default


def gone(copy: ModelCopy) -> None:
    shutil.rmtree(copy.folder)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (altered, "is not the file that its card describes"),
        (wrong, "mean of the golden example differs by"),
        (no_model, "the runtime cannot load the file"),
        (no_card, "card.json: the file: Invalid JSON"),
        (greedy, "restart gapcast to switch to "),
        (gone, "there is no model"),
    ],
)
def test_reload_bad_model_is_rejected_and_the_old_one_stays(
    broker: Broker,
    start_gateway: StartGateway,
    connect: Connect,
    copy: ModelCopy,
    tmp_path: Path,
    spoil: Callable[[ModelCopy], None],
    problem: str,
) -> None:
    good, watched = shutil.copytree(copy.models, tmp_path / "good"), tmp_path / "watched"
    spoil(copy)
    show(good, watched)
    gateway = start_gateway(broker, models={"path": watched})
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    feed(peer, range(3))
    before = httpx.get(f"{gateway.url}/models").json()
    with structlog.testing.capture_logs() as lines:
        show(copy.models, watched)
        wait_reloads(gateway, refused=1)
    refused = [line for line in lines if line["event"] == "models.refused"]
    assert problem in refused[0]["problem"]
    assert "the current models stay active" in refused[0]["fix"]
    feed(peer, range(3, 5))
    assert peer.wait_for(OUT, 4)[-1].document["n_observed"] == 5
    assert httpx.get(f"{gateway.url}/models").json() == before
    assert httpx.get(f"{gateway.url}/readyz").status_code == 200
    assert 'gapcast_model_reloads_total{result="refused"} 1.0' in metrics(gateway)

    show(good, watched)
    wait_reloads(gateway, refused=1, swapped=1)


# --- one look after the other -------------------------------------------------------------------------


@pytest.fixture
def looking(broker: Broker, start_gateway: StartGateway, copy: ModelCopy) -> tuple[Gateway, ModelWatcher]:
    """A gateway and its model watcher, whose checks the test triggers itself."""
    gateway = start_gateway(broker, models={"path": copy.models})
    reloading = gateway.application._model_watcher
    reloading.stop()
    reloading._stopping.clear()
    return gateway, reloading


def test_reload_waits_for_files_being_written(looking: tuple[Gateway, ModelWatcher], copy: ModelCopy) -> None:
    gateway, reloading = looking
    content = copy.file.read_bytes()
    for n_bytes in range(10_000, 60_000, 10_000):
        copy.file.write_bytes(content[:n_bytes])
        reloading.check_files()
    copy.file.write_bytes(content)
    reloading.check_files()
    assert reloads(gateway) == {"swapped": 0, "refused": 0}
    reloading.check_files()
    assert reloads(gateway) == {"swapped": 1, "refused": 0}
    reloading.check_files()
    assert reloads(gateway) == {"swapped": 1, "refused": 0}, "once is enough"


def test_reload_bad_model_is_tried_once_or_on_request(looking: tuple[Gateway, ModelWatcher], copy: ModelCopy) -> None:
    gateway, reloading = looking
    no_card(copy)
    for _ in range(5):
        reloading.check_files()
    assert reloads(gateway) == {"swapped": 0, "refused": 1}
    gateway.application.reload()
    reloading.check_files()
    reloading.check_files()
    assert reloads(gateway) == {"swapped": 0, "refused": 2}


def test_reload_file_changed_while_read_is_not_bad(
    looking: tuple[Gateway, ModelWatcher], copy: ModelCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, reloading = looking
    whole = copy.card.read_bytes()
    no_card(copy)
    reloading.check_files()

    def while_reading(*_: object) -> None:
        copy.card.write_bytes(whole)
        msg = "what the runtime may say of half a file"
        raise ArithmeticError(msg)

    with monkeypatch.context() as patched:
        patched.setattr("gapcast.app.engines.model_watcher.load_models", while_reading)
        reloading.check_files()
    assert reloads(gateway) == {"swapped": 0, "refused": 0}
    reloading.check_files()
    reloading.check_files()
    assert reloads(gateway) == {"swapped": 1, "refused": 0}


class PanicError(BaseException):
    """The error that a library in Rust raises, like pyo3's PanicException: not an Exception."""


def test_reload_continues_after_a_panic_of_a_library(
    looking: tuple[Gateway, ModelWatcher], copy: ModelCopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, reloading = looking

    def panics(*_: object) -> None:
        raise PanicError

    with monkeypatch.context() as patched:
        patched.setattr("gapcast.app.engines.model_watcher.load_models", panics)
        gateway.application.reload()
        reloading.check_files()
    assert reloads(gateway) == {"swapped": 0, "refused": 1}
    install_version(copy, "new", tmp_path)
    reloading.check_files()
    reloading.check_files()
    assert reloads(gateway) == {"swapped": 1, "refused": 1}


def test_reload_frees_the_engine_and_the_models_replaced(
    looking: tuple[Gateway, ModelWatcher], copy: ModelCopy, tmp_path: Path
) -> None:
    """Objects from the start are not collected (``gc.freeze``), so nothing may refer to them afterwards."""
    gateway, reloading = looking
    engine = gateway.service.queries.read(lambda engine, _: weakref.ref(engine))
    model = weakref.ref(gateway.application.models.by_name[copy.name])
    install_version(copy, "new", tmp_path)
    reloading.check_files()
    reloading.check_files()
    assert reloads(gateway) == {"swapped": 1, "refused": 0}
    assert (engine(), model()) == (None, None)


def test_reload_unexpected_error_is_a_rejection(
    looking: tuple[Gateway, ModelWatcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, reloading = looking

    def fails(*_: object) -> None:
        msg = "out of luck"
        raise ArithmeticError(msg)

    monkeypatch.setattr("gapcast.app.engines.model_watcher.load_models", fails)
    gateway.application.reload()
    with structlog.testing.capture_logs() as lines:
        reloading.check_files()
    assert [line["problem"] for line in lines if line["event"] == "models.refused"] == ["ArithmeticError: out of luck"]
    assert reloads(gateway) == {"swapped": 0, "refused": 1}


# --- what others see of it ------------------------------------------------------------------------------


def test_reload_repeats_discovery(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect, copy: ModelCopy
) -> None:
    topic, without = "homeassistant/device/gapcast_home/config", ModelCopy(copy.models, "lstm-5-3")
    copy.make_default(copy.name)
    gateway = start_gateway(mosquitto, models={"path": copy.models}, homeassistant={"enabled": True}, forecast=ALONE)
    peer = connect(mosquitto)
    peer.subscribe("homeassistant/#")
    peer.publish(IN, reading(FIRST, 1.0))
    first = peer.wait_for(topic)[0].document
    copy.make_default(without.name)
    wait_reloads(gateway, swapped=1)
    second = peer.wait_for(topic, 2)[1].document
    assert [by_topic["dev"]["mdl"].split()[0] for by_topic in (first, second)] == [copy.name, without.name]
    assert first["cmps"]["median"]["val_tpl"] == "{{ value_json.median_kw }}"
    assert second["cmps"]["median"] == {"p": "sensor"}, "the entity is taken away"


# --- what is kept ---------------------------------------------------------------------------------------


def n_kept(stream: Path) -> int:
    """Count the readings in the journals of ``stream``, however many a batch contained."""
    return sum(len(entry.readings) for entry in journal_entries(stream))


@pytest.mark.parametrize("checkpointed", [True, False])
def test_reload_kill_right_after_continues_exactly(
    mosquitto: MosquittoBroker,
    start_gateway: StartGateway,
    connect: Connect,
    copy: ModelCopy,
    tmp_path: Path,
    checkpointed: bool,
) -> None:
    """A kill leaves the files that a copy finds: with the checkpoint of the swap, or before it."""
    state, killed = tmp_path / "state", tmp_path / "killed"
    gateway = start_gateway(mosquitto, models={"path": copy.models}, forecast=ALONE)
    peer = connect(mosquitto)
    peer.subscribe("gap/+/forecast")
    feed(peer, range(8))
    before = set(files_of(state / "stream"))
    if not checkpointed:
        wait_until(lambda: n_kept(state / "stream") == 8, "all readings to be kept")
        shutil.copytree(state, killed)
    copy.make_default("linear")
    wait_reloads(gateway, swapped=1)
    if checkpointed:
        wait_until(
            lambda: any(path.suffix == ".npz" and path not in before for path in files_of(state / "stream")),
            "the checkpoint",
        )
        shutil.copytree(state, killed)
    gateway.stop()
    again = start_gateway(mosquitto, models={"path": copy.models}, forecast=ALONE, state={"path": killed})
    minutes = feed(peer, range(8, 9))
    (newest,) = [without_issue(document) for document in forecasts_of(again)]
    assert newest["n_observed"] == 9
    assert_same([newest], [alone(copy.models / "linear", minutes)])
    assert metric(again, "gapcast_state_kept") == 1
