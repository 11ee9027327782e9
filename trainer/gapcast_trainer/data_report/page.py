"""Renders the data report as an HTML page."""

from __future__ import annotations

from datetime import UTC, tzinfo

import numpy as np

from gapcast.core.time_grid import minute_label
from gapcast.core.windows.features import MEASURED
from gapcast.recordings.minutes.report import Report
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.data_report import pictures
from gapcast_trainer.data_report.findings import findings, length, percent
from gapcast_trainer.data_report.measures import SHARES, DataMeasures, measure
from gapcast_trainer.report.page import render

_N_LONGEST, _MEDIAN = 10, 0.5


def data_report(
    series: Series, report: Report, horizon_min: int, zone: tzinfo = UTC, name: str = ""
) -> tuple[str, list[str]]:
    """Return the data report as an HTML page, and its findings as sentences for a terminal.

    Persistence is scored ``horizon_min`` minutes ahead. Times of day are in the time zone ``zone``; ``name`` is the
    name of the clean file.
    """
    measured = measure(series, horizon_min, zone)
    found = findings(report, measured)
    clock = str(zone)
    page = render(
        "data_report/page.html",
        name=name,
        report=report,
        clock=clock,
        findings=found,
        facts=_facts(report),
        over_time=pictures.over_time(measured),
        gaps=_longest(measured),
        gap_lengths=pictures.gap_lengths(measured.gap_min) if report.n_gaps else None,
        quantiles=_quantiles(report, measured),
        distribution=pictures.distribution(series, measured),
        day=pictures.day(measured, clock),
        week=pictures.week(measured, clock),
        changes=measured.changes,
        change=None if measured.changes is None else pictures.change(measured.changes),
        extra=_extra(series),
    )
    return page, found


def _facts(report: Report) -> list[list[str]]:
    return [
        ["Source", report.source],
        ["SHA-256 of the text", report.sha256],
        ["From", report.first],
        ["To", report.last],
        ["Rows", f"{report.n_rows:,}, {report.sampling}"],
        ["Minutes", f"{report.n_minutes:,} ({length(report.n_minutes)})"],
        ["Read", f"{report.n_readings:,} ({percent(report.n_readings / report.n_minutes, 2)})"],
        ["Missing", f"{report.n_missing:,}, {report.n_missing_rows:,} of them without a row"],
        ["Measured", ", ".join(("gap_kw", *report.features))],
    ]


def _longest(measured: DataMeasures) -> list[list[str]]:
    order = np.argsort(-measured.gap_min, kind="stable")[:_N_LONGEST]
    rows = []
    for k in order:
        first, n_minutes = int(measured.gap_from_minute[k]), int(measured.gap_min[k])
        rows.append([minute_label(first), minute_label(first + n_minutes - 1), length(n_minutes), f"{n_minutes:,}"])
    return rows


def _quantiles(report: Report, measured: DataMeasures) -> list[list[str]]:
    quantiles = zip(SHARES, measured.quantiles_kw, strict=True)
    return [
        ["least", f"{report.min_kw:.3f}"],
        *([f"{percent(share)} below" if share != _MEDIAN else "median", f"{kw:.3f}"] for share, kw in quantiles),
        ["most", f"{report.max_kw:.3f}"],
        ["mean", f"{report.mean_kw:.3f}"],
        ["standard deviation", f"{measured.std_kw:.3f}"],
    ]


def _extra(series: Series) -> list[list[str]]:
    rows = []
    for name, values in series.extra.items():
        read = values[~np.isnan(values)]
        quantiles = [f"{value:.2f}" for value in np.quantile(read, (0, 0.05, 0.5, 0.95, 1))] if read.size else ["–"] * 5
        rows.append([name, MEASURED[name], *quantiles, percent(read.size / values.size, 2)])
    return rows
