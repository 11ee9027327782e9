"""gapcast as a library: the page about it, and what a program may rely on."""

from __future__ import annotations

import doctest
import inspect
import math
import re
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import gapcast
from gapcast import Engine, Forecast, Forecaster, Reading
from gapcast.app.engines.engine import engine_of
from gapcast.app.models.loaded_models import Models
from gapcast.app.models.models import load_models
from gapcast.bundled import models_path
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine as CoreEngine
from gapcast.core.errors import StateError
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.readings.reading import Limits
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.streams.minute_runs import MinuteRun
from gapcast.predictors.baselines import Trend
from gapcast.predictors.models_folder.library import Library
from gapcast.python_api import model_cache
from gapcast.python_api.single_forecast import forecast
from gapcast.storage.checkpoints import checkpoint
from gapcast.storage.journals.journal import VERSION
from tests.support.models import ModelCopy
from tests.support.optional_tools import ROOT

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def house() -> Forecaster:
    made = Forecaster()
    made.add(1.0, START)
    return made


def test_example_of_the_page_runs_as_it_is() -> None:
    page = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len([line for line in example.splitlines() if line]) <= 10
    found = subprocess.run([sys.executable, "-W", "error", "-c", example], capture_output=True, text=True, check=False)
    assert found.stderr == ""
    (printed,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    assert found.stdout == printed


def test_examples_of_the_page_give_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    examples = "\n".join(re.findall(r"```pycon\n(.*?)```", page, re.DOTALL))
    shown: list[str] = []
    test = doctest.DocTestParser().get_doctest(examples, {}, "library.md", "docs/library.md", 0)
    found = doctest.DocTestRunner().run(test, out=shown.append)
    assert (found.failed, found.attempted > 10) == (0, True), "".join(shown)


def test_forecaster_forecasts_and_learns_like_the_engine() -> None:
    library = Library((models_path(),))
    engine = engine_of(Settings(), load_models(Settings(), library))
    house = Forecaster()
    for minute in range(40):
        power_kw = 0.3 + minute % 7
        made = house.add(power_kw, START + timedelta(minutes=minute, seconds=59))
        reading = Reading("house", int(START.timestamp()) // 60 + minute, power_kw)
        expected = list(engine.forecast(engine.accept([reading]), 0))
        engine.learn()
        assert ([made.gap_kw, made.lower_kw, made.upper_kw] if made else []) == [
            kw for one in expected for kw in (one.gap_kw, one.lower_kw, one.upper_kw)
        ]
    assert house.scores == engine.scores_of("house")


@pytest.mark.parametrize(
    ("reading", "problem"),
    [
        (Reading("oven", 30_000_000, math.nan), "nan kW is outside -100 to 100 kW; leave out minutes without a value"),
        (Reading("oven", 30_000_000, math.inf), "inf kW is outside -100 to 100 kW; leave out minutes without a value"),
        (Reading("oven", 30_000_000, 230.0), "230 kW is outside -100 to 100 kW; convert watts to kW"),
        (Reading("oven", 30_000_000, cast("float", "1.5")), "gap_kw='1.5': must be a number, kW"),
        (Reading("oven", 1_800_000_000, 1.0), "minute=1800000000: must be the number of a minute between 2000 and"),
        (Reading("oven", cast("int", 3e7), 1.0), "minute=30000000.0: must be the number of a minute"),
        (Reading("oven", 30_000_000, 1.0, measured={"voltage_v": math.nan}), "voltage_v=nan: must be a number"),
        (Reading("oven", 30_000_000, 1.0, measured={"voltage_v": cast("float", "a")}), "voltage_v='a': must be"),
    ],
)
def test_engine_accepts_no_reading_beside_an_impossible_one(reading: Reading, problem: str) -> None:
    engine = Engine(Trend())
    with pytest.raises(ValueError, match=re.escape(f"readings[1] of 'oven': {problem}")):
        engine.accept([Reading("plug", 30_000_000, 1.0), reading])
    assert "plug" not in engine.buffers
    engine.accept([Reading("plug", 30_000_000, 1.0, measured={"voltage_v": 230})])
    assert "plug" in engine.buffers


def test_engine_checks_readings_by_its_limits() -> None:
    ensemble = Ensemble((Trend(),), EnsembleOptions(min_kw=-1, max_kw=3))
    assert Engine(Trend(), ensemble=ensemble).limits == Limits(-1, 3)
    street = Engine(Trend(), limits=Limits(-500, 500))
    street.accept([Reading("street", 30_000_000, 230.0)])
    with pytest.raises(ValueError, match="501 kW is outside -500 to 500 kW"):
        street.accept([Reading("street", 30_000_001, 501.0)])


def test_engine_checks_runs_like_readings() -> None:
    minutes = np.arange(30_000_000, 30_000_003)
    engine = Engine(Trend())
    with pytest.raises(ValueError, match=re.escape("readings[2] of 'oven': 230 kW is outside -100 to 100 kW")):
        engine.accept_runs([MinuteRun("oven", minutes, np.array([0.3, 0.4, 230.0]), np.zeros(3, dtype=np.bool_))])
    assert "oven" not in engine.buffers
    accepted = engine.accept_runs([MinuteRun("oven", minutes, np.array([0.3, 0.4, 0.5]), np.zeros(3, dtype=np.bool_))])
    assert accepted.devices == ["oven"] * 2


def test_engine_has_typed_keywords() -> None:
    assert inspect.signature(Engine) == inspect.signature(CoreEngine)


def test_forecasters_share_models_until_their_files_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n_loaded = 0

    def counted(settings: Settings, library: Library) -> Models:
        nonlocal n_loaded
        n_loaded += 1
        return load_models(settings, library)

    monkeypatch.setattr(model_cache, "load_models", counted)
    copy = ModelCopy(tmp_path / "models", "linear")
    one, other = (Forecaster(models=copy.models) for _ in range(2))
    assert n_loaded == 1
    for minute in range(20):
        one.add(minute % 3, START + timedelta(minutes=minute))
    first = [one.add(2.0, START + timedelta(minutes=minute)) for minute in (20, 21)]
    assert other.scores == {}
    for minute in range(20):
        other.add(minute % 3, START + timedelta(minutes=minute))
    second = [other.add(2.0, START + timedelta(minutes=minute)) for minute in (20, 21)]
    assert [made and made.gap_kw for made in first] == [made and made.gap_kw for made in second]
    copy.alter_card(lambda card: card.update(version="77"))
    Forecaster(models=copy.models)
    assert n_loaded == 2


def test_forked_process_does_not_use_a_model_that_its_parent_runs(tmp_path: Path) -> None:
    program = """
import os, sys
from gapcast.bundled import models_path
from gapcast.predictors.models_folder.library import Library
from gapcast.python_api.model_cache import cached_models

library = Library((models_path(),))
model = cached_models(library, library.stamp(), has_ensemble=False).primary
with model._lock:
    child = os.fork()
    if child == 0:
        copied = cached_models(library, library.stamp(), has_ensemble=False).primary
        os._exit(copied is model or copied._lock.locked())
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_forecaster_without_readings_has_no_scores() -> None:
    assert Forecaster().scores == {}


@pytest.mark.parametrize(
    ("power_kw", "at", "problem"),
    [
        (1.0, START, "there is a reading of this minute already; add the mean of each minute once"),
        (1.0, START - timedelta(minutes=1), "it is older than the last reading; add readings in order of time"),
        (1.0, datetime(2026, 1, 1, 1), "the time has no time zone"),  # noqa: DTZ001 - what is tested
        (230.0, START + timedelta(minutes=1), "230 kW is outside -100 to 100 kW; convert watts to kW"),
        (float("nan"), START + timedelta(minutes=1), "nan kW is outside"),
        (float("nan"), START + timedelta(minutes=1), "leave out minutes without a value"),
        (float("-inf"), START + timedelta(minutes=1), "-inf kW is outside -100 to 100 kW; leave out minutes without"),
        ("much", START + timedelta(minutes=1), "power_kw='much': must be a number, kW"),
        (None, START + timedelta(minutes=1), "power_kw=None: must be a number, kW"),
        ("1.5", START + timedelta(minutes=1), "power_kw='1.5': must be a number, kW"),
        (b"1.5", START + timedelta(minutes=1), "power_kw=b'1.5': must be a number, kW"),
        (True, START + timedelta(minutes=1), "power_kw=True: must be a number, kW"),
        pytest.param(10**400, START + timedelta(minutes=1), "power_kw=a number of many digits: must be", id="huge"),
        (1.0, START.replace(year=1999), "at=1999-01-01T00:00:00+00:00: is not between 2000 and 2099; is the clock"),
        (1.0, START.replace(year=9999), "at=9999-01-01T00:00:00+00:00: is not between 2000 and 2099; is the clock"),
        (1.0, "2026-01-01T01:00Z", "at='2026-01-01T01:00Z': must be a datetime with a time zone"),
    ],
)
def test_reading_that_cannot_be_used_is_a_value_error(house: Forecaster, power_kw: Any, at: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        house.add(power_kw, at)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"time_zone": "Berlin"}, 'time_zone: there is no time zone "Berlin": did you mean Europe/Berlin?'),
        ({"time_zone": UTC}, "time_zone=datetime.timezone.utc: must be an IANA name, such as 'Europe/Berlin'"),
        ({"models": "no/such/folder"}, "models='no/such/folder': is not a folder"),
    ],
)
def test_forecaster_of_an_unusable_argument_is_a_value_error(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        Forecaster(**arguments)


def test_forecaster_accepts_the_path_of_a_folder_as_text() -> None:
    house = Forecaster(models=str(models_path()))
    house.add(1.0, START)
    assert house.add(1.0, START + timedelta(minutes=1)) is not None


def test_reading_of_a_later_day_waits_for_the_next_one() -> None:
    house = Forecaster()
    house.add(1.0, START)
    assert house.add(1.0, START + timedelta(days=2)) is None


def test_package_exports_the_library() -> None:
    assert [getattr(gapcast, name) for name in gapcast.__all__] == [Engine, Forecast, Forecaster, Reading, forecast]
    with pytest.raises(AttributeError, match="has no attribute 'Told'"):
        _ = gapcast.Told


def test_import_of_the_package_loads_nothing_else() -> None:
    code = "import sys, gapcast; print(sorted(name for name in sys.modules if name.startswith(('gapcast.', 'numpy'))))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_library_loads_neither_mqtt_nor_http_nor_storage() -> None:
    code = "import sys, gapcast; gapcast.Forecaster(); gapcast.forecast([0.3, 0.3]); unwanted = "
    code += "{'gapcast.http', 'gapcast.mqtt', 'gapcast.service', 'gapcast.storage', 'gapcast_trainer', 'pandas', "
    code += "'pyarrow', 'paho', 'fastapi', 'prometheus_client', 'starlette', 'tensorflow', 'uvicorn'}; "
    code += "print(sorted({*sys.modules} & unwanted))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_library_with_own_models_prints_nothing(tmp_path: Path) -> None:
    shutil.copytree(models_path() / "linear", tmp_path / "linear")
    (tmp_path / "registry.json").write_text('{"default": "linear"}')
    code = "import sys, gapcast as g; g.Forecaster(models=sys.argv[1]); g.forecast([0.3, 0.3], models=sys.argv[1])"
    found = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("", "")


def documents(house: Forecaster, readings: list[tuple[float, datetime]]) -> list[dict[str, object] | None]:
    """What the house forecasts from ``readings``, without the time of issue."""
    made = [house.add(power_kw, at) for power_kw, at in readings]
    return [None if one is None else {**one.document(), "issued_at": None} for one in made]


def readings_from(first_min: int, n: int) -> list[tuple[float, datetime]]:
    return [(0.3 + (m * m) % 11 / 4, START + timedelta(minutes=m)) for m in range(first_min, first_min + n)]


@pytest.mark.parametrize(
    "readings",
    [
        [],
        readings_from(0, 1),
        [*readings_from(0, 150), *readings_from(154, 60), *readings_from(230, 3)],  # 4 minutes, and 16, are missing
        [*readings_from(0, 20), *readings_from(3_000, 1)],  # waits for the next one
    ],
    ids=["none", "first", "gaps", "held"],
)
def test_forecaster_saved_and_loaded_forecasts_the_same(readings: list[tuple[float, datetime]], tmp_path: Path) -> None:
    house = Forecaster(time_zone="Europe/Berlin")
    documents(house, readings)
    house.save(tmp_path / "house.gapcast")
    again = Forecaster.load(str(tmp_path / "house.gapcast"))
    assert again.scores == house.scores
    later = readings_from(3_001, 30)
    assert documents(again, later) == documents(house, later)
    assert again.scores == house.scores
    assert again.scores["all_time"].n >= 24


def test_save_replaces_an_older_file_as_a_whole(house: Forecaster, tmp_path: Path) -> None:
    path = tmp_path / "house.gapcast"
    house.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    house.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["house.gapcast"]
    before = path.read_bytes()
    (tmp_path / "house.gapcast.part").mkdir()
    with pytest.raises(OSError, match="part"):
        house.save(path)
    assert path.read_bytes() == before


def test_save_names_a_folder_that_does_not_exist(house: Forecaster, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such folder: .*/houses"):
        house.save(tmp_path / "houses" / "house.gapcast")


def test_load_names_the_file_and_the_problem(house: Forecaster, tmp_path: Path) -> None:
    path = tmp_path / "house.gapcast"
    with pytest.raises(FileNotFoundError):
        Forecaster.load(path)
    house.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(StateError, match=r"house\.gapcast: its digest is missing"):
        Forecaster.load(path)
    path.write_bytes(whole.replace(b"house", b"mouse", 1))
    with pytest.raises(StateError, match=r"house\.gapcast: its digest is wrong"):
        Forecaster.load(path)


def test_load_of_a_file_that_is_no_house_is_rejected(tmp_path: Path) -> None:
    engine = engine_of(Settings(), load_models(Settings(), Library((models_path(),))))
    engine.accept([Reading("plug", 0, 1.0), Reading("oven", 0, 1.0)])
    (tmp_path / "checkpoint.npz").write_bytes(checkpoint.encode(capture_snapshot(engine)))
    with pytest.raises(StateError, match=r"checkpoint\.npz: it is not a file of Forecaster\.save"):
        Forecaster.load(tmp_path / "checkpoint.npz")


def test_load_of_a_newer_version_is_rejected(
    house: Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gapcast.storage.checkpoints.checkpoint_columns.VERSION", VERSION + 1)
    house.save(tmp_path / "house.gapcast")
    with pytest.raises(StateError, match="newer"):
        Forecaster.load(tmp_path / "house.gapcast")
