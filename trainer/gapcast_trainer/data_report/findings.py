"""Findings that matter for forecasting, as sentences with figures; only applicable findings."""

from __future__ import annotations

from gapcast.core.documents.message_format import counted
from gapcast.core.time_grid import minute_label
from gapcast.core.windows.window import MAX_FILL_MIN
from gapcast.recordings.minutes.report import Report
from gapcast_trainer.data_report.measures import DataMeasures

_HOUR_MIN, _YEAR_MIN = 60, 525_600
_FEW_READ, _MOST = 0.95, 0.5
_STILL_MIN = 180
_CLIPPED_SHARE = 1e-4
_LOW_KW = 0.05


def findings(report: Report, measured: DataMeasures) -> list[str]:
    """Return the sentences, most important first."""
    return [*_on_change(measured), *_on_gaps(report), *_on_rows(report), *_on_values(report, measured)]


def length(minutes: int) -> str:
    """Format a duration.

    >>> length(3), length(150), length(7_226)
    ('3 min', '2 h 30 min', '5 d 0 h')
    """
    if minutes < _HOUR_MIN:
        return f"{minutes} min"
    hours, rest = divmod(minutes, _HOUR_MIN)
    return f"{hours} h {rest} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"  # noqa: PLR2004 - two days


def percent(share: float, digits: int = 0) -> str:
    """Format a share in percent.

    >>> percent(0.75), percent(0.0125, 1)
    ('75 %', '1.2 %')
    """
    return f"{100 * share:.{digits}f} %"


def _on_change(measured: DataMeasures) -> list[str]:
    changes = measured.changes
    if changes is None:
        return [f"No two readings are {measured.horizon_min} minutes apart: a model cannot learn from this file."]
    share = percent(changes.largest_share_of_mse)
    if changes.largest_share_of_mse >= _MOST:
        meaning = (
            "The mean gains most from predicting a few large switches, the median from leaving other minutes alone."
        )
    else:
        meaning = "The error is not dominated by a few large switches: smaller changes contribute much of it."
    return [
        f"Half of all changes in {changes.horizon_min} minutes are below {changes.median_kw:.3f} kW. The largest 5 %, "
        f"from {changes.largest_from_kw:.2f} kW, make up {share} of persistence's squared error. {meaning}",
        f"Persistence, which assumes no change, has an MSE of {changes.mse_kw2:.4f} kW² and an MAE of "
        f"{changes.mae_kw:.4f} kW on the whole file: a model must beat that.",
    ]


def _on_gaps(report: Report) -> list[str]:
    n_long = report.n_gaps - report.n_gaps_filled
    if not report.n_gaps:
        return ["No minute is missing."]
    n_gaps = counted(report.n_gaps, "gap")
    found = [f"{percent(report.n_missing / report.n_minutes, 1)} of the minutes are missing, in {n_gaps}."]
    if report.n_gaps_filled:
        n_filled = counted(report.n_gaps_filled, "gap")
        found[0] += f" Filled by linear interpolation: {n_filled} of at most {MAX_FILL_MIN} minutes."
    if n_long:
        found[0] += f" The window restarts after {counted(n_long, 'longer gap')}."
    if report.n_readings / report.n_minutes < _FEW_READ:
        found.append("So many are missing that daily and weekly profiles and scores are biased to the measured times.")
    return found


def _on_rows(report: Report) -> list[str]:
    found = []
    if report.usual_s > _HOUR_MIN:
        found.append(
            f"The meter usually sent a value every {report.usual_s:g} s, which is used until the next one: "
            "the power is constant in between, and scores are not representative for a one-minute meter."
        )
    if report.n_minutes < _YEAR_MIN:
        found.append(f"The file spans {length(report.n_minutes)}: less than a year, so that seasons are not all in it.")
    return found


def _on_values(report: Report, measured: DataMeasures) -> list[str]:
    found = []
    if measured.n_at_top > max(10, _CLIPPED_SHARE * report.n_readings):
        found.append(
            f"{measured.n_at_top:,} readings are exactly the highest, {report.max_kw:g} kW: "
            "the meter may cut off there."
        )
    if measured.still_min >= _STILL_MIN:
        found.append(
            f"For {length(measured.still_min)} from {minute_label(measured.still_from_minute)} on, every reading is "
            f"{measured.still_kw:g} kW: a meter that stopped, or minutes that were filled in."
        )
    largest_kw = max(report.max_kw, -report.min_kw)
    if largest_kw < _LOW_KW:
        found.append(f"The highest power is {largest_kw:g} kW: was the file in kW rather than W?")
    if report.min_kw < 0:
        found.append("There is negative power: the house feeds in.")
    return found
