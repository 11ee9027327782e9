"""Runs a back-test in several processes, each with an engine over some of the houses.

They share only their progress and the request to stop. The results equal a single process's results to the last bit:
each house is in batches of the same minutes.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gapcast.backtest.inputs.houses import FilePart, minutes_of, shares_of
from gapcast.backtest.request import BacktestRequest
from gapcast.backtest.results.results import Backtest, join_backtests
from gapcast.backtest.run import BATCH_READINGS, read_houses, run_recordings
from gapcast.config.machine.processors import n_usable_processors
from gapcast.config.refit_choice import refits_in_backtest
from gapcast.config.settings import Settings
from gapcast.core.errors import GapcastError, SettingsError
from gapcast.observability.logs import configure_logs
from gapcast.recordings.recording import Recording
from gapcast.recordings.text.layout import FileFormat

#: Readings for which a process is started by default: starting it and loading the models takes a second, in which the
#: present process runs some 50,000 readings.
READINGS_EACH = 100_000


class SharedProgress:
    """How many readings each process has processed, and whether all processes are to stop.

    Each number has one writer, so that no process waits for a lock of a killed process.
    """

    def __init__(self, numbers: Any) -> None:
        """Share ``numbers``, a raw array: one for each process, and a last one, 1 if the processes are to stop."""
        self.numbers = numbers

    def add(self, index: int, n: int) -> int:
        """Add ``n`` readings of the process ``index``; return the number of readings of all processes."""
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
    """Yield ``n`` new processes and the progress that they share with this process.

    After an error they stop at their next batch.
    """
    context = get_context("spawn")  # a fork would copy the locks of the runtimes' threads, but not the threads
    shared = SharedProgress(context.RawArray("q", n + 2))
    with ProcessPoolExecutor(n, context, _begin, (shared.numbers,)) as pool:
        try:
            yield pool, shared
        except BaseException:
            shared.stop()
            raise


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT, also in the processes started in the block, which would print a traceback before they ignore it.

    A Ctrl-C interrupts this process after the block.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_shared_here: list[SharedProgress] = []  # of a process that a pool has started


def _begin(numbers: Any) -> None:  # pragma: no cover - runs in a process of its own
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets the signal too, and stops this process
    configure_logs("auto", "warning")
    _shared_here.append(SharedProgress(numbers))


def shared_progress() -> SharedProgress:  # pragma: no cover - runs in a process of its own
    """Return the progress that this process, started by a pool, shares."""
    return _shared_here[0]


@dataclass(frozen=True, slots=True)
class HouseGroup:
    """Houses that one process runs: their ``recordings`` by name.

    ``shares`` are the readings of each house in each batch when all houses are in one process.
    """

    settings: Settings
    recordings: Mapping[str, Recording]
    part: FilePart
    request: BacktestRequest
    shares: tuple[int, ...]

    def run(self, advance: Callable[[int], object]) -> Backtest:
        """Run the engine over the houses of the group; call ``advance`` with the number of readings of each batch."""
        return run_recordings(
            self.settings, self.recordings, self.part, self.request, shares=self.shares, advance=advance
        )

    def portable(self) -> HouseGroup:
        """Return the group in a form that can be sent to another process: without read-only views of dictionaries."""
        recordings = {}
        for name, one in self.recordings.items():
            series = replace(one.series, extra=dict(one.series.extra), submeters=dict(one.series.submeters))
            recordings[name] = replace(one, series=series)
        return replace(self, recordings=recordings)


def n_processes_for(jobs: int | None, lengths: Sequence[int]) -> int:
    """Return how many processes run houses with these numbers of readings: ``jobs``, but at most one per house.

    ``jobs`` None: one per processor that this process may use, and at most one per :data:`READINGS_EACH` readings.

    >>> n_processes_for(4, [10, 10]), n_processes_for(None, [10, 10])
    (2, 1)
    """
    if jobs is None:
        jobs = min(n_usable_processors(), sum(lengths) // READINGS_EACH)
    return max(1, min(jobs, len(lengths)))


def split_houses(lengths: Mapping[str, int], n_groups: int) -> list[list[str]]:
    """Split the houses into ``n_groups`` with about equal numbers of readings, in their order, the largest group first.

    >>> split_houses({"a": 3, "b": 9, "c": 5}, 2)
    [['b'], ['a', 'c']]
    """
    groups: list[list[str]] = [[] for _ in range(n_groups)]
    sizes = [0] * n_groups
    for name in sorted(lengths, key=lambda name: -lengths[name]):
        smallest = sizes.index(min(sizes))
        groups[smallest].append(name)
        sizes[smallest] += lengths[name]
    largest_first = sorted(range(n_groups), key=lambda i: -sizes[i])
    return [[name for name in lengths if name in groups[i]] for i in largest_first]


def run_files(  # noqa: PLR0913 - the last ones by keyword
    settings: Settings,
    files: Sequence[Path],
    form: FileFormat,
    part: FilePart,
    request: BacktestRequest | None = None,
    *,
    jobs: int | None = None,
    show: Callable[[str], object] | None = None,
) -> Backtest:
    """Run the engine configured by ``settings`` over ``files``, one house each, in at most ``jobs`` processes.

    Uses one process if houses are refitted or differ in their submeters, or if ``request`` writes a file; see
    :func:`n_processes_for`. ``show`` is called with a description of each file; without it there is no progress bar
    either. Raises :class:`SourceError` for a bad file, :class:`SettingsError` for a bad option, or if a process ends
    without a result, and :class:`ModelError` for a bad model.
    """
    request = request or BacktestRequest()
    recordings = read_houses(settings, files, form, part, show)
    lengths = {name: len(minutes_of(recording, part)) for name, recording in recordings.items()}
    is_mixed = len({one.submeters for one in recordings.values()}) > 1
    is_single = request.writes_files or is_mixed or refits_in_backtest(settings)
    n_processes = 1 if is_single else n_processes_for(jobs, [*lengths.values()])
    if n_processes == 1:
        return run_recordings(settings, recordings, part, request, quiet=show is None)
    shares = tuple(shares_of(lengths.values(), BATCH_READINGS))
    groups = [
        HouseGroup(settings, {name: recordings[name] for name in names}, part, request, shares)
        for names in split_houses(lengths, n_processes)
    ]
    return run_groups(groups, [*recordings], quiet=show is None)


def run_groups(groups: Sequence[HouseGroup], names: Sequence[str], *, quiet: bool = True) -> Backtest:
    """Run each of ``groups`` in a process, the first in this one; return the results in the order of the ``names``.

    Raises the errors of :func:`run_files`.
    """
    start_s = time.perf_counter()
    first, *others = groups
    with process_pool(len(others)) as (pool, shared), tqdm(unit=" readings", disable=quiet or None) as bar:
        with _interrupts_blocked():  # the first submission starts all processes
            waiting = [pool.submit(_run_group, group.portable(), index) for index, group in enumerate(others, 1)]
        try:
            found = [first.run(lambda n: bar.update(shared.add(0, n) - bar.n))]
            found += [future.result() for future in waiting]
        except BrokenProcessPool as error:
            msg = f"--jobs {len(groups)}: a process ended without a result (possibly out of memory): use --jobs 1"
            raise SettingsError(msg) from error
        bar.update(shared.add(0, 0) - bar.n)
    return join_backtests(found, names, time.perf_counter() - start_s)


def _run_group(group: HouseGroup, index: int) -> Backtest:  # pragma: no cover - runs in a process of its own
    shared = shared_progress()

    def advance(n: int) -> None:
        shared.add(index, n)
        if shared.is_stopping:
            msg = "the back-test was stopped"
            raise GapcastError(msg)

    return group.run(advance)
