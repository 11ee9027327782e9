"""The figures of the targets as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence

from bench.fuzz.process import Figures
from bench.report import markdown_table

_HEAD = ("target", "s", "executions", "per s", "edges", "features", "corpus", "peak MB", "findings")


def figures_table(figures: Sequence[Figures]) -> str:
    """Return a table with a row for each target and a total."""
    rows = [
        (
            one.target, f"{one.seconds:.0f}", f"{one.n_executions:,}", f"{one.per_s:,.0f}", f"{one.edges:,}",
            f"{one.features:,}", f"{one.corpus:,}", f"{one.peak_mb}", str(len(one.findings)),
        )
        for one in figures
    ]  # fmt: skip
    seconds, n_executions = sum(one.seconds for one in figures), sum(one.n_executions for one in figures)
    n_findings = sum(len(one.findings) for one in figures)
    total = ("all", f"{seconds:.0f}", f"{n_executions:,}", "", "", "", "", "", str(n_findings))
    return markdown_table(_HEAD, [*rows, total])
