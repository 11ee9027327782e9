"""Models installed and removed by the command while a service runs."""

from __future__ import annotations

import json
import os
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Invoke, Start
from tests.e2e.test_commands import replay_settings
from tests.support.brokers import Broker, MosquittoBroker
from tests.support.models import ModelCopy, default_name, shipped_models, shipped_names
from tests.support.peers import peer_of
from tests.support.ports import LOOPBACK

SettingsOf = Callable[[int], tuple[str, ...]]


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """The environment without settings: models are installed with the state, and override the bundled ones."""
    return {name: value for name, value in environment.items() if name != "GAPCAST_MODELS__PATH"}


@pytest.fixture
def download(tmp_path: Path) -> Path:
    """Another version of the default model, packed."""
    copy = ModelCopy(tmp_path / "download")
    copy.alter_card(lambda card: card.update(version="new"))
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
        for path in (copy.file, copy.card):
            archive.write(path, f"{copy.name}/{path.name}")
    return tmp_path / "new.zip"


def test_model_install_list_and_remove(invoke: Invoke, download: Path, tmp_path: Path) -> None:
    place = tmp_path / "state" / "gapcast" / "models" / default_name()
    installing = invoke("models", "install", download)
    assert (installing.wait(), installing.out) == (
        0,
        f"{default_name()}, version new, passed its self-test and is installed in {place}\n",
    )
    assert sorted(path.name for path in place.iterdir()) == ["card.json", "model.tflite"]
    listing = invoke("models")
    assert listing.wait() == 0
    (data, *others) = listing.out.replace("*", " ").splitlines()
    listed = [line for line in others if line.startswith("  ")]
    assert sorted(line.split()[0] for line in listed) == shipped_names()
    assert data.startswith("scored on UCI Individual household electric power consumption")
    assert data.endswith(", 2010-01-01 to 2011-01-01, 5 minutes ahead:")
    assert invoke("check", "--set", "mqtt.port=1").wait() == 1, "the models are sound, and there is no broker"
    removing = invoke("models", "remove", default_name())
    assert removing.wait() == 0
    assert removing.out == f"{default_name()} removed; the bundled {default_name()} is active again\n"
    assert not place.exists()


@pytest.mark.parametrize("key", ["forecast.experts", "forecast.model", "outlook.model"])
def test_model_that_the_configuration_names_is_not_removed(invoke: Invoke, tmp_path: Path, key: str) -> None:
    copy = ModelCopy(tmp_path / "copy", "linear")
    copy.alter_card(lambda card: card.update(name="mine"))
    assert invoke("models", "install", copy.folder).wait() == 0
    removing = invoke("models", "remove", "mine", "--set", f"{key}=mine")
    assert removing.wait() == 3
    assert f"mine is required by {key}: remove it from that key first" in removing.err
    assert invoke("models", "remove", "mine").wait() == 0


def test_default_model_can_be_changed_back_and_removed(invoke: Invoke, tmp_path: Path) -> None:
    copy = ModelCopy(tmp_path / "copy", "linear")
    copy.alter_card(lambda card: card.update(name="mine"))

    def primary() -> str:
        listing = invoke("models")
        assert listing.wait() == 0
        return next(line.split()[1] for line in listing.out.splitlines() if line.startswith("* "))

    refused = invoke("models", "install", copy.folder, "--default", "--set", "forecast.horizon_min=9")
    assert refused.wait() == 2
    assert refused.err == (
        "gapcast: forecast.horizon_min: model mine does not forecast 9 min ahead; possible are 1-5\n"
    )
    ahead = "forecasts are 5 minutes ahead, its longest lead time; forecast.horizon_min selects another one"
    installing = invoke("models", "install", copy.folder, "--default")
    assert installing.wait() == 0
    assert installing.out.splitlines()[1:] == [f"mine is the default model; {ahead}"]
    assert primary() == "mine"
    changing = invoke("models", "default", "lstm")
    assert (changing.wait(), changing.out) == (0, f"lstm is the default model; {ahead}\n")
    assert primary() == "lstm"
    changing = invoke("models", "default", "outlook", "--set", "forecast.horizon_min=15")
    assert (changing.wait(), changing.out) == (0, "outlook is the default model; forecasts are 15 minutes ahead\n")
    changing = invoke("models", "default", "mine", "--set", "forecast.model=linear")
    assert changing.wait() == 0
    assert changing.out == "mine is the default model; forecast.model selects linear, which remains the primary model\n"
    unknown = invoke("models", "default", "oracle")
    assert unknown.wait() == 3
    assert "there is no model 'oracle'" in unknown.err
    removing = invoke("models", "remove", "mine")
    assert (removing.wait(), removing.out) == (0, f"mine removed; the default model is {default_name()}\n")
    assert primary() == default_name()


def test_default_model_of_another_horizon_needs_consent_if_there_is_state(invoke: Invoke, tmp_path: Path) -> None:
    """Learning state and scores of all devices would start again."""
    copy = ModelCopy(tmp_path / "copy", "outlook")
    commands = [("models", "default", "outlook"), ("models", "install", copy.folder, "--default")]
    stream = tmp_path / "state" / "gapcast" / "stream"
    stream.mkdir(parents=True)
    (stream / "readings-00000001.jsonl").touch()
    for command in commands:
        refused = invoke(*command)
        assert refused.wait() == 2
        assert refused.err == (
            "gapcast: outlook forecasts 60 min ahead, the present default model 5: learning state and scores of all "
            "devices would start again; set forecast.horizon_min = 5 to keep them, or repeat the command with --yes to "
            "discard them\n"
        )
    accepted = invoke(*commands[0], "--yes")
    assert accepted.wait() == 0
    assert accepted.out.startswith("outlook is the default model; forecasts are 60 minutes ahead")


def test_model_install_into_a_given_folder(invoke: Invoke, download: Path, tmp_path: Path) -> None:
    for folder, arguments in (
        (tmp_path / "a", ("models", "install", download, "--models", tmp_path / "a")),
        (tmp_path / "b", ("models", "--set", f"models.path={tmp_path / 'b'}", "install", "--default", download)),
        (tmp_path / "c", ("models", "install", download, "--set", f"models.path={tmp_path / 'c'}")),
    ):
        command = invoke(*arguments)
        assert command.wait() == 0, command.err
        assert json.loads((folder / "registry.json").read_text(encoding="utf-8")) == {"default": default_name()}
        listing = invoke("models", "--set", f"models.path={folder}")
        assert listing.wait() == 0
        assert listing.out.splitlines()[1].startswith(f"* {default_name()} ")


def test_models_scored_on_different_data_are_listed_apart(invoke: Invoke, tmp_path: Path) -> None:
    own = ModelCopy(tmp_path / "state" / "gapcast" / "models", name="own", source=shipped_models() / "linear")
    own.alter_card(lambda card: card["trained_on"].update(source="my-meter.csv", sha256="0" * 64))
    (own.models / "registry.json").unlink()
    listing = invoke("models")
    assert listing.wait() == 0, listing.err
    lines = listing.out.replace("*", " ").splitlines()
    (at,) = (i for i, line in enumerate(lines) if line.startswith("scored on my-meter.csv [00000000], 2010-01-01 to "))
    assert lines[at + 1].split()[0] == "own"
    assert sum(line.startswith("scored on ") for line in lines) == 3, "those of UCI's house at 5 and at 60 minutes"
    assert lines[-1].startswith("Scores on different data are not comparable.")
    assert "gapcast backtest --all-models FILE" in lines[-1]


def copy_of_training_set(models: Path, name: str, record: dict[str, object]) -> None:
    own = ModelCopy(models, name=name, source=shipped_models() / "linear")
    own.alter_card(lambda card: card["trained_on"].update(source="2 houses of history", sha256="0" * 64))
    own.alter_card(lambda card: card["experiment"].update(record))


def test_models_of_a_training_set_are_listed_by_their_left_out_houses(invoke: Invoke, tmp_path: Path) -> None:
    """Their split is that of the training houses, on which they are not scored."""
    period = {"first": "2018-01-01T08:49:00Z", "last": "2018-01-02T14:59:00Z"}
    names = [f"house-{i}" for i in range(7)]
    records: dict[str, dict[str, object]] = {
        "one": {"left_out": ["c"], "tested": period},
        "early": {"left_out": ["d"]},
        "other": {"left_out": names[:6]},
        "many": {"left_out": names},
        "odd": {"left_out": ["c"], "tested": {"first": 1}},
        "none": {"left_out": []},
    }
    for name, record in records.items():
        copy_of_training_set(tmp_path / "models", name, record)
    listing = invoke("models", "--set", f"models.path={tmp_path / 'models'}")
    assert listing.wait() == 0, listing.err
    groups = (group.splitlines() for group in listing.out.replace("*", " ").split("scored on ")[1:])
    found = {data: [line.split()[0] for line in lines if line.startswith("  ")] for data, *lines in groups}
    of_history, first = "of history [00000000]", "house-0, house-1, house-2, house-3, house-4"
    assert found == {
        f"the left-out house c {of_history}, 2018-01-01 to 2018-01-02, 5 minutes ahead:": ["one"],
        f"the left-out house c {of_history}, 5 minutes ahead:": ["odd"],
        f"the left-out house d {of_history}, 5 minutes ahead:": ["early"],
        f"the left-out houses {first} and 1 more {of_history}, 5 minutes ahead:": ["other"],
        f"the left-out houses {first} and 2 more {of_history}, 5 minutes ahead:": ["many"],
        "2 houses of history [00000000], 2010-01-01 to 2011-01-01, 5 minutes ahead:": ["none"],
    }


@pytest.mark.parametrize("what", ["bad", "missing", "published"])
def test_model_install_errors_are_one_sentence(invoke: Invoke, download: Path, tmp_path: Path, what: str) -> None:
    if what == "bad":
        download.write_bytes(download.read_bytes()[:1_000])
        command, problem = invoke("models", "install", download), "new.zip: is not a model: give a folder, a .zip"
    elif what == "missing":
        command, problem = invoke("models", "remove", "oracle"), "'oracle' is not installed in "
    else:
        assert invoke("models", "install", download, "--models", tmp_path / "own").wait() == 0
        command = invoke("models", "remove", default_name(), "--models", tmp_path / "own")
        problem = f"{default_name()} is the default model: make another one the default"
    assert command.wait() == 3
    assert command.err.startswith("gapcast: ")
    assert problem in command.err
    assert len(command.err.splitlines()) == 1


def versions(http_port: int) -> dict[str, str]:
    cards = httpx.get(f"http://{LOOPBACK}:{http_port}/models").json()["models"]
    return {card["name"]: card["version"] for card in cards}


def test_running_service_reloads_models_and_on_sighup(
    start: Start, settings_of: SettingsOf, http_port: int, broker: Broker, download: Path
) -> None:
    service = start("run", *replay_settings(settings_of, broker))
    service.wait_ready(http_port)
    before = versions(http_port)
    assert start("models", "install", download).wait() == 0
    service.wait_for_output("models.swapped")
    assert versions(http_port) == {**before, default_name(): "new"}
    service.signal(signal.SIGHUP)
    service.wait_for_outputs("models.swapped", 2)
    service.signal(signal.SIGTERM)
    assert service.wait() == 0


def test_hangup_of_its_terminal_ends_the_service(
    start: Start, settings_of: SettingsOf, http_port: int, broker: Broker
) -> None:
    master, slave = os.openpty()
    service = start("run", *replay_settings(settings_of, broker), terminal=slave)
    os.close(slave)
    service.wait_ready(http_port)
    os.close(master)
    service.signal(signal.SIGHUP)
    assert service.wait() == 0


@pytest.mark.mosquitto
def test_kill_after_a_reload_restarts_with_the_new_model(
    start: Start, settings_of: SettingsOf, http_port: int, mosquitto: MosquittoBroker, download: Path
) -> None:
    service = start("run", *settings_of(mosquitto.port))
    service.wait_ready(http_port)
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        peer.subscribe("gap/+/forecast")
        for i in range(10):
            peer.publish("gap/home/reading", f'{{"ts": "2026-01-01T12:{i:02}:00Z", "gap_kw": 1.{i}}}')
        peer.wait_for("gap/home/forecast", 9)
        assert start("models", "install", download).wait() == 0
        service.wait_for_output("models.swapped")
        service.signal(signal.SIGKILL)
        service.wait()
        again = start("run", *settings_of(mosquitto.port))
        again.wait_ready(http_port)
        peer.publish("gap/home/reading", '{"ts": "2026-01-01T12:10:00Z", "gap_kw": 2.0}')
        newest = peer.wait_for("gap/home/forecast", 10)[-1].document
    assert (newest["n_observed"], newest["model_version"]) == (11, "new")
