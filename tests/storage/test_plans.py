"""Announced loads survive a restart, in their place between the readings, and leave with their device."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from gapcast.core.engine import Engine
from gapcast.core.errors import PayloadError
from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.plans.plans import Plans
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.state_changes import ReplacedPlan
from gapcast.core.time_grid import MINUTE_MS
from gapcast.predictors.baselines import Persistence
from gapcast.service.service import Service
from gapcast.storage.journals import journal
from gapcast.storage.journals.record_lines import encode_line
from gapcast.storage.store import Store
from tests.support.links import MemoryLink

NOON = 21_476_160
CHARGER = LoadPlan.from_loads([PlannedLoad(7.4, (NOON + 10) * MINUTE_MS, (NOON + 40) * MINUTE_MS, "car")])


def power_kw(minute: int) -> float:
    return 0.5 + (7.4 if 10 <= minute < 40 else 0.0)


class Process:
    """One run of a gateway that persists in ``folder``, until it is stopped or killed."""

    def __init__(self, folder: Path, link: MemoryLink | None = None) -> None:
        model = Persistence()
        self.engine = Engine(model, ensemble=Ensemble((model,), EnsembleOptions()))
        self.store = Store(folder)
        self.store.restore(self.engine)
        self.link = link or MemoryLink()
        self.service = Service(self.link, self.engine, {}, state_store=self.store)

    def read(self, minutes: range) -> list[Forecast]:
        for minute in minutes:
            self.link.put(Reading("home", NOON + minute, power_kw(minute)))
            self.service.run_once(0)
        return self.link.published

    def persist_changes(self) -> None:
        """Run until changes by other threads are persisted: two iterations without a message."""
        self.service.run_once(0)
        self.service.run_once(0)

    def stop(self) -> None:
        self.store.close(capture_snapshot(self.engine))

    def kill(self) -> None:
        self.store.close(None)


@pytest.mark.parametrize("end", [Process.stop, Process.kill])
@pytest.mark.parametrize("at", [5, 20, 41])
def test_plan_survives_a_restart(tmp_path: Path, at: int, end: object) -> None:
    whole = Process(tmp_path / "whole")
    whole.service.replace_plan("home", CHARGER)
    wanted = whole.read(range(60))
    whole.stop()

    first = Process(tmp_path / "parts")
    first.service.replace_plan("home", CHARGER)
    first.read(range(at))
    end(first)  # type: ignore[operator]  # a method of Process
    second = Process(tmp_path / "parts")
    assert second.engine.plan_of("home") == (CHARGER if at < 40 else LoadPlan())
    latest = second.engine.latest_of("home")
    assert latest is not None
    assert latest.planned_kw == wanted[at - 2].planned_kw
    found = [(one.observed_minute, one.gap_kw, one.planned_kw) for one in second.read(range(at, 60))]
    assert found == [(one.observed_minute, one.gap_kw, one.planned_kw) for one in wanted[at - 1 :]]
    second.stop()


def test_plan_without_readings_survives_a_kill_and_leaves_when_forgotten(tmp_path: Path) -> None:
    first = Process(tmp_path)
    first.service.replace_plan("home", CHARGER)
    first.persist_changes()
    first.kill()
    second = Process(tmp_path)
    assert second.engine.plan_of("home") == CHARGER
    assert second.service.forget("home")
    assert not second.service.forget("home")
    second.persist_changes()
    second.kill()
    third = Process(tmp_path)
    assert third.engine.plan_of("home") == LoadPlan()
    third.stop()


def test_plan_of_unconfirmed_batches_is_persisted_at_the_end(tmp_path: Path) -> None:
    class Unconfirming(MemoryLink):
        def has_confirmed(self, forecast_ids: object) -> bool:
            return not forecast_ids

    first, stopping = Process(tmp_path, Unconfirming()), Event()
    first.link.put(Reading("home", NOON, 0.5), Reading("home", NOON + 1, 0.5))
    first.service.run_once(0)
    first.service.replace_plan("home", CHARGER)
    stopping.set()
    first.service.run(stopping)
    second = Process(tmp_path)
    assert second.engine.plan_of("home") == CHARGER
    second.stop()


def test_plans_of_a_failed_store_change_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append_change(ReplacedPlan("home", CHARGER))  # before the restore: there is no journal yet
    assert not list(tmp_path.iterdir())


def test_journal_reads_the_plan_that_was_written() -> None:
    replaced = ReplacedPlan("home", CHARGER)
    assert journal.decode(journal.encode(replaced)) == replaced


@pytest.mark.parametrize(
    "document",
    [
        b'[0,[],[],[],["no device",[]]]',
        b'[0,[],[],[],["home",[[1e999,0,60000,""]]]]',
        b'[0,[],[],[],["home",[[1,60000,0,""]]]]',
        b'[0,[],[],[],["home",[[1,0,1e999,""]]]]',
        b'[0,[],[],[],["home",[1]]]',
        b'[0,[],[],[],["home"]]',
    ],
)
def test_journal_rejects_an_implausible_plan(document: bytes) -> None:
    assert journal.decode(encode_line(document, 1, journal.NO_SALT)) is None


def test_plan_beyond_the_limit_is_left_out_of_a_replay(tmp_path: Path) -> None:
    first = Process(tmp_path)
    first.service.replace_plan("home", CHARGER)
    first.service.replace_plan("cellar", CHARGER)
    first.persist_changes()
    first.kill()
    engine = Engine(Persistence())
    engine.plans = Plans((5,), max_loads=1)
    store = Store(tmp_path)
    store.restore(engine)
    assert list(engine.plans.trackers) == ["home"]
    with pytest.raises(PayloadError):
        engine.replace_plan("cellar", CHARGER)
    store.close(None)
