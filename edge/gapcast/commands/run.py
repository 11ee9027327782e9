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


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reloads the models."""
    gc.disable()  # until the application runs: loading makes no garbage, and collections take a tenth of the start
    try:
        from gapcast.app.application import Application
        from gapcast.observability.logs import configure_logs

        configure_logs(settings.log.format, settings.log.level, settings.shards[0] if settings.shards else None)
        faulthandler.enable()  # prints the stack of each thread when a watchdog ends the process by SIGABRT
        stopping = stop_on_signals()
        with closing(Application(settings, os.environ)) as application:  # also if it never runs
            reload_on_hangup(application.reload, stopping)
            application.run(stopping)
    finally:
        gc.enable()


def stop_on_signals() -> Event:
    """Return an event that SIGTERM and SIGINT set."""
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping


def reload_on_hangup(reload: Callable[[], None], stopping: Event) -> None:
    """Let SIGHUP call ``reload``, or stop if it was sent because the terminal was closed."""
    had_terminal = sys.stderr.isatty()

    def on_hangup(*_: object) -> None:
        if had_terminal and not sys.stderr.isatty():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # writing to a closed terminal would fail
            stopping.set()
        else:
            reload()

    signal.signal(signal.SIGHUP, on_hangup)
