"""Demands in the service: they follow the outlooks, and their limits can be changed while it runs."""

from __future__ import annotations

from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from gapcast.core.billing.changes import CorrectedMonthPeak, LimitChange, MonthPeak
from gapcast.core.billing.month_peaks import DayPeak
from gapcast.core.billing.options import DemandOptions, SiteDemandOptions
from gapcast.core.demand.demand import Demands
from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError, PayloadError
from gapcast.core.outlook.options import OutlookConfig, OutlookOptions
from gapcast.core.outlook.outlook import Outlooks
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.state_changes import ForgottenDevice, StateChange
from gapcast.core.time_grid import DAY_MIN
from gapcast.predictors.baselines import Persistence
from gapcast.service.persistence.persistence import NoStateStore
from gapcast.service.reports import reports
from gapcast.service.service import Service
from tests.core.demand.runs import MONDAY
from tests.support.clocks import ManualClock
from tests.support.links import MemoryLink
from tests.support.outlook_model import OutlookModel

SITE = SiteDemandOptions(DemandOptions(by_month_peak=True, floor_kw=1.0))


class RecordedChanges(NoStateStore):
    """Records the persisted changes, and the number of readings before each."""

    def __init__(self) -> None:
        self.changes: list[tuple[int, object]] = []
        self.n_readings = 0

    def append_batch(self, readings: Any, issued_at_ms: int, samples: Any = ()) -> None:
        self.n_readings += len(readings)

    def append_change(self, change: StateChange) -> None:
        self.changes.append((self.n_readings, change))


@pytest.fixture
def link() -> MemoryLink:
    return MemoryLink()


def service_of(link: MemoryLink, site: SiteDemandOptions = SITE, store: NoStateStore | None = None) -> Service:
    model = Persistence()
    engine = Engine(model, outlook=OutlookConfig(OutlookModel(), OutlookOptions(max_devices=2)), demand=site)
    return Service(link, engine, {model.name: model}, state_store=store)


def run(service: Service, link: MemoryLink, first: int = 0, n: int = 3, kw: float = 2.0) -> None:
    link.put(*(Reading("home", MONDAY + first + i, kw) for i in range(n)))
    service.run_once(0)


def test_service_publishes_and_counts_demands(link: MemoryLink) -> None:
    service = service_of(link)
    service.feed.listen(lambda: None)
    run(service, link)
    assert [demand.running.elapsed_min for demand in link.demands] == [2, 3]
    assert link.demands[-1] == service.queries.demands.for_device("home")
    assert service.statistics.n_demands == 2
    events, missed = service.feed.drain()
    assert not missed
    assert [list(one) for one in events if isinstance(one, Demands)] == [link.demands]


@pytest.mark.long
def test_service_warns_once_of_a_limit_that_is_always_exceeded(link: MemoryLink) -> None:
    service = service_of(link, SiteDemandOptions(DemandOptions(limit_kw=0.25)))
    with capture_logs() as logs:
        for first in range(0, 1_425, 15):
            run(service, link, first, 15, kw=0.5)
        assert logs == []
        for first in range(1_425, 1_500, 15):  # the first of these windows ends the day
            run(service, link, first, 15, kw=0.5)
        service.demand_changes.set_demand_limit("home", 0.375)
        service.demand_changes.set_demand_limit("home", 1.0)
        run(service, link, 1_500, 15, kw=0.5)
    assert [(one["event"], one["log_level"], one["limit_kw"], one["lowest_kw"]) for one in logs] == [
        ("demand.limit_too_low", "warning", 0.25, 0.5),
        ("demand.limit_too_low", "warning", 0.375, 0.5),
    ]
    assert (logs[0]["device"], logs[0]["fix"]) == ("home", "set a limit above 0.50 kW")


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        (DemandOptions(limit_kw=5.0), ["home: 2.00 kW, configured 5.00 kW", "mill: 1.50 kW, configured 5.00 kW"]),
        (DemandOptions(limit_kw=2.0), ["mill: 1.50 kW, configured 2.00 kW"]),
        (
            DemandOptions(by_month_peak=True),
            ["home: 2.00 kW, configured month_peak", "mill: 1.50 kW, configured month_peak"],
        ),
        (DemandOptions(), []),
    ],
)
def test_service_logs_set_limits_that_differ_at_its_start(
    link: MemoryLink, options: DemandOptions, limits: list[str]
) -> None:
    service = service_of(link, SiteDemandOptions(options))
    if options.is_limited:
        service.demand_changes.set_demand_limit("home", 2.0)
        service.demand_changes.set_demand_limit("mill", 1.5)
    link.put(Reading("home", MONDAY, 1.0), Reading("mill", MONDAY, 1.0))
    service.run_once(0)
    stopping = Event()
    stopping.set()
    with capture_logs() as logs:
        service.run(stopping)
    lines = [one for one in logs if one["event"] == "demand.limit_set"]
    assert [(one["log_level"], one["n_devices"], one["devices"]) for one in lines] == (
        [("info", len(limits), limits)] if limits else []
    )


@pytest.mark.parametrize(
    ("options", "n_lines"),
    [
        (DemandOptions(by_month_peak=True), 1),
        (DemandOptions(limit_kw=4.0), 1),
        (DemandOptions(limit_kw=4.0, imports_only=True), 0),
        (DemandOptions(fuse_kw=9.2), 0),
    ],
)
def test_service_warns_once_of_export_that_counts(link: MemoryLink, options: DemandOptions, n_lines: int) -> None:
    service = service_of(link, SiteDemandOptions(options))
    with capture_logs() as logs:
        run(service, link)
        assert logs == []
        run(service, link, 3, kw=-1.5)
        run(service, link, 6, kw=-2.0)
    assert [(one["event"], one["log_level"], one["devices"], one["n_devices"]) for one in logs] == [
        ("demand.export_counts", "warning", "home", 1)
    ] * n_lines


def test_service_warns_only_of_accepted_export_of_devices_with_a_demand(link: MemoryLink) -> None:
    """Neither of late readings, nor of devices beyond the most with a demand."""
    service = service_of(link)
    with capture_logs() as logs:
        for minute in range(3):
            link.put(*(Reading(name, MONDAY + minute, 1.0 - 3 * (name == "shed")) for name in ("home", "barn", "shed")))
            link.put(Reading("barn", MONDAY - 5, -1.0))
            service.run_once(0)
    assert logs == []


def test_service_warns_of_export_once_a_limit_is_set(link: MemoryLink) -> None:
    service = service_of(link, SiteDemandOptions(DemandOptions(fuse_kw=9.2)))
    with capture_logs() as logs:
        run(service, link, kw=-1.0)
        service.demand_changes.set_demand_limit("home", 4.0)
        run(service, link, 3, kw=-1.0)
    assert [one["event"] for one in logs] == ["demand.export_counts"]


def test_export_log_has_all_new_devices_in_one_line(link: MemoryLink, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    monkeypatch.setattr(reports, "time", SimpleNamespace(monotonic=clock))
    outlook = OutlookConfig(OutlookModel(), OutlookOptions(max_devices=20))
    service = Service(link, Engine(Persistence(), outlook=outlook, demand=SITE), {})
    with capture_logs() as logs:
        for n in range(12):
            link.put(*(Reading(f"d{n}", MONDAY + minute, -1.0) for minute in range(2)))
            service.run_once(0)
        service.forget("d11")
        clock.now_s += 10
        service.run_once(0)
    assert [(one["n_devices"], one["devices"]) for one in logs] == [(1, "d0"), (10, "d1, d2, d3, d4, d5 and 5 more")]


def test_service_without_limits_publishes_no_demands(link: MemoryLink) -> None:
    service = service_of(link, SiteDemandOptions())
    run(service, link)
    assert link.demands == []
    assert len(link.outlooks) == 2


def test_service_without_outlooks_of_a_batch_continues_the_windows(
    link: MemoryLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_of(link)

    def fail(*_: object) -> Outlooks:
        msg = "the model cannot be run"
        raise ModelError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(Engine, "outlook", fail)
        run(service, link)
    assert link.demands == []
    run(service, link, 3, 1)
    assert [demand.running.n_known for demand in link.demands] == [4]


def test_service_demand_that_fails_does_not_affect_forecasts(link: MemoryLink, monkeypatch: pytest.MonkeyPatch) -> None:
    service = service_of(link)

    def fail(*_: object) -> Demands:
        raise ZeroDivisionError

    monkeypatch.setattr(Engine, "demand", fail)
    run(service, link)
    assert (len(link.published), len(link.outlooks), link.demands) == (2, 2, [])
    assert service.statistics.internal_errors["demand"] == 1


def test_service_persists_changes_between_batches(link: MemoryLink) -> None:
    store = RecordedChanges()
    service = service_of(link, store=store)
    run(service, link, n=16)
    service.demand_changes.set_demand_limit("home", 3.5)
    service.demand_changes.correct_month_peak("home", MonthPeak(1.5, None))
    run(service, link, 16)
    assert link.demands[-1].running.limit_kw == 3.5
    assert link.demands[-1].month_peak_kw == 1.5
    service.demand_changes.set_demand_limit("home", None)
    run(service, link, 19)
    assert link.demands[-1].running.limit_kw == 1.5
    service.forget("home")
    for _ in range(2):
        service.run_once(0)
    assert store.changes == [
        (16, LimitChange("home", 3.5)),
        (16, CorrectedMonthPeak("home", MonthPeak(1.5, None))),
        (19, LimitChange("home", None)),
        (22, ForgottenDevice("home")),
    ]


def test_service_refused_change_is_not_persisted(link: MemoryLink) -> None:
    store = RecordedChanges()
    service = service_of(link, store=store)
    with pytest.raises(PayloadError):
        service.demand_changes.set_demand_limit("home", 0.0)
    with pytest.raises(PayloadError):
        service.demand_changes.correct_month_peak("home", MonthPeak(1.0, None))
    run(service, link)
    assert store.changes == []


def test_service_uses_the_registers_of_the_meter(link: MemoryLink) -> None:
    store = RecordedChanges()
    service = service_of(link, store=store)
    changes = service.demand_changes
    changes.record_peak_register("home", 4.0)  # no window is over
    run(service, link, n=16)
    for kw in (4.0, 4.0, 4.0004):
        changes.record_peak_register("home", kw)
    changes.record_running_register("home", 0.4, (MONDAY + 18) * 60_000)
    run(service, link, 16, 2)
    assert link.demands[-1].month_peak_kw == 4.0
    assert link.demands[-1].running.so_far_kw == pytest.approx(2.0)
    assert store.changes == [(16, CorrectedMonthPeak("home", MonthPeak(4.0, None)))]


def test_service_does_not_use_registers_that_are_far_too_low(link: MemoryLink) -> None:
    """They are in kW, and ``demand.register_unit`` is ``"W"``."""
    store = RecordedChanges()
    service = service_of(link, store=store)
    changes = service.demand_changes
    run(service, link, n=16)
    with capture_logs() as logs:
        for first in range(15, 75, 15):
            run(service, link, first, 9)
            changes.record_running_register("home", 0.002 * 10 / 15, (MONDAY + first + 10) * 60_000)
            changes.record_peak_register("home", 0.002)
            run(service, link, first + 9, 1)
            assert link.demands[-1].running.so_far_kw == 2.0
            run(service, link, first + 10, 5)
    assert service.queries.demands.month_peaks("home") == [DayPeak(2.0, MONDAY)]
    assert store.changes == []
    fix = "check demand.register_unit, the topic of the register, and demand.window_min"
    of_peak = ". If the register is right and measured_kw is not, correct the month's peak (PUT /demand/month_peak)"
    assert logs == [
        {
            "event": "demand.register_too_low", "log_level": "warning", "device": "home", "register": register,
            "register_kw": 0.002, "measured_kw": 2.0, "fix": fix + more, "meanwhile": "gapcast uses its own sums",
        }
        for register, more in (("month_peak", of_peak), ("running", ""))
    ]  # fmt: skip


@pytest.mark.parametrize("n_before", [0, 3])
def test_service_register_corrects_a_peak_by_a_faulty_reading(link: MemoryLink, n_before: int) -> None:
    """At once, or when three windows are measured; without a warning."""
    service = service_of(link)
    run(service, link, n=15 * n_before)
    first = 15 * n_before
    with capture_logs() as logs:
        run(service, link, first, 7)
        run(service, link, first + 7, 1, kw=900.0)
        run(service, link, first + 8, 7)
        for start in range(first + 15, first + 60, 15):
            service.demand_changes.record_peak_register("home", 2.5)
            if n_before:
                break
            run(service, link, start, 15)
        service.demand_changes.record_peak_register("home", 2.5)
    assert [one.kw for one in service.queries.demands.month_peaks("home")] == [2.5]
    assert logs == []


def test_service_register_corrects_a_peak_with_a_typing_error(link: MemoryLink) -> None:
    service = service_of(link)
    run(service, link, n=45)
    service.demand_changes.correct_month_peak("home", MonthPeak(250.0, MONDAY))
    service.demand_changes.record_peak_register("home", 0.0025)
    assert service.queries.demands.month_peaks("home") == [DayPeak(250.0, MONDAY)]
    service.demand_changes.record_peak_register("home", 2.5)
    assert service.queries.demands.month_peaks("home") == [DayPeak(2.5, MONDAY)]


@pytest.mark.long
def test_service_register_below_the_months_peak_lowers_only_that_window(link: MemoryLink) -> None:
    """A register that is first read days later: the last window, of another day, was none of the highest."""
    service = service_of(link)
    run(service, link, n=15, kw=3.0)
    for first in range(15, DAY_MIN + 15, 15):
        run(service, link, first, 15, kw=0.5)
    service.demand_changes.record_peak_register("home", 2.875)
    peaks = service.queries.demands.month_peaks("home")
    assert peaks == [DayPeak(2.875, MONDAY), DayPeak(0.5, MONDAY + DAY_MIN)]
    service.demand_changes.record_peak_register("home", 4.0)  # of a window in which the gateway was off
    assert service.queries.demands.month_peaks("home")[0] == DayPeak(4.0, MONDAY + DAY_MIN)


def test_service_retained_correction_lowers_no_later_window(link: MemoryLink) -> None:
    """The broker sends it with each connection, also weeks after it was right."""
    service = service_of(link)
    run(service, link, n=15, kw=3.0)
    peak = MonthPeak(2.5, MONDAY + 5)
    for _ in range(2):
        service.demand_changes.correct_month_peak("home", peak, is_retained=True)
    run(service, link, 15, n=15, kw=4.0)
    later = "retained, and the window from 2026-11-02T00:15:00Z is later, and higher .4.000 kW.: remove the retained"
    with pytest.raises(PayloadError, match=later):
        service.demand_changes.correct_month_peak("home", peak, is_retained=True)
    assert service.queries.demands.month_peaks("home") == [DayPeak(4.0, MONDAY + 15)]
    service.demand_changes.correct_month_peak("home", peak)
    assert service.queries.demands.month_peaks("home") == [DayPeak(2.5, MONDAY)]


def test_service_demand_of_a_device_forgotten_meanwhile_is_left_out(
    link: MemoryLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_of(link)
    run(service, link)

    def forget(*_: object) -> None:
        service.forget("home")

    monkeypatch.setattr(link, "publish_measured", forget)  # another thread, while the batch is published
    run(service, link, 3)
    assert len(link.demands) == 2
