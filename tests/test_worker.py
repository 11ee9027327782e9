"""The process that supervises the shards of a worker."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from gapcast.app import worker
from gapcast.config.settings import Settings

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def restored_handlers() -> Iterator[None]:
    """Restore the signal handlers that a worker replaces."""
    handlers = {number: signal.getsignal(number) for number in HANDLED}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


class ShardProcess:
    """A process that ends by a signal. ``signal_at_start`` reaches the worker while the first one is started."""

    started: list[ShardProcess]
    exit_code = 0
    signal_at_start = signal.SIGTERM

    def __init__(self, *_: Any, **__: Any) -> None:
        self.signals: list[int] = []
        self.blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())  # inherited
        self.started.append(self)
        signal.raise_signal(self.signal_at_start)

    def poll(self) -> int | None:
        assert self.signals, "the worker waits for a process that it did not stop"
        return self.exit_code

    def send_signal(self, number: int) -> None:
        self.signals.append(number)


@pytest.mark.parametrize(("exit_code", "of_worker"), [(0, 0), (-signal.SIGTERM, 0), (-signal.SIGKILL, 1), (2, 2)])
def test_worker_stopped_while_it_starts_a_shard_stops_that_shard(
    monkeypatch: pytest.MonkeyPatch, exit_code: int, of_worker: int
) -> None:
    """A process that does not handle signals yet is ended by the SIGTERM, which is no error."""
    ShardProcess.started, ShardProcess.exit_code = [], exit_code
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr("subprocess.Popen", ShardProcess)
    monkeypatch.setattr(worker, "_POLL_S", 0.0)
    each = [Settings.model_validate({"gateway": {"id": "north"}, "shards": [shard]}) for shard in (0, 1)]
    assert worker.run_shards(each, []) == of_worker
    assert [process.signals for process in ShardProcess.started] == [[signal.SIGTERM]]
    assert [process.blocked >= set(HANDLED) for process in ShardProcess.started] == [True], "until they are handled"
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(HANDLED)


class ClosedTerminal(StringIO):
    """A terminal that is closed after the first time that it is asked for."""

    n_asked = 0

    def isatty(self) -> bool:
        self.n_asked += 1
        return self.n_asked == 1


def test_worker_whose_terminal_closes_at_the_start_stops_its_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard would take the SIGHUP for a request to reload: its terminal is closed already when it can ask."""
    ShardProcess.started, ShardProcess.exit_code = [], -signal.SIGTERM
    monkeypatch.setattr(ShardProcess, "signal_at_start", signal.SIGHUP)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr("subprocess.Popen", ShardProcess)
    monkeypatch.setattr("sys.stderr", ClosedTerminal())
    monkeypatch.setattr(worker, "_POLL_S", 0.0)
    assert worker.run_shards([Settings.model_validate({"gateway": {"id": "north"}, "shards": [0]})], []) == 0
    assert [process.signals for process in ShardProcess.started] == [[signal.SIGTERM]]
