"""The results as Markdown tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bench.footprint import Footprint
from bench.latency import Latency
from bench.page import PageFigures
from bench.predict_latency import PredictLatency
from bench.throughput import Pace, ThroughputComparison

Row = Sequence[str]


def machine_lines(machine: dict[str, object]) -> str:
    """Return the machine, one fact a line."""
    return "\n".join(f"{name:22}{value}" for name, value in machine.items())


def ceiling_table(paces: list[Pace]) -> str:
    """Return the throughput of broker and generator alone."""
    head = ("broker and generator alone", "QoS", "readings/s", "broker us", "generator us")
    rows = [
        (pace.name, f"{pace.qos}", f"{pace.per_s:,.0f}", f"{pace.broker_cpu_us:.1f}", f"{pace.generator_cpu_us:.1f}")
        for pace in paces
    ]
    return markdown_table(head, rows)


def throughput_table(comparisons: list[ThroughputComparison], title: str = "throughput") -> str:
    """Return throughput, CPU time and memory, and ratios to the baseline."""
    head = (title, "QoS", "in flight", "readings/s", "ratio", "min–max", "CPU µs", "CPU ratio", "peak MB", "lost")
    rows = [
        (
            one.name,
            f"{one.qos}",
            f"{one.window:,}",
            f"{one.per_s:,.0f}",
            f"{one.ratio:.2f}",
            f"{one.ratio_min:.2f}–{one.ratio_max:.2f}",
            f"{one.cpu_us:.1f}",
            f"{one.ratio_cpu:.2f}",
            f"{one.peak_mb:.0f}",
            f"{one.n_lost}",
        )
        for one in comparisons
    ]
    return markdown_table(head, rows)


def latency_table(latencies: list[Latency], baseline: str) -> str:
    """Return percentiles and CPU time, and their ratios to the subject named ``baseline``."""
    head = (
        *("latency, 1,000 readings/s", "QoS", "broker's nodelay", "p50 ms", "ratio", "p90 ms", "p99 ms", "ratio"),
        *("max ms", "CPU µs", "ratio", "missing"),
    )
    bases = {(one.qos, one.nodelay): one for one in latencies if one.name == baseline}
    rows = []
    for one in latencies:
        base = bases[one.qos, one.nodelay]
        rows.append(
            (
                one.name,
                f"{one.qos}",
                "yes" if one.nodelay else "no",
                f"{one.p50_ms:.2f}",
                f"{one.p50_ms / base.p50_ms:.1f}",
                f"{one.p90_ms:.2f}",
                f"{one.p99_ms:.2f}",
                f"{one.p99_ms / base.p99_ms:.1f}",
                f"{one.max_ms:.1f}",
                f"{one.cpu_us:.0f}",
                f"{one.cpu_us / base.cpu_us:.2f}",
                f"{one.n_missing}",
            )
        )
    return markdown_table(head, rows)


def summary_table(
    names: Sequence[str], comparisons: list[ThroughputComparison], latencies: list[Latency], baseline: str
) -> str:
    """Return the README's figures of ``names``: throughput by window, and single readings at QoS 1.

    In brackets: relative to ``baseline``.
    """
    paces = {(one.name, one.window, one.qos): one for one in comparisons}
    times = {one.name: one for one in latencies if one.qos == 1 and one.nodelay == latencies[-1].nodelay}
    windows = sorted({one.window for one in comparisons})
    head = (
        "readings/s, QoS 0 / 1",
        *(f"{window:,} in flight" for window in windows),
        *("single readings, p50 / p99", "CPU per reading", "memory"),
    )
    rows = []
    for name in names:
        time, of_name = times[name], [[paces[name, window, qos] for qos in (0, 1)] for window in windows]
        rows.append(
            (
                name,
                *(" / ".join(f"{one.per_s:,.0f} ({one.ratio:.2f})" for one in pair) for pair in of_name),
                f"{time.p50_ms:.1f} / {time.p99_ms:.1f} ms",
                f"{time.cpu_us:.0f} µs ({time.cpu_us / times[baseline].cpu_us:.1f})",
                f"{max(one.peak_mb for one in of_name[0]):.0f} MB",
            )
        )
    return markdown_table(head, rows)


def predict_table(latencies: list[PredictLatency]) -> str:
    """Return the latencies of the requests, and of the concurrent readings."""
    head = (
        "GET /predict beside 1,000 readings/s",
        "requested/s",
        "completed/s",
        "failed",
        "p50 ms",
        "p99 ms",
        "max ms",
        "reading p50 ms",
        "reading p99 ms",
    )
    rows = [
        (
            one.name,
            f"{one.wanted_per_s:,}",
            f"{one.answered_per_s:,.0f}",
            f"{one.n_failed}",
            f"{one.p50_ms:.2f}",
            f"{one.p99_ms:.2f}",
            f"{one.max_ms:.1f}",
            f"{one.reading_p50_ms:.2f}",
            f"{one.reading_p99_ms:.2f}",
        )
        for one in latencies
    ]
    return markdown_table(head, rows)


def page_table(shown: list[PageFigures]) -> str:
    """Return load times and frame times of the page."""
    head = ("the page", "usable ms", "min–max", "kB", "frame p50 ms", "p99 ms", "max ms", "frames", "rows at most")
    rows = [
        (
            one.name,
            f"{statistics.median(one.usable_ms):.0f}",
            f"{min(one.usable_ms):.0f}–{max(one.usable_ms):.0f}",
            f"{one.n_bytes / 1e3:.0f}",
            f"{one.frame_p50_ms:.1f}",
            f"{one.frame_p99_ms:.1f}",
            f"{one.frame_max_ms:.1f}",
            f"{one.n_frames:,}",
            f"{one.most_rows}",
        )
        for one in shown
    ]
    return markdown_table(head, rows)


def footprint_table(footprints: list[Footprint]) -> str:
    """Return start times and memory."""
    head = (
        *("start and memory", "start s", "min–max", "CPU s", "idle RSS MB", "PSS MB"),
        *("devices", "RSS grown MB", "kB per device", "restart with them s"),
    )
    rows = [
        (
            one.name,
            f"{one.start_s:.2f}",
            f"{one.start_min_s:.2f}–{one.start_max_s:.2f}",
            f"{one.start_cpu_s:.2f}",
            f"{one.rss_idle_mb:.1f}",
            f"{one.pss_idle_mb:.1f}",
            f"{one.n_devices:,}",
            f"{one.rss_grown_mb:.1f}",
            f"{1e3 * one.rss_grown_mb / one.n_devices:.0f}",
            f"{one.restart_s:.2f}",
        )
        for one in footprints
    ]
    return markdown_table(head, rows)


def markdown_table(head: Row, rows: Sequence[Row]) -> str:
    """Return a Markdown table whose columns are also aligned on a terminal.

    >>> print(markdown_table(("what", "ms"), [("echo", "0.25")]))
    | what |   ms |
    | :--- | ---: |
    | echo | 0.25 |
    """
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    rule = [":" + "-" * (width - 1) if not column else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return "\n".join(
        "| "
        + " | ".join(_pad(cell, width, left=not at) for at, (cell, width) in enumerate(zip(row, widths, strict=True)))
        + " |"
        for row in (head, rule, *rows)
    )


def _pad(cell: str, width: int, *, left: bool) -> str:
    return cell.ljust(width) if left else cell.rjust(width)
