"""Shards of the configuration: the gateway settings of each, and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from gapcast.app.broker.broker import session_options, subscriptions_of
from gapcast.app.engines.device_limit import device_cost
from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.cli import main
from gapcast.commands.options import read_settings
from gapcast.config.loader import load
from gapcast.config.machine.memory_limit import fitting_devices
from gapcast.config.settings import Settings
from gapcast.config.shards import readings_folder, settings_by_shard, settings_for_shard, single_shard_settings
from gapcast.core.errors import SettingsError
from tests.support.optional_tools import ROOT

SHARDED = "gap/{shard}/{device}/reading"


def test_shard_number_is_in_topics_id_and_folder() -> None:
    settings = load(
        None, {}, {"shards": [3, 7], "gateway": {"id": "north"}, "topics": {"forecast": "f/{shard}/{device}"}}
    )
    one, other = settings_by_shard(settings)
    assert (one.gateway.id, other.gateway.id) == ("north-3", "north-7")
    assert (one.topics.reading, other.topics.reading) == ("gap/3/{device}/reading", "gap/7/{device}/reading")
    assert (one.topics.forecast, one.topics.availability) == ("f/3/{device}", "gap/{device}/availability")
    assert (one.http.port, other.http.port) == (8080, 8081)
    assert readings_folder(other, Path("/state")) == Path("/state/shard-7/stream")
    options = session_options(other, {"STATE_DIRECTORY": "/nowhere"})
    assert (options.gateway, options.status_topic) == ("north-7", "gapcast/north-7/status")
    assert options.subscriptions == ("gap/7/+/reading",)
    assert options.yields
    assert options.protocol == "5"


def test_shards_absent_change_nothing() -> None:
    settings = Settings()
    assert settings_by_shard(settings) == [settings]
    assert readings_folder(settings, Path("/state")) == Path("/state/stream")


def test_shard_id_is_the_same_on_every_worker() -> None:
    assert [one.gateway.id for one in settings_by_shard(Settings(shards=(0, 1)))] == ["shard-0", "shard-1"]


def test_shards_may_come_from_any_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "gapcast.toml"
    file.write_text("shards = [0, 1]\n", encoding="utf-8")
    assert load(file, {}, {}).shards == (0, 1)
    monkeypatch.setenv("GAPCAST_SHARDS", "2")
    assert read_settings(file, ()).shards == (2,)
    assert read_settings(file, ("shards=4, 5",)).shards == (4, 5)
    assert read_settings(file, ()).topics.reading == SHARDED


def test_shards_of_sources_fill_a_topic_level() -> None:
    source = {"topic": "tele/{shard}/{device}/SENSOR", "preset": "tasmota"}
    settings = Settings.model_validate({"shards": [5], "sources": [source]})
    assert subscriptions_of(settings_by_shard(settings)[0]) == ("tele/5/+/SENSOR",)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"shards": []}, "shards is empty"),
        ({"shards": [1, 0, 1]}, "shards lists 1 twice"),
        ({"shards": [-1]}, "shards.0"),
        ({"shards": "a"}, "shards.0"),
        ({"shards": [0], "topics": {"reading": "gap/{device}/reading"}}, r"topics\.reading .* has no level \{shard\}"),
        ({"shards": [0], "topics": {"reading": "gap/s{shard}/{device}/x"}}, r"topics\.reading .* has no level"),
        ({"shards": [0], "sources": [{"topic": "t/{device}", "value": "P"}]}, r"sources\.0\.topic .* has no level"),
        ({"topics": {"reading": SHARDED}}, r"topics\.reading .* has \{shard\}, but shards is not set"),
        ({"topics": {"forecast": "f/{shard}/{device}"}}, r"topics\.forecast .* has \{shard\}"),
        ({"shards": [0], "state": {"keep": False}}, r"shards require state\.keep = true"),
        ({"shards": [0], "mqtt": {"protocol": "3.1.1"}}, "shards need MQTT 5"),
        ({"mqtt": {"share_group": "workers"}}, "splits them across workers"),
        ({"mqtt": {"shared_by": "topic-hash"}}, "must be set together"),
        ({"mqtt": {"share_group": "w", "shared_by": "round-robin"}}, "shared_by"),
        ({"mqtt": {"share_group": "w", "shared_by": "topic-hash", "protocol": "3.1.1"}}, "share_group requires MQTT 5"),
        ({"shards": [0], "mqtt": {"share_group": "w", "shared_by": "topic-hash"}}, "choose one"),
        ({"topics": {"reading": "$share/w/gap/{device}/reading"}}, r"mqtt\.share_group"),
        (
            {
                "mqtt": {"share_group": "w", "shared_by": "topic-hash"},
                "sources": [{"topic": "p1/{device}/{part}", "format": "number", "value": "in - out"}],
            },
            "would be split across workers",
        ),
    ],
)
def test_shards_invalid_are_rejected_by_name(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load(None, {}, given)


def test_shards_over_the_last_port_are_rejected() -> None:
    up_to_the_last = settings_by_shard(load(None, {}, {"shards": [0, 1], "http": {"port": 65_534}}))
    assert [one.http.port for one in up_to_the_last] == [65_534, 65_535]
    with pytest.raises(SettingsError, match=r"http\.port: 3 shards need as many ports, starting at 65534"):
        settings_by_shard(Settings.model_validate({"shards": [0, 1, 2], "http": {"port": 65_534}}))


def test_replay_needs_one_shard(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="select one, as --set shards=0"):
        single_shard_settings(Settings(shards=(0, 1)))
    assert single_shard_settings(Settings(shards=(4,))).topics.reading == "gap/4/{device}/reading"
    ran = CliRunner().invoke(main, ["replay", str(tmp_path / "x.csv"), "--set", "shards=0,1"])
    assert ran.exit_code == 2
    assert "--set shards=0" in ran.output


def test_group_subscribes_to_a_shared_topic() -> None:
    settings = Settings.model_validate({"mqtt": {"share_group": "workers", "shared_by": "topic-hash"}})
    assert subscriptions_of(settings) == ("$share/workers/gap/+/reading",)


def test_kubernetes_example_is_valid(tmp_path: Path) -> None:
    resources = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "workers.yaml").read_text(encoding="utf-8")))
    by_kind = {one["kind"]: one for one in resources}
    file = tmp_path / "gapcast.toml"
    file.write_text(by_kind["ConfigMap"]["data"]["gapcast.toml"], encoding="utf-8")
    (container,) = by_kind["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one.get("value", "3") for one in container["env"]}
    password = tmp_path / "password"
    password.write_text("s3cret", encoding="utf-8")
    (shard,) = settings_by_shard(load(file, environment | {"GAPCAST_MQTT__PASSWORD_FILE": str(password)}, {}))
    assert shard.topics.reading == "gap/3/{device}/reading"
    assert shard.state.path is not None
    folder = str(shard.state.path.parent)  # a volume's own root belongs to root, with a mode that gapcast cannot narrow
    assert folder in {mount["mountPath"] for mount in container["volumeMounts"]}
    assert container["ports"] == [{"name": "http", "containerPort": shard.http.port}]
    limit_bytes = int(container["resources"]["limits"]["memory"].removesuffix("Mi")) << 20
    fitting = fitting_devices(device_cost(engine_of(shard, load_models(shard))), limit_bytes, shard.devices.max)
    assert (fitting.n_devices, fitting.n_tracked) == (shard.devices.max, shard.learning.max_devices)


def test_kubernetes_example_has_no_variables_of_services() -> None:
    """A Service named ``gapcast-http`` sets ``GAPCAST_HTTP_SERVICE_HOST``, which is refused as a misspelt key."""
    resources = yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "workers.yaml").read_text(encoding="utf-8"))
    (pod,) = [one["spec"]["template"]["spec"] for one in resources if one["kind"] == "StatefulSet"]
    with pytest.raises(SettingsError, match="GAPCAST_HTTP_SERVICE_HOST: write two underscores"):
        load(None, {"GAPCAST_HTTP_SERVICE_HOST": "10.0.0.1"}, {})
    assert pod["enableServiceLinks"] is False


def test_settings_for_shard_leaves_the_port_where_none_is_given() -> None:
    assert settings_for_shard(Settings(shards=(1,)), 1).http.port == 8080
