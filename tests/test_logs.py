"""Log lines: all events are documented with their fields and rate limited, also those of libraries."""

from __future__ import annotations

import ast
import errno
import functools
import io
import json
import logging
import re
import sys
from pathlib import Path
from typing import Any, Literal, NoReturn

import pytest
import structlog

from gapcast.observability.log_rate_limit import BURST, PER_S, LibraryFilter, LogRateLimiter, as_library_event
from gapcast.observability.logs import FORMER_NAMES, configure_logs
from tests.support.optional_tools import ROOT

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
EVENT = re.compile(r"[a-z]+\.[a-z_]+")
#: What is not written out where it is logged.
SPREAD = {
    "service.stopped": {"accepted", "duplicate", "late", "rejected"},
    "internal.error": {"exception"},
    "model.failed": {"exception"},
    "mqtt.connected": {"mqtt5_problem"},
    **{event: {"windows", "took_s", "peak_mb", "mse_skill", "mae_skill"} for event in ("refit.used", "refit.not_used")},
}


def logged_at(call: ast.Call) -> bool:
    """Whether a call logs: ``log.warning``, ``log_it`` (one of two levels), or ``_warn_once``."""
    function = call.func
    if isinstance(function, ast.Attribute):
        of_log = isinstance(function.value, ast.Name) and function.value.id == "log" and function.attr in LEVELS
        return of_log or function.attr == "_warn_once"
    return isinstance(function, ast.Name) and function.id == "log_it"


@functools.cache
def log_calls() -> tuple[tuple[Path, ast.Call], ...]:
    """Each call of the edge that logs, with its file."""
    return tuple(
        (path, node)
        for path in (ROOT / "edge").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and logged_at(node)
    )


def events_in_code() -> dict[str, set[str]]:
    """Each event that the edge logs, with the fields that it has anywhere."""
    found: dict[str, set[str]] = {}
    for path, node in log_calls():
        name = node.args[0]
        if isinstance(name, ast.Name):  # _warn_once's own
            assert path.name == "session_warnings.py"
            continue
        assert isinstance(name, ast.Constant), f"{path}, line {node.lineno}: an event has a fixed name"
        assert EVENT.fullmatch(str(name.value)), f"{path}, line {node.lineno}: {name.value!r}"
        fields = {keyword.arg for keyword in node.keywords if keyword.arg}
        fields = {"exception" if field == "exc_info" else field for field in fields}  # as it is written
        found.setdefault(str(name.value), set()).update(fields)
    return found


def events_on_page() -> dict[str, tuple[str, set[str], str]]:
    page = (ROOT / "docs" / "logs.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z._]+)` \| ([a-z, ]+) \| (.*?) \| (.*) \|$", page, re.MULTILINE)
    return {event: (level, set(re.findall(r"`(\w+)`", fields)), fix) for event, level, fields, fix in rows}


@pytest.mark.long
@pytest.mark.once
def test_log_events_are_documented_with_their_fields() -> None:
    documented = {event: fields for event, (_, fields, _) in events_on_page().items() if event != "library.message"}
    logged = {event: fields | SPREAD.get(event, set()) for event, fields in events_in_code().items()}
    assert len(logged) > 25
    assert documented == logged


def test_log_events_documented_have_a_meaning() -> None:
    for event, (level, _, fix) in events_on_page().items():
        assert set(level.split(", ")) <= LEVELS, event
        assert len(fix) > 20, event


@pytest.mark.long
@pytest.mark.once
def test_log_levels_documented_match_the_code() -> None:
    levels: dict[str, set[str]] = {}
    for _, node in log_calls():
        if isinstance(node.func, ast.Attribute) and isinstance(node.args[0], ast.Constant):
            level = node.func.attr.replace("exception", "error").replace("_warn_once", "warning")
            levels.setdefault(str(node.args[0].value), set()).add(level)
    assert levels
    for event, found in levels.items():
        assert set(events_on_page()[event][0].split(", ")) == found, event


# --- the rate limit -----------------------------------------------------------------------------------


def passed(limiter: LogRateLimiter, event: str, n: int) -> list[dict[str, Any]]:
    entries = []
    for _ in range(n):
        try:
            entries.append(dict(limiter(None, "warning", {"event": event})))
        except structlog.DropEvent:
            continue
    return entries


def test_log_rate_limit_allows_a_burst_then_a_rate() -> None:
    now_s = 0.0
    limiter = LogRateLimiter(lambda: now_s)
    assert passed(limiter, "clock.wrong", 500) == [{"event": "clock.wrong"}] * int(BURST)
    assert passed(limiter, "meter.slow", 1) == [{"event": "meter.slow"}]  # each has its own
    now_s = 1 / PER_S
    assert passed(limiter, "clock.wrong", 500) == [{"event": "clock.wrong", "omitted": 500 - int(BURST)}]


def test_log_rate_limit_is_of_each_kind_of_internal_error() -> None:
    limiter = LogRateLimiter(lambda: 0.0)
    kinds = [("message", "ValueError"), ("message", "KeyError"), ("http", "ValueError")]
    for _ in range(int(BURST)):
        for part, kind in kinds:
            assert limiter(None, "", {"event": "internal.error", "part": part, "kind": kind})
    for part, kind in kinds:
        with pytest.raises(structlog.DropEvent):
            limiter(None, "", {"event": "internal.error", "part": part, "kind": kind})


def test_log_rate_limit_counts_omitted_lines_of_libraries() -> None:
    now_s = 0.0
    library = LibraryFilter(LogRateLimiter(lambda: now_s))
    record = logging.LogRecord("uvicorn.error", logging.WARNING, "", 0, "invalid", (), None)
    assert sum(library.filter(record) for _ in range(100)) == BURST
    now_s = 1 / PER_S
    assert library.filter(record)
    entry = as_library_event(None, "", {"event": "invalid", "_record": record})
    assert (entry["event"], entry["text"], entry["omitted"]) == ("library.message", "invalid", 100 - BURST)


def test_log_rate_limit_is_bounded_for_many_texts() -> None:
    limiter = LogRateLimiter(lambda: 0.0)
    assert len([1 for i in range(5_000) if limiter.try_consume(f"text {i}") is not None]) == 256 + int(BURST)


@pytest.fixture
def log_lines(capsys: pytest.CaptureFixture[str], restored_logs: None) -> Any:
    """Read what the service logs, as JSON, once the test has configured logs as a service does."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    return read


@pytest.mark.parametrize("log_format", ["json", "auto"])  # not on a terminal
def test_log_lines_are_json_and_rate_limited(log_lines: Any, log_format: Literal["json", "auto"]) -> None:
    configure_logs(log_format, "info")
    log = structlog.get_logger("test")
    for i in range(100):
        log.warning("meter.slow", device=f"meter-{i}")
    log.info("service.stopped", all_confirmed=True)
    entries = log_lines()
    assert len(entries) == BURST + 1
    assert entries[0] == {
        "event": "meter.slow", "device": "meter-0", "level": "warning", "timestamp": entries[0]["timestamp"],
    }  # fmt: skip
    assert entries[-1]["event"] == "service.stopped"
    assert entries[-1]["timestamp"].endswith("Z")


def test_log_lines_of_a_worker_have_its_shard(log_lines: Any) -> None:
    configure_logs("json", "info", shard=0)
    structlog.get_logger("test").info("service.stopped")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert [entry["shard"] for entry in log_lines()] == [0, 0]


def test_log_events_renamed_have_their_former_name(log_lines: Any) -> None:
    configure_logs("json", "info")
    for name in FORMER_NAMES:
        structlog.get_logger().warning(name)
    structlog.get_logger().warning("meter.slow")
    found = {entry["event"]: entry.get("formerly") for entry in log_lines()}
    assert found == {**FORMER_NAMES, "meter.slow": None}
    assert {*FORMER_NAMES} <= {*events_on_page()}


def test_log_lines_of_libraries_are_rate_limited_events(log_lines: Any) -> None:
    configure_logs("json", "info")
    for _ in range(100):
        logging.getLogger("uvicorn.error").warning("Invalid %s request received.", "HTTP")
    logging.getLogger("uvicorn.error").info("Started server process")
    entries = log_lines()
    assert len(entries) == BURST
    assert {key: entries[0][key] for key in ("event", "level", "logger", "text")} == {
        "event": "library.message", "level": "warning", "logger": "uvicorn.error",
        "text": "Invalid HTTP request received.",
    }  # fmt: skip


def test_log_console_format_writes_a_line_for_each_event(capsys: pytest.CaptureFixture[str], log_lines: Any) -> None:
    configure_logs("console", "info")
    structlog.get_logger("test").info("http.listening", port=8080)
    (line,) = capsys.readouterr().err.splitlines()
    assert "http.listening" in line
    assert "port=8080" in line


class TerminalText(io.StringIO):
    """Text that a terminal shows."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_log_has_colours_on_a_terminal_unless_no_color_is_set(
    monkeypatch: pytest.MonkeyPatch, restored_logs: None, no_color: str, coloured: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", shown := TerminalText())
    monkeypatch.setenv("NO_COLOR", no_color)
    configure_logs("auto", "info")
    structlog.get_logger("test").info("http.listening", port=8080)
    assert ("\033[" in shown.getvalue()) == coloured


class FullDisk(io.StringIO):
    """A file on a disk without space."""

    def write(self, _text: str) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_log_lines_after_the_end_of_their_stream_are_lost(monkeypatch: pytest.MonkeyPatch, restored_logs: None) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    configure_logs("json", "info")
    sys.stderr.close()
    structlog.get_logger("test").info("mqtt.connected", host="broker")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_log_lines_that_cannot_be_written_are_lost(
    monkeypatch: pytest.MonkeyPatch, restored_logs: None, log_format: Literal["json", "console"]
) -> None:
    monkeypatch.setattr(sys, "stderr", FullDisk())
    configure_logs(log_format, "info")
    structlog.get_logger("test").info("mqtt.connected", host="broker")
    sys.stderr.close()
    structlog.get_logger("test").info("mqtt.connected", host="broker")
