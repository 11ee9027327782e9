"""A worker with invalid or too many messages, and with another worker's models and state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gapcast.app.models.models import load_models
from gapcast.core.engine import Engine
from gapcast.core.errors import GapcastError, ModelError, SettingsError, StateError
from gapcast_fleet.buckets.bucket import COUNTS, forecast
from gapcast_fleet.buckets.checkpoints import open_checkpoint
from gapcast_fleet.buckets.handover import Handover
from gapcast_fleet.engine.identity import VERSION, Identity, identity_of, read_identity
from gapcast_fleet.engine.worker import EngineCache, WorkerTask, decode, encode, models_of, new_engine
from gapcast_fleet.failures import raised_in
from gapcast_fleet.scoring.progress import line
from gapcast_fleet.scoring.score import check_sources, fleet_settings, ignored_sections
from tests.fleet.houses import FIRST, settings
from tests.support.disks import no_room_beyond

Message = tuple[str | None, str | bytes | None]


@pytest.fixture(scope="module")
def task() -> WorkerTask:
    chosen = fleet_settings(settings())
    return WorkerTask("a query", chosen.model_dump_json(), identity_of(chosen, load_models(chosen)).text(), 100, 1_000)


def messages(of: Sequence[Message], *, redelivered: bool = False) -> pd.DataFrame:
    """Return messages as a source yields them, in this order."""
    return pd.DataFrame(
        {
            "device": [device for device, _ in of],
            "payload": [payload for _, payload in of],
            "received_ms": np.nan,
            "redelivered": redelivered,
            "at": 0,
            "file": "",
            "block": 0,
            "place": range(len(of)),
        }
    )


def reading(minute: int, kw: float = 1.0) -> str:
    return json.dumps({"ts": minute * 60, "gap_kw": kw})


def forecast_messages(
    task: WorkerTask, engine: Engine, of: Sequence[Message], **more: Any
) -> tuple[list[Any], list[Any], dict[str, int]]:
    """Return the forecasts, rejections and counts of messages."""
    rows = pd.concat(list(forecast(task, engine, messages(of, **more), [])), ignore_index=True)
    documents = {
        kind: [json.loads(one) for one in rows.loc[rows["kind"] == kind, "document"]]
        for kind in ("forecast", "rejected")
    }
    counted = rows[rows["kind"] == "counted"].iloc[0]
    return documents["forecast"], documents["rejected"], {name: int(counted[f"n_{name}"]) for name in COUNTS}


def test_worker_rejects_a_poisoned_message_and_forecasts_others(task: WorkerTask) -> None:
    poison: list[Message] = [
        (None, '{"gap_kw": 1}'), ("a", b"\xff\xfe"), ("a", None), ("a", "{"), ("a", reading(FIRST, 1e9)),
        ("a/b", reading(FIRST)), ("a", '{"gap_kw": 1}'), ("a", "[" * 100_000),
    ]  # fmt: skip
    good: list[Message] = [
        ("a", reading(FIRST)),
        ("b", reading(FIRST)),
        ("a", reading(FIRST + 1)),
        ("b", reading(FIRST + 1)),
    ]
    forecasts, rejections, counts = forecast_messages(task, new_engine(task), [*poison[:4], *good, *poison[4:]])
    assert sorted(one["device"] for one in forecasts) == ["a", "b"]
    assert {one["reason"] for one in rejections} == {
        "bad_device", "not_json", "empty", "out_of_range", "unknown_age", "too_large",
    }  # fmt: skip
    assert counts == {"accepted": 4, "duplicate": 0, "late": 0, "rejected": len(poison)}


@pytest.mark.parametrize(
    ("payload", "reason", "device", "detail"),
    [
        ("garbage", "not_json", "", "the payload is not JSON"),
        (b"\xff", "not_json", "", "the payload is not JSON"),
        ("", "empty", "", "the payload is empty"),
        ('{"device": "h1", "ts": 1, "gap_kw": NaN}', "not_finite", "h1", "NaN and Infinity are not JSON"),
        ('{"device": "a b", "gap_kw": NaN}', "not_finite", "", "NaN and Infinity are not JSON"),
        ("NaN", "not_finite", "", "NaN and Infinity are not JSON"),
        *((one, "bad_device", "", "the message has no device: write ") for one in ("[]", "null", "5", reading(FIRST))),
    ],
)
def test_worker_message_without_device_is_rejected_with_its_problem(
    task: WorkerTask, payload: str | bytes, reason: str, device: str, detail: str
) -> None:
    _, [rejection], _ = forecast_messages(task, new_engine(task), [(None, payload)])
    assert (rejection["reason"], rejection["topic"]) == (reason, device)
    assert rejection["detail"].startswith(detail)


def test_worker_reading_without_power_is_rejected_for_the_fleet(task: WorkerTask) -> None:
    """A row of Parquet with null arrives without the key; the fleet does not read ``[[sources]]``."""
    _, [rejection], _ = forecast_messages(task, new_engine(task), [("a", json.dumps({"ts": FIRST * 60}))])
    detail = 'the reading has no "gap_kw", or it is null: leave out the minutes that were not measured'
    assert (rejection["reason"], rejection["detail"]) == ("no_value", detail)


def test_worker_many_messages_without_device_are_reported_without_one(task: WorkerTask) -> None:
    two = replace(task, most_per_device=2)
    _, rejections, _ = forecast_messages(two, new_engine(two), [(None, reading(FIRST))] * 3)
    assert {(one["reason"], one["topic"]) for one in rejections} == {("bad_device", ""), ("too_many_readings", "")}


def test_worker_limits_readings_of_a_meter_and_reports_once(task: WorkerTask) -> None:
    many: list[Message] = [("mad", reading(FIRST + i)) for i in range(50_000)]
    forecasts, rejections, counts = forecast_messages(
        task, new_engine(task), [*many, ("sane", reading(FIRST)), ("sane", reading(FIRST + 1))]
    )
    assert sum(one["device"] == "mad" for one in forecasts) == 99
    assert sum(one["device"] == "sane" for one in forecasts) == 1
    assert [(one["reason"], one["topic"]) for one in rejections] == [("too_many_readings", "mad")]
    assert "at most 100 are processed: the last 49900 are dropped" in rejections[0]["detail"]
    assert counts["rejected"] == 49_900


def test_worker_counts_rejections_and_reports_some(task: WorkerTask) -> None:
    _, rejections, counts = forecast_messages(task, new_engine(task), [(f"m{i}", "poison") for i in range(250)])
    assert (len(rejections), rejections[0]["omitted"], counts["rejected"]) == (100, 150, 250)


def test_worker_wrong_time_and_redelivered_message(task: WorkerTask) -> None:
    engine = new_engine(task)
    _, rejections, counts = forecast_messages(
        task, engine, [("a", reading(FIRST)), ("a", reading(FIRST + 99_999)), ("a", reading(FIRST + 1))]
    )
    assert [one["reason"] for one in rejections] == ["time_jump"]
    assert counts["rejected"] == 1
    again = [("a", reading(FIRST - minute)) for minute in (3, 2, 1)]
    assert forecast_messages(task, engine, again, redelivered=True)[2]["duplicate"] == 3  # no stream that starts again


def test_worker_processes_messages_of_a_device_in_order(task: WorkerTask) -> None:
    came = messages([("a", reading(FIRST + i)) for i in range(30)])
    rows = pd.concat(list(forecast(task, new_engine(task), came.sample(frac=1, random_state=3), [])))
    assert rows["n_accepted"].dropna().tolist() == [30]


def test_worker_message_without_a_time_has_that_of_its_arrival(task: WorkerTask) -> None:
    came = messages([("a", '{"gap_kw": 1}')] * 2)
    came["received_ms"] = [FIRST * 60_000.0, (FIRST + 1) * 60_000.0]
    rows = pd.concat(list(forecast(task, new_engine(task), came, [])))
    assert rows["n_accepted"].dropna().tolist() == [2]


def test_worker_devices_over_the_limit_are_rejected(task: WorkerTask) -> None:
    small = fleet_settings(settings(devices={"max": 2}))
    its = replace(task, settings=small.model_dump_json(), identity=identity_of(small, load_models(small)).text())
    _, rejections, _ = forecast_messages(its, new_engine(its), [(name, reading(FIRST)) for name in "abc"])
    assert [(one["reason"], one["topic"]) for one in rejections] == [("too_many_devices", "c")]


def test_worker_with_other_models_is_rejected(task: WorkerTask) -> None:
    there = json.loads(task.identity)
    there["models"]["linear"] = "9 another hash"
    with pytest.raises(ModelError, match=r"this worker's models differ from the driver's.*9 another hash"):
        models_of(task.settings, json.dumps(there))


@pytest.mark.parametrize(
    "changed",
    [
        {"forecast": {"blend": False}}, {"forecast": {"learn": False}}, {"forecast": {"calibrate": False}},
        {"learning": {"forgetting": 0.9999}}, {"limits": {"min_kw": -5.0}}, {"limits": {"max_kw": 20.0}},
        {"site": {"timezone": "Europe/Berlin"}},
    ],
)  # fmt: skip
def test_checkpoint_of_other_settings_of_learning_is_another(task: WorkerTask, changed: dict[str, Any]) -> None:
    other = fleet_settings(settings(**changed))
    assert identity_of(other, load_models(other)).unlike(read_identity(task.identity))


def test_checkpoint_of_an_earlier_version_continues_with_any_highest_power() -> None:
    """Such checkpoints do not store it."""
    here = fleet_settings(settings(limits={"max_kw": 20.0}))
    identity = identity_of(here, load_models(here))
    earlier = json.loads(identity.text())
    del earlier["learning"]["max_kw"]
    assert identity.unlike(read_identity(json.dumps(earlier))) == ""


def test_worker_of_another_horizon_is_rejected(task: WorkerTask) -> None:
    """The models' own horizon is not part of the identity, because checkpoints of earlier versions do not have it."""
    forecast = {"horizon_min": 3, "model": "lstm", "experts": []}
    at_three, own = (fleet_settings(settings(forecast=one)) for one in (forecast, forecast | {"horizon_min": 5}))
    identities = [identity_of(chosen, load_models(chosen)) for chosen in (at_three, own)]
    assert [one.learning.get("horizon_min") for one in identities] == [3, None]
    with pytest.raises(ModelError, match=r"this worker's models differ from the driver's.*horizon_min"):
        models_of(at_three.model_dump_json(), identities[1].text())


def test_worker_with_other_horizons_of_devices_is_rejected(task: WorkerTask) -> None:
    forecast = {"model": "lstm", "experts": [], "devices": {"heatpump": {"horizon_min": 3}}}
    chosen = fleet_settings(settings(forecast=forecast))
    assert identity_of(chosen, load_models(chosen)).learning["devices_min"] == {"heatpump": 3}
    with pytest.raises(ModelError, match=r"this worker's models differ from the driver's.*devices_min"):
        models_of(chosen.model_dump_json(), task.identity)


def test_worker_state_continues_and_damage_is_rejected(task: WorkerTask) -> None:
    engine = new_engine(task)
    forecast_messages(task, engine, [("a", reading(FIRST + i)) for i in range(20)])
    content = encode(engine)
    on = [("a", reading(FIRST + 20, 2.5))]
    resumed, went_on = forecast_messages(task, decode(task, 3, content), on)[0], forecast_messages(task, engine, on)[0]
    assert resumed[0] | {"issued_at": ""} == went_on[0] | {"issued_at": ""}
    with pytest.raises(StateError, match="bucket 3: the state in Spark's state store is damaged"):
        decode(task, 3, content[:-900])


def test_engine_cache_is_by_stamp_and_drops_the_oldest(task: WorkerTask) -> None:
    cache, full = EngineCache(), EngineCache()
    engines = [new_engine(task) for _ in range(3)]
    for bucket, engine in enumerate(engines):
        forecast_messages(task, engine, [(f"{bucket}-{i}", reading(FIRST)) for i in range(2)])
        cache.put("query", bucket, f"stamp {bucket}", engine, 4)
        full.put("query", bucket, "stamp", engine, 6)
    assert full.pop("query", 0, "stamp") is engines[0]
    assert cache.pop("query", 0, "stamp 0") is None  # six devices are more than four
    assert cache.pop("query", 1, "another") is None
    assert cache.pop("query", 1, "stamp 1") is None  # it was outdated
    assert cache.pop("query", 2, "stamp 2") is engines[2]


def test_handover_is_by_stamp(tmp_path: Path) -> None:
    handover = Handover([tmp_path / "one", tmp_path / "other"])
    for bucket, stamp, content in ((0, "stamp 1", b"old"), (0, "stamp 2", b"new"), (1, "stamp 3", b"of another")):
        handover.put(bucket, stamp, content)
    again = Handover([tmp_path / "one", tmp_path / "other"])
    assert [again.get(0, f"stamp {n}") for n in (1, 2)] == [None, b"new"]
    assert again.get(1, "stamp 3") == b"of another"
    assert again.get(2, "stamp 3") is None
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["0", "1"], "one of each bucket"


def identity(task: WorkerTask) -> Identity:
    return read_identity(task.identity)


def test_fleet_checkpoint_of_another_version_is_rejected(task: WorkerTask, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    assert open_checkpoint(folder, identity(task), None, 7).n_buckets == 7
    assert open_checkpoint(folder, identity(task), 7, 9).n_buckets == 7
    about = folder / "gapcast.json"
    kept = json.loads(about.read_text())
    kept["identity"]["version"] = 99
    about.write_text(json.dumps(kept))
    with pytest.raises(StateError, match="has version 99, and this gapcast-fleet reads version 2"):
        open_checkpoint(folder, identity(task), None, 7)
    about.write_text("{")
    with pytest.raises(SettingsError, match="cannot be read"):
        open_checkpoint(folder, identity(task), None, 7)
    about.unlink()
    (folder / "something").touch()
    with pytest.raises(SettingsError, match="is not empty, and not a checkpoint"):
        open_checkpoint(folder, identity(task), None, 7)
    with pytest.raises(StateError, match="identity cannot be read"):
        read_identity("[]")


def test_fleet_checkpoint_on_a_full_disk_leaves_no_file(task: WorkerTask, tmp_path: Path) -> None:
    with no_room_beyond(10), pytest.raises(OSError, match="File too large"):
        open_checkpoint(tmp_path, identity(task), 7, 9)
    assert list(tmp_path.iterdir()) == []


def test_fleet_checkpoint_is_synced_before_it_is_there(
    task: WorkerTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bool] = []
    monkeypatch.setattr("os.fsync", lambda _: synced.append((tmp_path / "gapcast.json").exists()))
    open_checkpoint(tmp_path, identity(task), 7, 9)
    assert synced == [False]


def test_fleet_checkpoint_after_a_start_killed_before_it_is_created(task: WorkerTask, tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "gapcast.json.part").write_text("{", encoding="utf-8")
    assert open_checkpoint(tmp_path, identity(task), 7, 9).n_buckets == 7
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "gapcast.json"}


def test_worker_error_is_found_in_sparks_trace() -> None:
    assert isinstance(raised_in("x\ngapcast.core.errors.StateError: bucket 3: damaged\n  at"), StateError)
    assert isinstance(raised_in("gapcast.core.errors.SourceError: a file"), GapcastError)
    died = raised_in("org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)")
    assert "probably out of memory" in str(died)
    assert "spark.driver.memory" in str(raised_in("java.lang.OutOfMemoryError: Java heap space"))
    for full in ("OSError: [Errno 28] No space left on device", "java.io.IOException: No space left on device"):
        assert str(raised_in(full)).startswith("a disk is full: free space in the output folder")
    assert raised_in("java.lang.ArithmeticException") is None
    unread = (
        "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file file:///data/my%20house.parquet.  SQLSTATE"
    )
    assert str(raised_in(unread)).startswith("/data/my house.parquet: Spark cannot read this file: it is damaged, or ")


def test_progress_batch_without_duration_has_no_rate() -> None:
    assert line(0, 1, dict.fromkeys(("forecasts", *COUNTS), 0), 0.0).endswith("0 a second")


def test_identity_unlike_names_the_primary_model() -> None:
    one = Identity(VERSION, "lstm", {}, {}, "UTC")
    assert one.unlike(replace(one, primary_model="linear")) == "primary model: lstm here, linear there"


def test_identity_is_stored_under_the_names_of_earlier_versions() -> None:
    one = Identity(VERSION, "lstm", {}, {}, "UTC")
    text = '{"learning": {}, "models": {}, "speaking": "lstm", "timezone": "UTC", "version": 2}'
    assert (one.text(), read_identity(text)) == (text, one)


@pytest.mark.parametrize(("max_devices", "learned"), [(5, 1_000), (0, 0)])
def test_fleet_settings_learn_for_all_devices_or_for_none(max_devices: int, learned: int) -> None:
    its = fleet_settings(settings(learning={"max_devices": max_devices}, devices={"max": 1_000}))
    assert its.learning.max_devices == learned
    assert not its.outlook.enabled


def test_fleet_settings_with_refit_are_rejected() -> None:
    for refit in ("auto", False):
        fleet_settings(settings(learning={"refit": refit}))
    with pytest.raises(SettingsError, match=r'learning\.refit = true: gapcast-fleet does not refit: set it to "auto"'):
        fleet_settings(settings(learning={"refit": True}))


def test_fleet_sources_are_rejected_for_readings_from_mqtt() -> None:
    metered = settings(sources=[{"preset": "tasmota"}])
    check_sources(metered, from_mqtt=False)
    with pytest.raises(
        SettingsError, match=r"\[\[sources\]\]: .* on topics.reading \(gap/\{device\}/reading\), and remove"
    ):
        check_sources(metered, from_mqtt=True)


def test_fleet_ignored_sections_are_reported() -> None:
    submeters = [{"of": "home", "name": "heat-pump", "preset": "number", "topic": "heat/power"}]
    ignored = settings(demand={"limit_kw": 3.0}, submeters=submeters)
    assert [line.partition(" ")[0] for line in ignored_sections(ignored)] == ["[demand]", "[[submeters]]"]
    assert list(ignored_sections(settings())) == []
