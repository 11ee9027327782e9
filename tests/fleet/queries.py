"""Streaming queries of the tests."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

from pyspark.sql.streaming.query import StreamingQuery

from gapcast_fleet.scoring.query_run import run_query


def run_to_end(start: Callable[[], StreamingQuery]) -> list[str]:
    """Run a query as the commands do, until it ends; return the lines that they print."""
    lines: list[str] = []
    run_query(start, lines.append, Event())
    return lines
