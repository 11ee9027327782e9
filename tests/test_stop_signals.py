"""Signals that stop the service or reload its models, at any time."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from threading import Event, Thread
from types import FrameType
from typing import Any

import pytest

from gapcast.commands.run import HangupHandler, stop_on_signals
from gapcast.reentrant_event import ReentrantEvent
from tests.support.waiting import GUARD_S

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def restored_handlers() -> Iterator[None]:
    """Restore the handlers; SIGHUP ends this process before it is handled, also where nohup started it."""
    handlers = {number: signal.getsignal(number) for number in HANDLED}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def interrupted_at_each_line(call: Callable[[], object], handle: Callable[[], object]) -> bool:
    """Call ``call`` and interrupt each line of an event's methods by ``handle``; return whether ``call`` returned."""

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        if frame.f_globals["__name__"] not in {"threading", ReentrantEvent.__module__}:
            return None
        if event == "line":
            handle()
        return trace

    def run() -> None:
        sys.settrace(trace)
        call()

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(GUARD_S)
    return not thread.is_alive()


@pytest.mark.parametrize("name", ["set", "wait", "is_set"])
def test_stop_signal_within_a_method_of_the_event_stops(name: str) -> None:
    stopping = stop_on_signals()
    handler = signal.getsignal(signal.SIGTERM)
    assert callable(handler)
    assert interrupted_at_each_line(getattr(stopping, name), lambda: handler(signal.SIGTERM, None))
    assert stopping.is_set()


def test_stop_signal_wakes_all_threads_that_wait() -> None:
    stopping = stop_on_signals()
    threads = [Thread(target=stopping.wait, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    signal.raise_signal(signal.SIGINT)
    for thread in threads:
        thread.join(GUARD_S)
    assert not any(thread.is_alive() for thread in threads)


def test_hangup_during_the_start_reloads_when_the_application_is_there() -> None:
    reloads: list[int] = []
    stopping = Event()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # as a worker does
    signal.raise_signal(signal.SIGHUP)
    handler = HangupHandler(stopping)
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    handler.begin(lambda: reloads.append(1))
    assert len(reloads) == 1
    signal.raise_signal(signal.SIGHUP)
    assert len(reloads) == 2
    assert not stopping.is_set()


def test_hangup_after_the_start_alone_reloads_once() -> None:
    reloads: list[int] = []
    HangupHandler(Event()).begin(lambda: reloads.append(1))
    assert not reloads
    signal.raise_signal(signal.SIGHUP)
    assert len(reloads) == 1
