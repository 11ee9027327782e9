"""Which devices are refitted after a restart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import structlog

from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError
from gapcast.core.horizons.horizon_forecaster import DeviceHorizons, HorizonModels
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.forests.forest_features import ForestFeatures
from gapcast.core.outlook.options import OutlookConfig, OutlookOptions
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.window import WindowSpec
from gapcast.refit import nights
from gapcast.refit.forest_file import RefitResult, Skills, encode_result
from gapcast.refit.minutes import RecordedMinutes
from gapcast.refit.nights import NightlyRefits, NightOptions
from gapcast.refit.schedule import LEAST_READINGS, is_due, night_minute
from gapcast.refit.worker import FitOptions, FormerForest
from gapcast.service.ports.minute_recorder import RefitStatus
from gapcast.service.service import Service
from tests.core.learning.test_house_forests import constant_forest
from tests.core.outlook.runs import LEADS_MIN
from tests.support.clocks import ManualClock
from tests.support.houses import FIRST, Smooth, ensemble_engine
from tests.support.links import MemoryLink
from tests.support.outlook_model import OutlookModel

GATEWAY = "gateway-1"
#: When a night begins.
NIGHT = FIRST + 9 * DAY_MIN + night_minute(GATEWAY)


def service_of(engine: Engine) -> Any:
    """Return a replacement for the service: it reads ``engine``, and accepts every forest."""
    queries = SimpleNamespace(read=lambda query: query(engine, None))
    return SimpleNamespace(queries=queries, use_forest=lambda _device, _forest: True)


def test_nights_restart_does_not_repeat_the_refit_of_the_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, n_fitted = ensemble_engine(refits=True), 0

    def fit(house: RecordedMinutes, *_: object) -> RefitResult:
        nonlocal n_fitted
        n_fitted += 1
        forest = constant_forest(engine.horizons.main.forests.features.names)
        return RefitResult(forest, "", 5, len(house), 720, Skills(0.5, 0.5), None, 1.0, int(house.minutes[-1]))

    monkeypatch.setattr(nights, "refit_confined", fit)
    clock = ManualClock(NIGHT * 60.0)

    def restarted() -> NightlyRefits:
        found = NightlyRefits(tmp_path, 10, NightOptions(1, UTC, GATEWAY), clock)
        found.restore(engine)
        return found

    first = restarted()
    first.record([Reading("home", minute, 1.0) for minute in range(NIGHT - LEAST_READINGS, NIGHT)])
    first.refit_due(service_of(engine))
    assert n_fitted == 1
    clock.now_s += 12 * 3_600.0
    restarted().refit_due(service_of(engine))
    assert n_fitted == 1, "the newest reading was of the minute before that night"
    clock.now_s += 12 * 3_600.0
    restarted().refit_due(service_of(engine))
    assert n_fitted == 2


def test_nights_forget_during_the_last_step_of_a_refit_discards_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ensemble_engine(refits=True)
    forest = constant_forest(engine.horizons.main.forests.features.names)
    formers: list[object] = []

    def fit(house: RecordedMinutes, _: object, former: object, *__: object) -> RefitResult:
        formers.append(former)
        return RefitResult(forest, "", 5, len(house), 720, Skills(0.5, 0.5), None, 1.0, int(house.minutes[-1]))

    def use_forest(device: str, _: object) -> bool:
        if len(formers) == 1:
            deletion.start()
        return True

    monkeypatch.setattr(nights, "refit_confined", fit)
    found = NightlyRefits(tmp_path, 10, NightOptions(1, UTC, GATEWAY), ManualClock(NIGHT * 60.0))
    deletion = Thread(target=found.forget, args=("home",))  # once the forest is in use
    service = service_of(engine)
    service.use_forest = use_forest
    archived(found)
    found.refit_due(service)
    deletion.join()
    assert (found.status.n_forests, found.archive.devices) == (0, [])
    archived(found)
    found.refit_due(service)
    assert found.status.n_forests == 1
    assert formers == [None, None], "the trees of the deleted household are not compared with those of the next"


class DelayedNights(NightlyRefits):
    """Calls ``meanwhile``, like another thread, after the service has forgotten a device and before it does itself."""

    meanwhile: Callable[[], object]

    def forget(self, device: str) -> None:
        self.meanwhile()
        super().forget(device)


@pytest.fixture
def engine() -> Engine:
    return ensemble_engine(refits=True)


@pytest.fixture
def constant_refits(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make refits work without LightGBM, and with any number of readings."""
    forest = constant_forest(engine.horizons.main.forests.features.names)

    def fit(house: RecordedMinutes, *_: object) -> RefitResult:
        return RefitResult(forest, "", 5, len(house), 720, Skills(0.5, 0.5), None, 1.0, int(house.minutes[-1]))

    monkeypatch.setattr(nights, "refit_confined", fit)


def send(service: Service, link: MemoryLink, *minutes: int) -> None:
    link.put(*(Reading("home", minute, 1.0) for minute in minutes))
    service.run_once(0)


def archived(found: NightlyRefits, device: str = "home") -> None:
    """Record as many minutes of ``device`` as a first refit needs."""
    found.record([Reading(device, minute, 1.0) for minute in range(NIGHT - LEAST_READINGS, NIGHT)])


@pytest.mark.usefixtures("constant_refits")
def test_refit_is_discarded_after_forget_and_new_reading(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = NightlyRefits(tmp_path, 10, NightOptions(1, UTC, GATEWAY), ManualClock(NIGHT * 60.0))
    service = Service(link := MemoryLink(), engine, {}, recorder=found)
    archived(found)
    send(service, link, NIGHT)

    def encode(result: RefitResult) -> bytes:
        assert service.forget("home")  # a DELETE by another thread, once the trees are fitted
        send(service, link, NIGHT + 1)  # and the first reading of the next household
        return encode_result(result)

    monkeypatch.setattr(nights, "encode_result", encode)
    found.refit_due(service)
    assert "home" not in engine.horizons.main.forests
    assert found.archive.stored_forests() == {}
    assert (found.status.n_forests, found.status.n_used) == (0, 0)


@pytest.mark.usefixtures("constant_refits")
def test_service_forget_removes_trees_that_a_refit_uses_meanwhile(engine: Engine, tmp_path: Path) -> None:
    found = DelayedNights(tmp_path, 10, NightOptions(1, UTC, GATEWAY), ManualClock(NIGHT * 60.0))
    service = Service(link := MemoryLink(), engine, {}, recorder=found)
    archived(found)
    send(service, link, NIGHT)

    def meanwhile() -> None:
        send(service, link, NIGHT + 1)
        found.refit_due(service)
        assert "home" in engine.horizons.main.forests, "the recorder does not know yet that the device was forgotten"

    found.meanwhile = meanwhile
    assert service.forget("home")
    assert "home" not in engine.horizons.main.forests
    assert found.archive.stored_forests() == {}
    assert found.status.n_forests == 0


@pytest.mark.usefixtures("constant_refits")
def test_nights_refit_of_a_device_unknown_to_the_service_is_not_used(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service has just forgotten such a device, and the recorder is about to."""
    clock = ManualClock(NIGHT * 60.0)
    found = NightlyRefits(tmp_path, 10, NightOptions(14, UTC, GATEWAY), clock)
    service = Service(MemoryLink(), engine, {}, recorder=found)
    use_forest, answers = service.use_forest, []
    monkeypatch.setattr(service, "use_forest", lambda *given: answers.append(use_forest(*given)))
    archived(found)
    for n_nights in (1, 2):  # again in the next night, and not only after two weeks
        found.refit_due(service)
        assert answers == [False] * n_nights
        assert found.status == RefitStatus(), "not refused: the trees were not to blame"
        clock.now_s += DAY_MIN * 60.0


@pytest.mark.parametrize("end", ["forget", "stop"])
@pytest.mark.parametrize("fails", [True, False])
def test_nights_refit_that_a_stop_or_a_forget_ends_is_not_refused(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, fails: bool
) -> None:
    def fit(house: RecordedMinutes, *_: object) -> RefitResult:
        found.forget("home") if end == "forget" else found.stop()
        if fails:
            raise ModelError("cancelled")
        return RefitResult(None, "too few", 5, len(house), 0, None, None, 0.0)

    monkeypatch.setattr(nights, "refit_confined", fit)
    found = NightlyRefits(tmp_path, 10, NightOptions(1, UTC, GATEWAY), ManualClock(NIGHT * 60.0))
    archived(found)
    with structlog.testing.capture_logs() as lines:
        found.refit_due(service_of(engine))
    assert (found.status, lines) == (RefitStatus(), [])


def test_nights_forget_while_a_refit_begins_leaves_no_trace_of_it(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next household with this name is refitted in the same night."""
    n_fitted: list[int] = []

    def fit(house: RecordedMinutes, *_: object) -> RefitResult:
        n_fitted.append(len(house))
        return RefitResult(None, "too few", 5, len(house), 0, None, None, 0.0)

    def is_due_and_forgotten(*given: Any) -> bool:
        monkeypatch.setattr(nights, "is_due", is_due)
        deletion.start()
        if not found._lock.locked():
            deletion.join()  # another thread may be as quick as that
        return is_due(*given)

    monkeypatch.setattr(nights, "refit_confined", fit)
    monkeypatch.setattr(nights, "is_due", is_due_and_forgotten)
    found = NightlyRefits(tmp_path, 10, NightOptions(1, UTC, GATEWAY), ManualClock(NIGHT * 60.0))
    deletion = Thread(target=found.forget, args=("home",))
    archived(found)
    found.refit_due(service_of(engine))
    deletion.join()
    archived(found)
    found.refit_due(service_of(engine))
    assert n_fitted[1:] == [LEAST_READINGS]


@pytest.mark.parametrize(
    ("problem", "restarts"), [(None, False), (None, True), ("too few", False), ("no memory", False)]
)
def test_nights_refit_is_repeated_after_its_days_whatever_its_result(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str | None, restarts: bool
) -> None:
    forest = None if problem else constant_forest(engine.horizons.main.forests.features.names)
    formers: list[FormerForest | None] = []

    def fit(house: RecordedMinutes, _: object, former: FormerForest | None, *__: object) -> RefitResult:
        formers.append(former)
        if problem == "no memory":
            raise ModelError(problem)
        return RefitResult(forest, problem or "", 5, len(house), 720, None, None, 1.0, int(house.minutes[-1]))

    monkeypatch.setattr(nights, "refit_confined", fit)
    clock = ManualClock(NIGHT * 60.0)
    found = NightlyRefits(tmp_path, 10, NightOptions(14, UTC, GATEWAY), clock)
    archived(found)
    for n_days, n_fitted in ((0, 1), (1, 1), (13, 1), (14, 2)):
        clock.now_s = (NIGHT + n_days * DAY_MIN) * 60.0
        if restarts and n_days:
            found.stop()
            found = NightlyRefits(tmp_path, 10, NightOptions(14, UTC, GATEWAY), clock)
            found.restore(engine)
        found.refit_due(service_of(engine))
        assert len(formers) == n_fitted, n_days
    of_first, of_second = formers
    assert of_first is None
    assert (of_second and of_second.fitted_at_min) == (None if problem else NIGHT - 1)
    n = 1 if restarts else 2
    assert (found.status.n_used, found.status.n_refused) == ((0, n) if problem else (n, 0))
    assert found.status.last_ran_s == clock.now_s


def test_nights_refit_is_for_the_windows_and_the_horizon_of_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[FitOptions] = []

    def fit(house: RecordedMinutes, options: FitOptions, *_: object) -> RefitResult:
        given.append(options)
        return RefitResult(None, "too few", options.horizon_min, len(house), 0, None, None, 0.0)

    spec, zone = WindowSpec(20, "zero"), ZoneInfo("Europe/Berlin")
    main, own = (
        HorizonModels(one, Ensemble((one,), EnsembleOptions(refits=True)))
        for one in (Smooth(spec), Smooth(spec, lead_times_min=(9,)))
    )
    engine = Engine(main.model, ensemble=main.ensemble, horizons=DeviceHorizons({"home": 9}, [own]))
    monkeypatch.setattr(nights, "refit_confined", fit)
    found = NightlyRefits(tmp_path, 10, NightOptions(1, zone, GATEWAY), ManualClock(NIGHT * 60.0))
    for device in ("home", "flat"):
        archived(found, device)
    found.refit_due(service_of(engine))
    assert given == [FitOptions(9, spec, zone), FitOptions(5, spec, zone)]


def test_nights_fit_options_are_for_the_forests_of_shorter_windows() -> None:
    model = Smooth(WindowSpec(40), lead_times_min=LEADS_MIN)
    ensemble = Ensemble((model,), EnsembleOptions(refits=True))
    engine = Engine(model, ensemble=ensemble, outlook=OutlookConfig(OutlookModel(), OutlookOptions()))
    assert engine.buffers.spec.context > model.spec.context
    options = FitOptions.for_device(engine, "home", UTC)
    fitted = ForestFeatures(options.spec.context, options.horizon_min, options.submeters)
    engine.horizons.main.forests.use("home", constant_forest(fitted.names))


def test_nights_restore_uses_no_forest_of_another_horizon(tmp_path: Path, engine: Engine) -> None:
    forest = constant_forest(engine.horizons.main.forests.features.names)
    before = NightlyRefits(tmp_path, 10)
    archived(before)
    before.stop()
    for horizon_min, n_forests in ((5, 1), (9, 0)):
        result = RefitResult(forest, "", horizon_min, 4_000, 720, Skills(0.5, 0.5), None, 1.0, NIGHT - 1)
        before.archive.store_forest("home", encode_result(result))
        engine.horizons.main.forests.forget("home")
        after = NightlyRefits(tmp_path, 10)
        after.restore(engine)
        assert (after.status.n_forests, len(engine.horizons.main.forests)) == (n_forests, n_forests)


def test_nights_restore_uses_the_other_forests_beside_a_damaged_one(tmp_path: Path, engine: Engine) -> None:
    forest = constant_forest(engine.horizons.main.forests.features.names)
    content = encode_result(RefitResult(forest, "", 5, 4_000, 720, Skills(0.5, 0.5), None, 1.0, NIGHT - 1))
    before = NightlyRefits(tmp_path, 10)
    for device, stored in (("flat", content[:-100]), ("home", content)):
        archived(before, device)
        before.archive.store_forest(device, stored)
    before.stop()
    after = NightlyRefits(tmp_path, 10)
    with structlog.testing.capture_logs() as lines:
        after.restore(engine)
    assert [(line["event"], line["device"]) for line in lines] == [("refit.forest_unusable", "flat")]
    assert "two minutes after the start" in lines[0]["fix"]
    forests = engine.horizons.main.forests
    assert ("flat" in forests, "home" in forests) == (False, True)


@pytest.mark.usefixtures("constant_refits")
def test_nights_refit_that_cannot_be_stored_leaves_the_others(tmp_path: Path, engine: Engine) -> None:
    found = NightlyRefits(tmp_path, 10, NightOptions(1, UTC, GATEWAY), ManualClock(NIGHT * 60.0))
    (tmp_path / "home.forest").mkdir()  # as root, who may write anything, would replace a file
    for device in ("home", "flat"):
        archived(found, device)
    with structlog.testing.capture_logs() as lines:
        found.refit_due(service_of(engine))
    assert [(line["event"], line["device"]) for line in lines] == [("refit.failed", "home"), ("refit.used", "flat")]
    assert (found.status.n_forests, found.status.n_used, found.status.n_refused) == (1, 1, 1)


@pytest.mark.usefixtures("constant_refits")
def test_nights_begin_at_the_minute_of_the_gateway(tmp_path: Path, engine: Engine) -> None:
    clock = ManualClock()
    found = NightlyRefits(tmp_path, 10, NightOptions(1, UTC, GATEWAY), clock)
    archived(found)
    for minute, n_used in ((NIGHT - 2, 1), (NIGHT - 1, 1), (NIGHT, 2)):
        clock.now_s = minute * 60.0
        found.refit_due(service_of(engine))
        assert found.status.n_used == n_used
