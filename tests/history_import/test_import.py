"""An import into the state of a stopped gateway: its rejections, and that it is all or nothing."""

from __future__ import annotations

import os
import re
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gapcast.commands.import_history import import_history
from gapcast.config.sections.forecast import LearningSettings
from gapcast.config.settings import Settings
from gapcast.config.shards import settings_for_shard
from gapcast.core.engine import Engine
from gapcast.core.errors import GapcastError, SettingsError, ShardError, SourceError, StateError, StateInUseError
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.samples import Sample
from gapcast.core.snapshots.state_changes import ForgottenDevice
from gapcast.history_import import report
from gapcast.history_import.past_readings import PastFiles
from gapcast.history_import.run import ImportResult, Target, import_past
from gapcast.history_import.stopped_gateway import open_stopped
from gapcast.recordings.text.layout import FileFormat, Layout
from gapcast.refit.forest_file import RefitResult, Skills, encode_result
from gapcast.refit.minute_archive import MinuteArchive
from gapcast.refit.nights import REFIT_FOLDER
from gapcast.storage.checkpoints import checkpoint, checkpoint_columns
from gapcast.storage.files import locks
from gapcast.storage.files.locks import ShardLock
from gapcast.storage.generations import files_of
from gapcast.storage.store import Store
from tests.core.learning.test_house_forests import constant_forest
from tests.support.models import ModelCopy, every_feature_model, models_with_outlook, shipped_models
from tests.support.uci_files import household

#: 2026-04-01T12:00Z
FIRST = 29_584_080


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_with(tmp_path)


def settings_with(folder: Path, **sections: Any) -> Settings:
    models = {"path": shipped_models()}
    return Settings.model_validate({"state": {"path": folder / "state"}, "models": models} | sections)


def written(path: Path, first: int = FIRST, n: int = 120) -> Path:
    lines = [f"{60 * (first + k)},{kw}" for k, kw in enumerate(household(n).tolist())]
    path.write_text("\n".join(["time,kw", *lines, ""]), encoding="utf-8")
    return path


def run(
    settings: Settings, *paths: Path, device: str = "home", start: int | None = None, **options: bool
) -> ImportResult:
    files = PastFiles(paths, FileFormat(Layout("time", "kw")), UTC, start)
    return import_past(settings, {}, files, Target(device, **options), lambda _: None, lambda: (FIRST + 9_999) * 60_000)


def stored(settings: Settings) -> dict[str, bytes]:
    """Return the content of the state's files."""
    assert settings.state.path is not None
    return {path.name: path.read_bytes() for path in files_of(settings.state.path / "stream")}


def newest_of(settings: Settings) -> dict[str, tuple[int, int]]:
    """Return the newest minute of each device that a start finds, and the number of its scored forecasts."""
    with open_stopped(settings, {}) as gateway:
        engine = gateway.engine
        return {
            name: (engine.buffers.newest(name)[0] - FIRST, engine.scores_of(name)[ALL_TIME].n)
            for name in engine.buffers
        }


def test_import_continues_an_import(settings: Settings, tmp_path: Path) -> None:
    """Two files one after the other give the same state as both at once."""
    first, second = written(tmp_path / "a.csv"), written(tmp_path / "b.csv", FIRST + 120)
    assert run(settings, first).scores.n == 114
    result = run(settings, second)
    assert (result.n_readings, result.scores.n) == (120, 234)
    both = run(settings_with(tmp_path / "both"), first, second)
    for name in ("n", "mse_kw2", "mae_kw", "bias_kw", "coverage", "width_kw"):
        assert getattr(both.scores, name) == pytest.approx(getattr(result.scores, name), abs=1e-6)
    assert newest_of(settings) == {"home": (239, 234)}


def test_import_of_minutes_that_the_broker_queued_keeps_the_window(settings: Settings, tmp_path: Path) -> None:
    run(settings, written(tmp_path / "a.csv"))
    with open_stopped(settings, {}) as gateway:
        engine = gateway.engine
        before = engine.buffers.window("home").tolist()
        queued = engine.accept([Reading("home", FIRST + 100 + k, 1.0) for k in range(20)])
        assert queued.counts == {"duplicate": 20}
        assert engine.buffers.window("home").tolist() == before
        assert engine.accept([Reading("home", FIRST + 120, 1.0)]).counts == {"accepted": 1}


def test_import_continues_the_demand(tmp_path: Path) -> None:
    limits = {"demand": {"limit_kw": "month_peak", "floor_kw": 0.1}}
    settings = settings_with(tmp_path, **models_with_outlook(tmp_path / "models"), **limits)
    run(settings, written(tmp_path / "a.csv"))
    with open_stopped(settings, {}) as gateway:
        demand, scores = gateway.engine.demands.newest("home"), gateway.engine.demands.scores_of("home")
    assert demand is not None
    assert scores is not None
    assert demand.observed_minute == FIRST + 119
    assert demand.month_peak_kw is not None
    assert demand.running.limit_kw == demand.month_peak_kw
    assert scores.n_windows == 8


def test_import_teaches_the_outlook(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, **models_with_outlook(tmp_path / "models"))
    run(settings, written(tmp_path / "a.csv"))
    with open_stopped(settings, {}) as gateway:
        outlook, scores = gateway.engine.outlook_of("home"), gateway.engine.outlook_scores_of("home")
    assert outlook is not None
    assert (outlook.observed_minute, outlook.lead_times_min[-1]) == (FIRST + 119, 60)
    assert [one.n > 0 for one in scores[ALL_TIME].mean] == [True] * len(outlook.lead_times_min)


@pytest.fixture
def _refits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a gateway that refits at night, and therefore has an archive; this does not need LightGBM itself."""
    monkeypatch.setattr("gapcast.config.refit_choice.is_lightgbm_installed", lambda: True)


def submetered(folder: Path, *names: str, refit: bool = True) -> Settings:
    submeters = [
        {"of": "home", "name": name, "topic": f"plugs/{name}", "format": "number", "unit": "W"} for name in names
    ]
    return settings_with(folder, submeters=submeters, learning={"refit": refit})


def with_car(path: Path, n: int = 120) -> Path:
    lines = [f"{60 * (FIRST + k)},{kw},{kw / 4}" for k, kw in enumerate(household(n).tolist())]
    path.write_text("\n".join(["time,kw,car", *lines, ""]), encoding="utf-8")
    return path


@pytest.mark.usefixtures("_refits")
def test_import_of_submeters_fills_windows_and_archive(tmp_path: Path) -> None:
    settings, path = submetered(tmp_path, "car", "oven"), with_car(tmp_path / "a.csv")
    files = PastFiles((path,), FileFormat(Layout("time", "kw", submeters=("car",))), UTC)
    import_past(settings, {}, files, Target("home"), lambda _: None, lambda: (FIRST + 9_999) * 60_000)
    expected_kw = (household(120) / 4).astype(np.float32)
    assert settings.state.path is not None
    archive = MinuteArchive(settings.state.path / "stream" / REFIT_FOLDER, 1)
    archive.open()
    house = archive.load("home")
    assert list(house.submeters_kw) == ["car"]
    np.testing.assert_allclose(house.submeters_kw["car"], expected_kw, rtol=1e-6)
    with open_stopped(settings, {}) as gateway:
        window = gateway.engine.buffers.window("home").copy()
    np.testing.assert_allclose(window[-100:, 1], expected_kw[-100:], rtol=1e-6)
    assert np.isnan(window[:, 2]).all(), "nothing was imported of the other submeter"


@pytest.mark.usefixtures("_refits")
def test_import_whose_archive_cannot_be_written_raises_state_error(tmp_path: Path) -> None:
    settings = submetered(tmp_path)
    assert settings.state.path is not None
    (settings.state.path / "stream" / REFIT_FOLDER / "home.minutes").mkdir(parents=True)
    with pytest.raises(StateError, match=r"the new state is written, but .* is not complete"):
        run(settings, with_car(tmp_path / "a.csv"))


@pytest.mark.usefixtures("_refits")
def test_import_without_columns_leaves_submeters_unknown(tmp_path: Path) -> None:
    settings = submetered(tmp_path, "car")
    assert run(settings, with_car(tmp_path / "a.csv")).n_readings == 120
    assert settings.state.path is not None
    archive = MinuteArchive(settings.state.path / "stream" / REFIT_FOLDER, 1)
    archive.open()
    assert not archive.load("home").submeters_kw


@pytest.mark.parametrize(
    ("names", "listed"), [(("oven", "pump"), "home has oven, pump"), ((), "home has no submeters")]
)
def test_import_of_an_unknown_submeter_is_refused(tmp_path: Path, names: tuple[str, ...], listed: str) -> None:
    settings, path = submetered(tmp_path, *names, refit=False), with_car(tmp_path / "a.csv")
    files = PastFiles((path,), FileFormat(Layout("time", "kw", submeters=("car",))), UTC)
    with pytest.raises(SettingsError, match=rf"car is not a configured submeter \({listed}\): name the column like"):
        import_past(settings, {}, files, Target("home"), lambda _: None, lambda: (FIRST + 9_999) * 60_000)
    assert not stored(settings)


@pytest.mark.usefixtures("restored_logs")
def test_import_command_reads_submeters(tmp_path: Path) -> None:
    """Options of submeters have the same meaning as in a back-test."""
    arguments = [str(with_car(tmp_path / "a.csv")), "--device", "home", "--set", f"state.path={tmp_path / 'state'}"]
    columns = ["--time-column", "time", "--value-column", "kw", "--unit", "kW", "--submeter-column", "car"]
    unknown = CliRunner().invoke(import_history, [*arguments, *columns])
    assert isinstance(unknown.exception, SettingsError)
    assert "car is not a configured submeter (home has no submeters)" in str(unknown.exception)
    of_uci = CliRunner().invoke(import_history, [*arguments, *columns[:-2], "--submeters"])
    assert isinstance(of_uci.exception, GapcastError)


@pytest.mark.usefixtures("restored_logs")
@pytest.mark.parametrize("configured", [[], ["--set", "site.timezone=Europe/Berlin"]])
def test_import_in_a_zone_unknown_to_the_gateway_prints_a_remark(tmp_path: Path, configured: list[str]) -> None:
    """The gateway would learn habits by the clock of UTC, whatever the zone of the file's times."""
    arguments = ["--device", "home", "--set", f"state.path={tmp_path / 'state'}", "--timezone", "Europe/Berlin"]
    columns = ["--time-column", "time", "--value-column", "kw", "--unit", "kW"]
    done = CliRunner().invoke(
        import_history, [str(written(tmp_path / "a.csv")), *arguments, *columns, *configured], catch_exceptions=False
    )
    assert ("takes the time of day from UTC, not from Europe/Berlin" in done.output) is (not configured)
    assert "home: learned from 120 readings" in done.output


def test_import_into_known_readings_is_refused(settings: Settings, tmp_path: Path) -> None:
    run(settings, written(tmp_path / "a.csv"))
    before, later = stored(settings), written(tmp_path / "b.csv", FIRST + 60)
    message = (
        "begins at 2026-04-01T13:00:00Z, but the gateway already has readings of home until 2026-04-01T13:59:00Z: "
    )
    with pytest.raises(
        SourceError, match=f"{message}--replace .*; --start 2026-04-01T14:00:00Z imports only what is n"
    ):
        run(settings, later)
    assert stored(settings) == before
    assert run(settings, later, start=FIRST + 120).n_readings == 60
    with pytest.raises(SourceError, match=r"--replace deletes them and learns from the file alone$"):
        run(settings, later)


def test_replace_forgets_the_device_and_no_other(settings: Settings, tmp_path: Path) -> None:
    run(settings, written(tmp_path / "a.csv", FIRST + 500))
    run(settings, written(tmp_path / "a.csv", FIRST + 500), device="barn")
    run(settings, written(tmp_path / "b.csv"), replaces=True)
    assert newest_of(settings) == {"home": (119, 114), "barn": (619, 114)}
    assert len(stored(settings)) == 1, "no older file mentions what was forgotten"


def test_import_removes_the_files_with_a_device_forgotten_before(settings: Settings, tmp_path: Path) -> None:
    """The service was killed after journaling the removal, before the checkpoint that would have removed the files."""
    with open_stopped(settings, {}) as gateway:
        store = Store(gateway.folder, holds_shard_lock=True)  # the lock is held already
        store.restore(gateway.engine)
        store.append_batch([Reading("barn", FIRST, 1.0)], FIRST * 60_000)
        store.append_change(ForgottenDevice("barn"))
        store.close(None)
    run(settings, written(tmp_path / "a.csv"))
    assert list(newest_of(settings)) == ["home"]
    assert len(stored(settings)) == 1, "no older file mentions what was forgotten"


@pytest.mark.usefixtures("_refits")
def test_interrupted_replacement_leaves_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = submetered(tmp_path, "car")
    run(settings, with_car(tmp_path / "a.csv"))
    assert settings.state.path is not None
    folder = settings.state.path / "stream" / REFIT_FOLDER
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr("gapcast.history_import.run._check_tracked", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(settings, written(tmp_path / "b.csv", FIRST + 500), replaces=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    run(settings, written(tmp_path / "b.csv", FIRST + 500), replaces=True)
    archive = MinuteArchive(folder, 1)
    archive.open()
    assert archive.load("home").minutes.tolist() == [FIRST + 500 + k for k in range(120)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_interrupted_import_leaves_the_state_as_it_was(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    run(settings, written(tmp_path / "a.csv"))
    before = stored(settings)

    def fail(_: Engine) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(Engine, "learn", fail)
        with pytest.raises(error):
            run(settings, written(tmp_path / "b.csv", FIRST + 120))
    assert stored(settings) == before
    assert run(settings, written(tmp_path / "b.csv", FIRST + 120)).scores.n == 234


def test_import_while_the_service_runs_is_refused(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "WAIT_S", 0.0)
    run(settings, written(tmp_path / "a.csv"))
    with open_stopped(settings, {}) as gateway:
        with pytest.raises(StateInUseError):  # no service starts during an import
            Store(gateway.folder).restore(gateway.engine)
        with pytest.raises(StateInUseError, match=r"the service is running: it holds .*stream\. Stop it \(`sudo"):
            run(settings, written(tmp_path / "b.csv", FIRST + 120))
    run(settings, written(tmp_path / "b.csv", FIRST + 120))


def test_import_into_a_shard_holds_its_lock(tmp_path: Path) -> None:
    settings = settings_for_shard(settings_with(tmp_path, shards=(0, 1)), 1)
    assert run(settings, written(tmp_path / "a.csv")).folder == tmp_path / "state" / "shard-1" / "stream"
    lock = ShardLock(tmp_path / "state" / "shard-1", accepts_other_models=True)
    lock.acquire({})
    try:
        with pytest.raises(ShardError, match="another worker has this shard"):
            run(settings, written(tmp_path / "b.csv", FIRST + 120))
    finally:
        lock.release()


def test_import_into_a_shard_of_other_models_is_refused_unless_accepted(tmp_path: Path) -> None:
    lock = ShardLock(tmp_path / "state" / "shard-1", accepts_other_models=True)
    lock.acquire({"another": "1"})
    lock.release()
    for accepts in (False, True):
        state = {"path": tmp_path / "state", "accept_other_models": accepts}
        settings = settings_for_shard(settings_with(tmp_path, shards=(0, 1), state=state), 1)
        if accepts:
            run(settings, written(tmp_path / "a.csv"))
        else:
            with pytest.raises(ShardError, match="other models"):
                run(settings, written(tmp_path / "a.csv"))


def meters_of(state: Path) -> list[str]:
    """Return the topics of the meters with an open minute in the newest checkpoint."""
    newest = max(path for path in files_of(state / "stream") if path.suffix == ".npz")
    return [meter.topic for meter in checkpoint.read(newest).meters]


@pytest.mark.usefixtures("_refits")
def test_stopped_gateway_uses_the_trees_of_its_nights(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, learning={"refit": True})
    run(settings, written(tmp_path / "a.csv"))
    with open_stopped(settings, {}) as gateway:
        names = gateway.engine.horizons.main.forests.features.names
        archive = MinuteArchive(gateway.folder / REFIT_FOLDER, 1)
    archive.open()
    result = RefitResult(constant_forest(names), "", 5, 4_000, 720, Skills(0.5, 0.5), None, 1.0, FIRST + 119)
    assert archive.store_forest("home", encode_result(result))
    with open_stopped(settings, {}) as gateway:
        assert "home" in gateway.engine.horizons.main.forests


def test_import_keeps_the_open_minutes_of_meters(tmp_path: Path) -> None:
    """Samples of another meter from before the stop are still there when the service starts."""
    source = {"topic": "meters/{device}", "format": "number", "unit": "W", "every_s": 10}
    settings = settings_with(tmp_path, sources=[source])
    with open_stopped(settings, {}) as gateway:
        store = Store(gateway.folder, holds_shard_lock=True)  # the lock is held already
        store.restore(gateway.engine)
        store.append_batch([], 0, [Sample("meters/barn", FIRST * 60_000 + 5_000, {"": 250.0}, {})])
        store.close(None)
    run(settings, written(tmp_path / "a.csv"))
    assert meters_of(tmp_path / "state") == ["meters/barn"]
    run(settings, written(tmp_path / "a.csv"), device="barn")
    run(settings, written(tmp_path / "a.csv"), device="barn", replaces=True)
    assert meters_of(tmp_path / "state") == [], "they are forgotten with their device"


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"state": {"keep": False}}, "state.keep = false: no state is persisted"),
        ({"learning": {"max_devices": 0}}, "learning.max_devices: the gateway learns from its first 0 devices only"),
    ],
)
def test_gateway_that_cannot_learn_refuses_an_import(tmp_path: Path, sections: dict[str, Any], message: str) -> None:
    with pytest.raises(GapcastError, match=message):
        run(settings_with(tmp_path, **sections), written(tmp_path / "a.csv"))
    assert list((tmp_path / "state").rglob("*.npz")) == []


def test_model_that_needs_more_than_the_power_refuses_an_import(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, models={"path": ModelCopy(tmp_path, source=every_feature_model()).models})
    with pytest.raises(SettingsError, match=r"needs reactive_kvar, .* with each reading, and an import reads the"):
        run(settings, written(tmp_path / "a.csv"))


@pytest.mark.parametrize(("device", "key"), [("heat", "heat"), ("heat.1", '"heat.1"')])
def test_import_at_another_horizon_of_a_device_is_refused(tmp_path: Path, device: str, key: str) -> None:
    learned = settings_with(tmp_path, forecast={"devices": {device: {"horizon_min": 15}}})
    run(learned, written(tmp_path / "a.csv"), device=device)
    before, other = stored(learned), settings_with(tmp_path)
    configured = "the configured horizon of 5 min would discard this learning state"
    problem = f"{device} has learned at a horizon of 15 min, and {configured}"
    fix = f"set horizon_min = 15 in [forecast.devices.{key}], or start the service once with 5 min"
    with pytest.raises(SettingsError, match=re.escape(f"{problem}: {fix}")):
        run(other, written(tmp_path / "b.csv"), device="home")
    assert stored(learned) == before
    run(other, written(tmp_path / "b.csv"), device=device, replaces=True)
    assert newest_of(other) == {device: (119, 114)}


def test_import_beyond_the_devices_limit_is_refused(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, devices={"max": 1})
    run(settings, written(tmp_path / "a.csv"))
    with pytest.raises(SettingsError, match=r"devices\.max: the gateway already has 1 device, the maximum: raise it"):
        run(settings, written(tmp_path / "a.csv"), device="barn")


def test_import_of_an_impossible_device_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--device: 'my home' cannot name a device"):
        run(settings, written(tmp_path / "a.csv"), device="my home")


def test_import_into_state_of_a_newer_version_changes_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(checkpoint_columns, "VERSION", 7)
        run(settings, written(tmp_path / "a.csv"))
    before = stored(settings)
    with pytest.raises(StateError, match=r"run the newer gapcast, or set another state\.path; the file is not changed"):
        run(settings, written(tmp_path / "b.csv", FIRST + 120))
    assert stored(settings) == before


def test_import_where_the_state_cannot_be_written_names_the_fix(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    with pytest.raises(
        StateError, match=r"cannot be used .*: check the disk, or set state.path, or run this as the acc"
    ):
        run(settings, written(tmp_path / "a.csv"))


@pytest.mark.root
def test_import_by_root_leaves_files_to_the_services_account(settings: Settings, tmp_path: Path) -> None:
    run(settings, written(tmp_path / "a.csv"))
    os.chown(tmp_path / "state", 12_345, 12_345)
    run(settings, written(tmp_path / "b.csv", FIRST + 120))
    found = {path.name: path.stat().st_uid for path in (tmp_path / "state").rglob("*")}
    assert set(found) > {"stream"}
    assert set(found.values()) == {12_345}


@pytest.mark.root
def test_import_by_root_that_fails_leaves_the_service_its_folder(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 12_345, 12_345)
    with pytest.raises(SettingsError, match=r"learning\.max_devices"):
        run(settings.model_copy(update={"learning": LearningSettings(max_devices=0)}), written(tmp_path / "a.csv"))
    assert (tmp_path / "state" / "stream").stat().st_uid == 12_345


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (120, "Learning has begun; a first assessment takes 720 scored forecasts (half a day)."),
        (800, "Learning, scores and the prediction interval are up to date until 2026-04-02 01:19."),
    ],
)
def test_report_states_scores_and_until_when_learning_is_warm(
    settings: Settings, tmp_path: Path, n: int, words: str
) -> None:
    result = run(settings, written(tmp_path / "a.csv", n=n))
    lines = list(report.lines(result, UTC))
    last = "2026-04-02 01:19" if n == 800 else "2026-04-01 13:59"
    assert lines[0] == f"home: learned from {n} readings, 2026-04-01 12:00 to {last} (UTC)"
    assert lines[1] == f"home: {n - 6} forecasts scored"
    assert words in lines
    assert any(line.startswith("  blend (published)") for line in lines)
    assert lines[-1] == f"Written to {tmp_path / 'state' / 'stream'}. Start the service: it continues from here."
