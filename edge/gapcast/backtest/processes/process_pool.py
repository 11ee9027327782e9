"""The processes of a back-test: they share their progress, and the request to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from gapcast.observability.logs import configure_logs


class SharedProgress:
    """How many readings each process has processed, and whether all are to stop.

    Each number has one writer, so that no process waits for one that was killed with a lock.
    """

    def __init__(self, numbers: Any) -> None:
        """Share ``numbers``, a raw array: one for each process, and one more, which is 1 if they are to stop."""
        self.numbers = numbers

    def add(self, index: int, n: int) -> int:
        """Add ``n`` readings of the process ``index``; return the number of those of all processes."""
        self.numbers[index] += n
        return sum(self.numbers[:-1])

    def stop(self) -> None:
        """Request that the processes stop."""
        self.numbers[-1] = 1

    @property
    def is_stopping(self) -> bool:
        """Whether the processes are to stop."""
        return bool(self.numbers[-1])


@contextmanager
def process_pool(n: int) -> Iterator[tuple[ProcessPoolExecutor, SharedProgress]]:
    """Yield ``n`` new processes and the progress that they share with this one.

    After an error they stop at their next batch.
    """
    context = get_context("spawn")  # a fork would copy the threads' locks, but not the threads, of the runtimes
    shared = SharedProgress(context.RawArray("q", n + 2))
    with ProcessPoolExecutor(n, context, _begin, (shared.numbers,)) as pool:
        try:
            yield pool, shared
        except BaseException:
            shared.stop()
            raise


_shared_here: list[SharedProgress] = []  # of a process that a pool has started


def _begin(numbers: Any) -> None:  # pragma: no cover - runs in a process of its own
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # that which started this one gets it too, and stops it
    configure_logs("auto", "warning")
    _shared_here.append(SharedProgress(numbers))


def shared_progress() -> SharedProgress:  # pragma: no cover - runs in a process of its own
    """Return the progress that this process, which a pool has started, shares."""
    return _shared_here[0]
