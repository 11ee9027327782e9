"""Configuration of structured logging: structlog's events, and those of libraries that use ``logging``."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog

from gapcast.observability.log_rate_limit import LibraryFilter, LogBudget, as_library_event


def configure_logs(log_format: Literal["auto", "console", "json"], level: str, shard: int | None = None) -> None:
    """Configure logging to standard error, one event a line: readable text on a terminal, JSON otherwise.

    Each event is rate-limited. With ``shard``, every line has it as a field.
    """
    budget = LogBudget()
    readable = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if readable else structlog.processors.JSONRenderer()
    )
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    if shard is not None:
        shared.append(_add_shard(shard))
    structlog.configure(
        processors=[budget, *shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    library_handler = logging.StreamHandler(sys.stderr)
    library_handler.addFilter(LibraryFilter(budget))
    library_handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=[as_library_event, *shared])
    )
    logging.basicConfig(handlers=[library_handler], level=logging.WARNING, force=True)


def _add_shard(shard: int) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**event, "shard": shard}

    return add
