"""A task in a child process stays within its limits, and its parent reports how it ended."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable

import pytest

from gapcast.core.errors import ModelError
from gapcast.predictors.trials import confinement
from gapcast.predictors.trials.confinement import ChildLimits, answer_of, lower_limits, open_scratch, run_confined
from tests.support import confined_tasks
from tests.support.waiting import GUARD_S

LIMITS = ChildLimits(256 << 20, cpu_s=1, wall_s=GUARD_S, answer_bytes=10_000)
SMALL = ChildLimits(256 << 20, wall_s=GUARD_S, answer_bytes=4)


def run(task: str, given: bytes = b"", limits: ChildLimits = LIMITS, **options: Callable[[], bool]) -> bytes:
    with open_scratch() as file:
        file.write(given)
        file.flush()
        return run_confined(f"tests.support.confined_tasks:{task}", file, limits, "the task", **options)


def test_task_returns_its_answer() -> None:
    assert run("echo", b"any bytes \xff\x00") == b"any bytes \xff\x00"
    longest = bytes(LIMITS.answer_bytes)
    assert run("echo", longest) == longest


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        ("allocate", "the task used more than 256 MB"),
        ("loop", "the task took longer than 1 s"),
        ("end_by_alarm", rf"the task took longer than {GUARD_S:g} s$"),
        ("crash", "the task ended by SIGSEGV$"),
        ("be_killed", r"the task ended by SIGKILL \(possibly out of memory\)$"),
        ("leave", "the task ended with exit code 7 and no result"),
        ("open_many_files", "OSError: .*Too many open files"),
        ("fill_a_disk", "OSError: .*File too large"),
        ("fail", "ZeroDivisionError: "),
        ("no_such_task", "the task ended with exit code 1 and no result"),
    ],
)
def test_task_over_its_limits_is_an_error_with_a_reason(task: str, problem: str) -> None:
    with pytest.raises(ModelError, match=f"^{problem}"):
        run(task)


def test_task_that_hangs_is_killed() -> None:
    with pytest.raises(ModelError, match=r"^the task took longer than 1 s$"):
        run("wait", limits=ChildLimits(256 << 20, wall_s=1.0))


def test_task_ends_without_the_process_that_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SIGKILL of the service may come before the child could ask the kernel to end with it."""
    gone = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: gone)
    with pytest.raises(ModelError, match=r"^the task ended with exit code 1 and no result$"):
        run("echo", b"")


def test_task_that_is_cancelled_is_killed() -> None:
    asked: list[int] = []

    def is_cancelled() -> bool:
        asked.append(1)
        return len(asked) > 1

    with pytest.raises(ModelError, match="the task was cancelled: gapcast is shutting down"):
        run("wait", is_cancelled=is_cancelled)


def test_answer_over_its_limit_is_rejected() -> None:
    assert run("echo", b"four", SMALL) == b"four"
    with pytest.raises(ModelError, match="the answer has 5 bytes, more than 4"):
        run("echo", b"fives", SMALL)


@pytest.mark.parametrize(
    ("code", "answer", "problem"),
    [
        (0, b"+fives", "exit code 0 and no result"),
        (0, b"", "exit code 0 and no result"),
        (1, b"+four", "exit code 1 and no result"),
        (-signal.SIGSEGV, b"-bad input", "SIGSEGV"),
    ],
)
def test_answer_too_long_or_of_a_child_that_crashed_is_not_used(code: int, answer: bytes, problem: str) -> None:
    """A child whose native code was compromised need not write what :func:`answer_of` makes."""
    with pytest.raises(ModelError, match=problem):
        confinement._read_answer(code, answer, SMALL, "the task")


def test_task_error_is_reported_and_truncated() -> None:
    with pytest.raises(ModelError, match=r"^no good$"):
        run("refuse", b"no good")
    with pytest.raises(ModelError, match=r"^x{4096}$"):
        run("refuse", b"x" * 100_000)


def test_child_sees_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAPCAST_MQTT__PASSWORD", "secret")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nonexistent/lib")
    seen = json.loads(run("show_environment"))
    assert "secret" not in seen.values()
    assert seen.get("PATH") == os.environ["PATH"]
    assert seen.get("LD_LIBRARY_PATH") == "/nonexistent/lib"


def test_child_ends_with_its_parent_in_time_and_first_without_memory() -> None:
    """Even if the parent cannot end it: after a SIGKILL, or while it is frozen or starved itself."""
    assert json.loads(run("show_ends")) == [signal.SIGKILL, True, 1_000]


def test_child_output_of_libraries_is_not_part_of_the_answer() -> None:
    assert run("echo_after_output", b"answer") == b"answer"


def test_child_loads_libraries_before_its_limits() -> None:
    assert json.loads(run("show_max_files_at_load")) == [list(resource.getrlimit(resource.RLIMIT_NOFILE))]


def test_child_dumps_no_core() -> None:
    assert run("dump_core") == b"(0, 0)"


def test_child_that_cannot_start_is_an_error_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(ModelError, match=r"^the task could not be started in a child process \(No such file"):
        run("echo")


def test_system_without_files_in_memory_uses_temporary_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    assert run("echo", b"as before") == b"as before"


# --- the child's own code, in this process ----------------------------------------------------------


def test_answer_has_a_kind() -> None:
    with open_scratch() as given:
        given.write(b"four")
        given.seek(0)
        assert answer_of(confined_tasks.echo, given, SMALL) == b"+four"
        given.seek(0)
        assert answer_of(confined_tasks.refuse, given, SMALL) == b"-four"
        given.seek(0)
        assert answer_of(confined_tasks.echo, given, ChildLimits(1)).startswith(b"-the answer has 4 bytes")
        assert answer_of(confined_tasks.fail, given, SMALL).startswith(b"-ZeroDivisionError")

        for error in (MemoryError(), RuntimeError("std::bad_alloc")):  # the second one as LightGBM raises it

            def short(_: object, error: Exception = error) -> bytes:
                raise error

            assert answer_of(short, given, SMALL) == b"m"
        confinement.write_answer(given.fileno(), b"")


def test_limits_are_lowered_and_never_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    ceilings = {resource.RLIMIT_NOFILE: 8}
    lowered: dict[int, tuple[int, int]] = {}
    infinite = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda what: (0, ceilings.get(what, infinite)))
    monkeypatch.setattr(resource, "setrlimit", lambda what, to: lowered.update({what: to}))
    lower_limits(ChildLimits(1 << 20, cpu_s=3, answer_bytes=10))
    assert lowered[resource.RLIMIT_NOFILE] == (8, 8)
    assert lowered[resource.RLIMIT_CORE] == (0, 0)
    soft, hard = lowered[resource.RLIMIT_CPU]
    assert hard == soft + 1
    assert lowered[resource.RLIMIT_AS][0] > 1 << 20
    monkeypatch.setattr(confinement, "_used_address_bytes", lambda: 0)
    lower_limits(ChildLimits(1 << 20))
    assert lowered[resource.RLIMIT_AS] == (infinite, infinite), "a system that does not report its usage"
