"""Scores of demands: probabilities and alarms of closed billing windows, compared with two simple rules.

A window is scored if a limit applied and its mean is known. Its probability is scored at three times: the start, and
after one and two thirds of the window. The rules forecast 0 or 1: `persistence` extrapolates the mean so far with the
last reading, `so_far` assumes that the mean so far is the mean of the window. An alarm is the first minute of a window
at which the probability is at least one half. Only sums are stored.

The Brier score is the mean squared difference of probability and outcome (Brier 1950). The log score is the mean of
``-ln`` of the probability of the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.documents.figures import ratio_or_none

#: Minutes of the longest window: waiting demands are indexed by minutes elapsed.
LONGEST_MIN = 60
#: Values of a waiting demand: its probability, its limit, and the forecasts of the two rules. Power in kW.
P_EXCEED, LIMIT, PERSISTENCE, SO_FAR = range(4)
#: Sources of alarms: the demand, and the rules.
SOURCES = ("gapcast", "persistence", "so_far")
#: An alarm is raised from this probability on.
ALARM_FROM = 0.5
#: An alarm announces a window above its limit if at least this many minutes of the window are left.
ANNOUNCED_MIN = (3, 5)
#: Bins of the reliability: tenths of the probability.
N_BINS = 10
#: Days over which alarms are counted.
MONTH_DAYS = 30
N_THIRDS = 3

# Sums of each third: number, events, Brier score, log score, and the scores of the rules; the bins follow.
N, EVENTS, BRIER, LOG, PERSISTENCE_BRIER, SO_FAR_N, SO_FAR_BRIER = range(7)
BINS = 7
N_OF_THIRD = BINS + 3 * N_BINS  # number, sum of probabilities and events of each bin
# Sums of windows, and of the alarms of each source: number, false alarms, and windows announced in time.
WINDOWS, ABOVE, DAYS, LAST_DAY = (N_THIRDS * N_OF_THIRD + i for i in range(4))
ALARMS = LAST_DAY + 1
N_OF_ALARMS = 2 + len(ANNOUNCED_MIN)
#: Number of sums per device.
N_SUMS = ALARMS + len(SOURCES) * N_OF_ALARMS


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The ``n`` cases with a probability in one tenth: the mean ``mean_p``, and the ``share`` above the limit."""

    n: int
    mean_p: float | None
    share: float | None


@dataclass(frozen=True, slots=True)
class ElapsedScore:
    """The scores of the probability when ``elapsed_min`` minutes of the window were over; None without a case.

    ``persistence_brier`` and ``so_far_brier`` are the Brier scores of the rules; the latter is None at the start.
    """

    elapsed_min: int
    n: int
    n_events: int
    brier: float | None
    log_score: float | None
    persistence_brier: float | None
    so_far_brier: float | None
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class AlarmScore:
    """The alarms of one source.

    ``announced`` are the shares of the windows above the limit that were announced in time, for each of
    :data:`ANNOUNCED_MIN`; None without such a window. ``per_month`` is per 30 days on which a limit applied, by the
    local clock.
    """

    n: int
    n_false: int
    per_month: float | None
    announced: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class DemandScores:
    """The scores of a device's demands: ``n_windows`` scored windows on ``n_days`` days, ``n_events`` above the limit.

    ``by_elapsed`` has a score for each number of minutes elapsed, ``alarms`` one for each source.
    """

    n_windows: int
    n_events: int
    n_days: int
    by_elapsed: tuple[ElapsedScore, ...]
    alarms: dict[str, AlarmScore]


def initial_sums() -> F64:
    """Return the initial sums of a device, ``[N_SUMS]``."""
    sums = np.zeros(N_SUMS)
    sums[LAST_DAY] = -1.0
    return sums


def initial_demands() -> F64:
    """Return the waiting demands of a window without demands, ``[60, 4]``."""
    return np.full((LONGEST_MIN, 4), np.nan)


def elapsed_times_of(window_min: int) -> tuple[int, ...]:
    """Return the minutes elapsed at which the probability is scored.

    >>> elapsed_times_of(15), elapsed_times_of(10)
    ((0, 5, 10), (0, 3, 6))
    """
    return tuple(window_min * third // N_THIRDS for third in range(N_THIRDS))


def scores_of(sums: F64, window_min: int) -> DemandScores:
    """Return the scores for the ``sums`` ``[N_SUMS]`` of a device whose windows have ``window_min`` minutes."""
    n_windows, n_events, n_days = (round(float(sums[i])) for i in (WINDOWS, ABOVE, DAYS))
    by_elapsed = tuple(
        _elapsed_score(elapsed_min, sums[third * N_OF_THIRD : (third + 1) * N_OF_THIRD])
        for third, elapsed_min in enumerate(elapsed_times_of(window_min))
    )
    alarms = {
        source: _alarm_score(sums[ALARMS + i * N_OF_ALARMS : ALARMS + (i + 1) * N_OF_ALARMS].tolist(), n_events, n_days)
        for i, source in enumerate(SOURCES)
    }
    return DemandScores(n_windows, n_events, n_days, by_elapsed, alarms)


def join_sums(parts: list[F64]) -> F64:
    """Return the sums over several devices; days of different devices count separately."""
    total = np.zeros(N_SUMS)
    for part in parts:
        total += part
    total[LAST_DAY] = -1.0
    return total


def _elapsed_score(elapsed_min: int, sums: F64) -> ElapsedScore:
    values = sums.tolist()
    n = values[N]
    bins = tuple(
        ReliabilityBin(round(of_bin), ratio_or_none(total, of_bin), ratio_or_none(events, of_bin))
        for of_bin, total, events in sums[BINS:].reshape(N_BINS, 3).tolist()
    )
    return ElapsedScore(
        elapsed_min,
        round(n),
        round(values[EVENTS]),
        ratio_or_none(values[BRIER], n),
        ratio_or_none(values[LOG], n),
        ratio_or_none(values[PERSISTENCE_BRIER], n),
        ratio_or_none(values[SO_FAR_BRIER], values[SO_FAR_N]),
        bins,
    )


def _alarm_score(sums: list[float], n_events: int, n_days: int) -> AlarmScore:
    n, n_false, *announced = sums
    per_month = ratio_or_none(MONTH_DAYS * n, n_days)
    return AlarmScore(round(n), round(n_false), per_month, tuple(ratio_or_none(one, n_events) for one in announced))
