"""The highest windows of a month, and their JSON."""

from __future__ import annotations

import pytest

from gapcast.core.billing.billing_windows import BillingWindow
from gapcast.core.billing.month_peaks import DayPeak, MonthPeaks
from gapcast.core.demand.documents.document import demand_document, device_demand_document
from gapcast.core.time_grid import DAY_MIN, minute_label
from tests.support.demands import DEMAND


def peaks_of(*means_kw: float) -> MonthPeaks:
    """Return the peaks of a month with one window on each of its first days."""
    peaks = MonthPeaks()
    for day, kw in enumerate(means_kw):
        start = day * DAY_MIN + 600
        peaks.record(BillingWindow(start, start + 15, month=3, day=day, is_active=True), kw)
    return peaks


def test_highest_windows_are_of_different_days() -> None:
    peaks = peaks_of(1.0, 3.0, 2.0)
    peaks.record(BillingWindow(DAY_MIN + 615, DAY_MIN + 630, month=3, day=1, is_active=True), 2.9)
    assert peaks.highest(2) == [DayPeak(3.0, DAY_MIN + 600), DayPeak(2.0, 2 * DAY_MIN + 600)]
    assert peaks.highest(5) == [*peaks.highest(2), DayPeak(1.0, 600)]


def test_highest_windows_of_equal_power_are_in_order_of_time() -> None:
    assert [one.start_minute for one in peaks_of(2.0, 2.0).highest(2)] == [600, DAY_MIN + 600]


@pytest.mark.parametrize(("n_higher", "peak"), [(8, [DayPeak(1.0, 600)]), (9, [])])
def test_month_peak_returns_if_eight_higher_windows_are_discarded(n_higher: int, peak: list[DayPeak]) -> None:
    peaks = peaks_of(1.0)
    for i in range(1, n_higher + 1):
        peaks.record(BillingWindow(600 + i * 15, 615 + i * 15, month=3, day=0, is_active=True), 1.0 + i)
    peaks.discard_from(615)
    assert peaks.highest(1) == peak


def test_corrected_month_peak_lowers_the_higher_days() -> None:
    peaks = peaks_of(1.0, 5.0, 4.0)
    peaks.correct(BillingWindow(2 * DAY_MIN + 615, 2 * DAY_MIN + 630, month=3, day=2, is_active=True), 3.0)
    assert peaks.highest(3) == [DayPeak(3.0, DAY_MIN + 600), DayPeak(3.0, 2 * DAY_MIN + 615), DayPeak(1.0, 600)]


def test_confirmed_power_is_unknown_before_three_measured_windows() -> None:
    assert peaks_of(1.0, 1.0).confirmed_kw is None
    assert peaks_of(1.0, 240.0, 2.0).confirmed_kw == 1.0
    assert peaks_of(1.0, 240.0, 2.0, 180.0).confirmed_kw == 2.0


def test_confirmed_power_is_only_lowered_by_corrections_of_its_month() -> None:
    peaks = peaks_of(1.0, 240.0, 2.0, 180.0)
    window = BillingWindow(600, 615, month=3, day=0, is_active=True)
    peaks.correct(window, 240.0)
    assert peaks.confirmed_kw == 2.0
    peaks.correct(window, 2.5)
    for _ in range(2):
        peaks.record(window, 200.0)
    assert peaks.confirmed_kw == 2.5, "two further faulty windows"
    peaks.begin_month(4)
    for kw in (1.0, 1.5, 2.0):
        peaks.record(window._replace(month=4), kw)
    peaks.correct(window, 0.5)
    assert peaks.confirmed_kw == 1.0


def test_confirmed_power_begins_again_with_the_month_and_the_clock() -> None:
    peaks = peaks_of(1.0, 2.0, 3.0)
    peaks.discard_from(DAY_MIN)
    assert peaks.confirmed_kw is None
    peaks = peaks_of(1.0, 2.0, 3.0)
    peaks.begin_month(4)
    assert peaks.confirmed_kw is None


def test_device_document_adds_the_highest_windows() -> None:
    document = device_demand_document(DEMAND, peaks_of(1.23456789).highest(5), "Europe/Oslo", None)
    highest = [{"start": minute_label(600), "kw": 1.234568}]
    of_device = {"month_peaks": highest, "timezone": "Europe/Oslo", "limit_warning": None}
    assert document == demand_document(DEMAND) | of_device
