"""Configuration of structured logging: structlog's events, and log records of libraries that use ``logging``."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import Any, Literal, TextIO, cast

import structlog

from gapcast.observability.log_rate_limit import LibraryFilter, LogRateLimiter, as_library_event

#: Events renamed in 0.2 -> their former names, which this version also logs, so that searches and alerts find both.
FORMER_NAMES = {
    "clock.wrong": "clock.off",
    "drift.detected": "house.changed",
    "library.message": "library.said",
    "model.not_combined": "model.not_heard",
    "mqtt.messages_dropped": "mqtt.shedding",
    "mqtt.topic_affinity_confirmed": "mqtt.dealt_by_topic",
    "mqtt.topic_affinity_unknown": "mqtt.dealing_unknown",
    "state.learning_not_restored": "state.learnt_not_used",
    "state.not_persisted": "state.not_kept",
    "state.persisted_again": "state.kept_again",
    "systemd.notify_failed": "systemd.not_told",
}


class LossyStream:
    """Writes lines to ``stream``, and drops lines that cannot be written: the disk is full, or a pipe is closed.

    An error must not reach the code that logs, which may be about to connect to the broker.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write ``text`` if possible."""
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush the stream if possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def configure_logs(log_format: Literal["auto", "console", "json"], level: str, shard: int | None = None) -> None:
    """Configure logging to standard error, one event a line: readable text on a terminal, JSON otherwise.

    Each event is rate-limited. With ``shard``, every line has it as a field.
    """
    limiter = LogRateLimiter()
    readable = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=colours) if readable else structlog.processors.JSONRenderer()
    )
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _add_former_name,
    ]
    if shard is not None:
        shared.append(_add_shard(shard))
    structlog.configure(
        processors=[limiter, *shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", LossyStream(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    library_handler = logging.StreamHandler(sys.stderr)
    library_handler.addFilter(LibraryFilter(limiter))
    library_handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=[as_library_event, *shared])
    )
    logging.basicConfig(handlers=[library_handler], level=logging.WARNING, force=True)


def _add_former_name(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    former = FORMER_NAMES.get(event.get("event", ""))
    return event if former is None else {**event, "formerly": former}


def _add_shard(shard: int) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**event, "shard": shard}

    return add
