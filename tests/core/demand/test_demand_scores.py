"""Scores of demands: three times of a window, two rules, alarms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F64
from gapcast.core.demand.documents.scores_document import demand_scores_document
from gapcast.core.demand.scores import score_sums, scores


def window(p_exceed: list[float], readings_kw: list[float], limit_kw: float = 2.0) -> F64:
    """Return the demands of a window of ``len(p_exceed)`` minutes; the reading before it is ``readings_kw[0]``."""
    demands = scores.initial_demands()[np.newaxis]
    n = len(p_exceed)
    for elapsed_min, p in enumerate(p_exceed):
        so_far_kw = float(np.mean(readings_kw[1 : elapsed_min + 1])) if elapsed_min else math.nan
        power_kw = np.array([[so_far_kw, readings_kw[elapsed_min]]])
        demands[:, elapsed_min] = score_sums.waiting(
            np.array([elapsed_min]), np.array([n]), np.array([p]), np.array([limit_kw]), power_kw
        )
    of_window: F64 = demands[0]
    return of_window


def closed(*windows: tuple[F64, float], local_days: tuple[int, ...] = (0, 0, 0), sums: F64 | None = None) -> F64:
    """Return the sums after windows of six minutes, each with its actual mean and day; ``sums`` None: start at 0."""
    sums = (scores.initial_sums() if sums is None else sums)[np.newaxis]
    for day, (demands, actual_kw) in zip(local_days, windows, strict=False):
        score_sums.add(
            sums,
            score_sums.ClosedWindows(np.array([day]), np.array([6]), np.array([actual_kw]), demands[np.newaxis]),
        )
    found: F64 = sums[0]
    return found


ABOVE = window([0.2, 0.4, 0.6, 0.9, 1.0, 1.0], [1.0, 1.0, 3.0, 3.0, 3.0, 3.0])
BELOW = window([0.1, 0.1, 0.5, 0.2, 0.0, 0.0], [1.0, 1.0, 4.0, 1.0, 1.0, 1.0])


def test_scores_of_two_windows_are_by_thirds() -> None:
    sums = closed((ABOVE, 2.5), (BELOW, 1.5))
    found = scores.scores_of(sums, 6)
    assert (found.n_windows, found.n_events, found.n_days) == (2, 1, 1)
    assert [(one.elapsed_min, one.n, one.n_events) for one in found.by_elapsed] == [(0, 2, 1), (2, 2, 1), (4, 2, 1)]
    assert found.by_elapsed[0].brier == pytest.approx((0.8**2 + 0.1**2) / 2)
    assert found.by_elapsed[0].log_score == pytest.approx(-(math.log(0.2) + math.log(0.9)) / 2)
    assert found.by_elapsed[2].brier == 0.0


def test_rules_forecast_zero_or_one() -> None:
    sums = closed((ABOVE, 2.5), (BELOW, 1.5))
    first, second, last = scores.scores_of(sums, 6).by_elapsed
    assert (first.persistence_brier, first.so_far_brier) == (0.5, None)  # the last reading was below in both
    assert (second.persistence_brier, second.so_far_brier) == (0.5, 1.0)  # the last is 4 kW; means so far 2 and 2.5 kW
    assert (last.persistence_brier, last.so_far_brier) == (0.0, 0.0)


def test_alarms_are_false_or_announce_in_time() -> None:
    sums = closed((ABOVE, 2.5), (BELOW, 1.5))
    alarms = scores.scores_of(sums, 6).alarms
    assert alarms["gapcast"] == scores.AlarmScore(2, 1, 60.0, (1.0, 0.0))  # four minutes left
    assert alarms["persistence"] == scores.AlarmScore(2, 1, 60.0, (1.0, 0.0))
    assert alarms["so_far"].n == 2


def test_reliability_counts_by_tenth_of_probability() -> None:
    sums = closed((ABOVE, 2.5), (BELOW, 1.5))
    bins = scores.scores_of(sums, 6).by_elapsed[0].bins
    assert [one.n for one in bins] == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert (bins[2].mean_p, bins[2].share, bins[0].share) == (0.2, 1.0, None)
    assert scores.scores_of(sums, 6).by_elapsed[2].bins[9].n == 1  # a probability of 1


def test_certain_but_wrong_probability_has_finite_log_score() -> None:
    sums = closed((window([0.0] * 6, [1.0] * 6), 9.0))
    assert scores.scores_of(sums, 6).by_elapsed[0].log_score == pytest.approx(-math.log(1e-6))


def test_windows_without_limit_or_outcome_do_not_count() -> None:
    sums = closed((scores.initial_demands(), 9.0), (ABOVE, math.nan), (window([0.0] * 6, [1.0] * 6, math.nan), 9.0))
    found = scores.scores_of(sums, 6)
    assert (found.n_windows, found.alarms["gapcast"].per_month, found.by_elapsed[1].brier) == (0, None, None)


def test_missed_third_is_left_out() -> None:
    demands = ABOVE.copy()
    demands[2] = math.nan
    sums = closed((demands, 2.5))
    assert [one.n for one in scores.scores_of(sums, 6).by_elapsed] == [1, 0, 1]


def test_days_are_counted_once_each() -> None:
    sums = closed((ABOVE, 2.5), (BELOW, 1.5), (BELOW, 1.5), local_days=(0, 1, 1))
    assert scores.scores_of(sums, 6).n_days == 2


@pytest.mark.parametrize(("utc_day", "n_days"), [(6, 2), (7, 1), (8, 2)])
def test_days_stored_in_utc_are_at_most_one_too_many_or_too_few(utc_day: int, n_days: int) -> None:
    """A stored day is a UTC day: the local day of the newest window, stored as 7, was 6, 7 or 8."""
    stored = closed((ABOVE, 2.5), local_days=(utc_day,))
    sums = closed((BELOW, 1.5), (BELOW, 1.5), local_days=(7, 7), sums=stored)
    assert scores.scores_of(sums, 6).n_days == n_days


def test_joined_sums_equal_the_sums_of_all_devices() -> None:
    one, other = closed((ABOVE, 2.5)), closed((BELOW, 1.5), local_days=(1,))
    found = scores.scores_of(scores.join_sums([one, other]), 6)
    assert (found.n_windows, found.n_events, found.n_days) == (2, 1, 2)
    assert scores.scores_of(scores.join_sums([]), 6).n_windows == 0


def test_document_has_each_figure() -> None:
    sums = closed((ABOVE, 2.5), (BELOW, 1.5))
    document = demand_scores_document(scores.scores_of(sums, 6))
    assert (document["n_windows"], document["n_events"]) == (2, 1)
    assert document["elapsed"][0]["so_far_brier"] is None
    assert document["elapsed"][0]["reliability"][2] == {"n": 1, "mean_p": 0.2, "share": 1.0}
    assert document["alarms"]["gapcast"]["announced_3_min"] == 1.0
