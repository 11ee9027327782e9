"""Runs the service in this process until a signal stops it."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from threading import Event

from gapcast.config.settings import Settings
from gapcast.reentrant_event import ReentrantEvent


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reloads the models."""
    stopping = stop_on_signals()
    hangup = HangupHandler(stopping)
    gc.disable()  # until the application runs: what is loaded is not garbage, and collections are a tenth of the start
    try:
        from gapcast.app.application import Application
        from gapcast.app.broker.topics import log_former_keys
        from gapcast.observability.logs import configure_logs

        configure_logs(settings.log.format, settings.log.level, settings.shards[0] if settings.shards else None)
        log_former_keys(settings)
        faulthandler.enable()  # prints the stack of each thread when a watchdog ends the process by SIGABRT
        with closing(Application(settings, os.environ)) as application:  # also if it does not come to run
            hangup.begin(application.reload)
            application.run(stopping)
    finally:
        gc.enable()


def stop_on_signals() -> Event:
    """Return an event that SIGTERM and SIGINT set."""
    stopping = ReentrantEvent()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping


class HangupHandler:
    """Handles SIGHUP: it reloads the models, or stops the service if it was sent because the terminal was closed."""

    def __init__(self, stopping: Event) -> None:
        """Handle SIGHUP from now on, which may set ``stopping``; unblock what a worker has blocked until now."""
        self._stopping = stopping
        self._had_terminal = sys.stderr.isatty()
        self._is_due = False
        self._reload = self._defer
        signal.signal(signal.SIGHUP, self._handle)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP, signal.SIGTERM, signal.SIGINT})

    def begin(self, reload: Callable[[], None]) -> None:
        """Call ``reload`` at each SIGHUP, and now if there was one before."""
        self._reload = reload
        if self._is_due:
            reload()

    def _defer(self) -> None:
        self._is_due = True

    def _handle(self, *_: object) -> None:
        if self._had_terminal and not sys.stderr.isatty():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # writing to a closed terminal would fail
            self._stopping.set()
        else:
            self._reload()
