"""Changes of limits and month's peaks survive a restart or a kill, in their place between the readings."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gapcast.core.billing.changes import CorrectedMonthPeak, DemandChange, LimitChange, MonthPeak
from gapcast.core.billing.options import DemandOptions, SiteDemandOptions
from gapcast.core.demand.demand import Demand
from gapcast.core.engine import Engine
from gapcast.core.outlook.options import OutlookConfig, OutlookOptions
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.predictors.baselines import Persistence
from gapcast.service.service import Service
from gapcast.storage.journals import journal
from gapcast.storage.journals.record_lines import encode_line
from gapcast.storage.store import Store
from tests.core.demand.runs import MONDAY
from tests.support.links import MemoryLink
from tests.support.outlook_model import OutlookModel

SITE = SiteDemandOptions(DemandOptions(by_month_peak=True, floor_kw=0.5))
CHANGES: list[DemandChange] = [
    LimitChange("home", 2.5),
    LimitChange("home", None),
    CorrectedMonthPeak("home", MonthPeak(3.25, None)),
    CorrectedMonthPeak("home", MonthPeak(3.25, MONDAY)),
]


class Process:
    """One run of a gateway that persists in ``folder``, until it is stopped or killed."""

    def __init__(self, folder: Path, site: SiteDemandOptions = SITE) -> None:
        self.engine = Engine(
            Persistence(), outlook=OutlookConfig(OutlookModel(), OutlookOptions(max_devices=2)), demand=site
        )
        self.store = Store(folder)
        self.store.restore(self.engine)
        self.link = MemoryLink()
        self.service = Service(self.link, self.engine, {}, state_store=self.store)

    def read(self, minutes: range) -> list[tuple[object, ...]]:
        """Process the minutes; return the demands without their times of issue."""
        for minute in minutes:
            self.link.put(Reading("home", MONDAY + minute, 1.0 + minute % 7))
            self.service.run_once(0)
        return [_without_issue(one) for one in self.link.demands]

    def stop(self) -> None:
        self.service.run_once(0)
        self.service.run_once(0)
        self.store.close(capture_snapshot(self.engine))

    def kill(self) -> None:
        self.service.run_once(0)
        self.service.run_once(0)
        self.store.close(None)


def _without_issue(demand: Demand) -> tuple[object, ...]:
    return demand.observed_minute, demand.running, demand.next, demand.month_peak_kw


def make_changes(process: Process) -> None:
    process.service.demand_changes.set_demand_limit("home", 2.25)
    process.service.demand_changes.set_demand_limit("later", 1.5)
    process.service.demand_changes.correct_month_peak("home", MonthPeak(1.75, None))


@pytest.mark.parametrize("end", [Process.stop, Process.kill])
@pytest.mark.parametrize("at", [15, 21, 37])
def test_demand_changes_survive_a_restart(tmp_path: Path, at: int, end: object) -> None:
    whole = Process(tmp_path / "whole")
    whole.read(range(at))
    make_changes(whole)
    wanted = whole.read(range(at, 60))
    whole.stop()

    first = Process(tmp_path / "parts")
    found = first.read(range(at))
    make_changes(first)
    end(first)  # type: ignore[operator]  # a method of Process
    second = Process(tmp_path / "parts")
    newest = second.engine.demands.newest("home")
    assert newest is not None
    assert _without_issue(newest) == found[-1]
    assert second.engine.demands.forecaster is not None
    assert second.engine.demands.forecaster.windows.set_limits_kw == {"home": 2.25, "later": 1.5}
    assert found + second.read(range(at, 60)) == wanted
    second.stop()


def test_start_logs_peaks_that_are_not_used(tmp_path: Path) -> None:
    first = Process(tmp_path)
    first.read(range(20))
    first.stop()
    site = SiteDemandOptions(DemandOptions(by_month_peak=True, floor_kw=0.5, window_min=30))
    with capture_logs() as logs:
        Process(tmp_path, site).stop()
    (logged,) = [entry for entry in logs if entry["event"] == "state.demand_not_used"]
    assert (logged["log_level"], logged["n_devices"]) == ("warning", 1)
    assert logged["devices"] == ["home: window_min is 30, and was 15"]
    assert logged["fix"].startswith("send the month's peak again"), "its limit is configured"


def test_forgotten_device_loses_its_limit(tmp_path: Path) -> None:
    first = Process(tmp_path)
    make_changes_of_unknown(first)
    assert first.service.forget("later")
    assert not first.service.forget("later")
    first.kill()
    second = Process(tmp_path)
    assert second.engine.demands.forecaster is not None
    assert second.engine.demands.forecaster.windows.set_limits_kw == {}
    second.stop()


def make_changes_of_unknown(process: Process) -> None:
    process.service.demand_changes.set_demand_limit("later", 1.5)


@pytest.mark.parametrize("change", CHANGES)
def test_journal_returns_the_change(change: DemandChange) -> None:
    assert journal.decode(journal.encode(change)) == change


@pytest.mark.parametrize(
    "members",
    [
        '["a/b","limit",2.0]',
        '["home","limit",1e9]',
        '["home","limit","2"]',
        '["home","month_peak",null,null]',
        '["home","month_peak",2.0,5]',
        '["home","month_peak",2.0,"x"]',
        '["home","other",2.0]',
        '["home"]',
        "3",
    ],
)
def test_journal_leaves_out_a_change_that_is_impossible(members: str) -> None:
    line = encode_line(f"[0,[],[],[],[],{members}]".encode(), 0, journal.NO_SALT)
    assert journal.decode(line) is None


def test_changes_of_a_failed_store_change_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append_change(CHANGES[0])  # before the restore: there is no journal yet
    assert list(tmp_path.iterdir()) == []
