"""Streaming queries of the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from pyspark.sql.streaming.query import StreamingQuery

from gapcast_fleet.scoring.query_run import run_query
from tests.support.waiting import wait_until


def run_to_end(start: Callable[[], StreamingQuery]) -> list[str]:
    """Run a query like the commands do, until it ends; return the printed lines."""
    lines: list[str] = []
    run_query(start, lines.append, Event())
    return lines


@contextmanager
def running_query(start: Callable[[], StreamingQuery]) -> Iterator[Callable[[Callable[[], object], str], None]]:
    """Run a query like the commands do, in a thread, and stop it at the end of the block.

    The yielded function waits until a condition is true; it fails at once if the query has ended.
    """
    stopping = Event()
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(run_query, start, lambda _line: None, stopping)

        def wait_for(condition: Callable[[], object], what: str) -> None:
            wait_until(lambda: ended.done() or condition(), what)
            assert not ended.done(), f"the query ended before {what}: {ended.exception()}"

        try:
            yield wait_for
        finally:
            stopping.set()
        ended.result()
