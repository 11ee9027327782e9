"""Runs a task on untrusted bytes in a child process with limits on memory, time, files and output.

The parsers of models and archives are native code: a crafted file can make them crash, allocate gigabytes or loop. In a
child process only the child ends, and the parent raises a :class:`ModelError` with the cause.

The child is a new interpreter (never a fork of a service with threads) that runs this module's :func:`run_child`. It
reads its input from standard input, imports the task's module (and calls its ``load_libraries``, if it has one) before
the limits apply, and writes its answer to standard output.
Both are files in memory, so that neither side waits for the other. The child inherits only the environment that
libraries need.
"""

from __future__ import annotations

import ctypes
import io
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO

from gapcast.core.errors import ModelError

#: A task: reads its input from a binary file and returns its answer. It raises :class:`ModelError` for bad input.
Task = Callable[[IO[bytes]], bytes]

#: First byte of an answer.
_DONE, _REFUSED, _NO_MEMORY = b"+", b"-", b"m"
#: C++'s error for too little memory, which libraries such as LightGBM raise as errors of their own.
_BAD_ALLOC = "std::bad_alloc"
_MAX_REFUSAL_BYTES = 4_096
_MAX_OPEN_FILES = 16
_POLL_S = 0.25
_PR_SET_PDEATHSIG = 1
_ROOT = Path(__file__).resolve().parents[3]
_BOOT = (
    "import sys; sys.path[:] = sys.argv[7:]; from gapcast.predictors.trials.confinement import run_child; run_child()"
)
#: The whole environment that libraries need. It contains no password.
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
_INHERITED = ("LD_LIBRARY_PATH", "PATH")


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """The limits of a child, in addition to its usage once its libraries are loaded.

    ``memory_bytes`` of address space, ``cpu_s`` of processor time, ``wall_s`` in total (a slow machine needs seconds
    for the libraries alone), and ``answer_bytes`` of answer.
    """

    memory_bytes: int
    cpu_s: int = 10
    wall_s: float = 60.0
    answer_bytes: int = 0


def run_confined(
    task: str, given: IO[bytes], limits: ChildLimits, what: str, is_cancelled: Callable[[], bool] = lambda: False
) -> bytes:
    """Run ``task`` (``module:function``) on the file ``given`` in a child process; return its answer.

    ``what`` is the subject of error messages. Raises :class:`ModelError` if the task rejects its input, the child
    exceeds a limit, is killed or cannot be started, or ``is_cancelled`` returns true while it runs.
    """
    given.seek(0)
    numbers = (limits.memory_bytes, limits.cpu_s, int(limits.wall_s) + 1, limits.answer_bytes, os.getpid())
    command = [sys.executable, "-I", "-c", _BOOT, task, *map(str, numbers), *_import_path()]
    environment = _ENVIRONMENT | {name: os.environ[name] for name in _INHERITED if name in os.environ}
    try:
        with open_scratch() as answer:
            child = subprocess.Popen(  # noqa: S603 - this very Python
                command, stdin=given, stdout=answer, stderr=subprocess.DEVNULL, env=environment, cwd="/"
            )
            in_time = _wait_for(child, limits.wall_s, is_cancelled)
            if is_cancelled():
                msg = f"{what} was cancelled: gapcast is shutting down"
                raise ModelError(msg)
            if not in_time:
                msg = f"{what} took longer than {limits.wall_s:g} s"
                raise ModelError(msg)
            answer.seek(0)
            return _read_answer(child.returncode, answer.read(_max_answer_bytes(limits) + 1), limits, what)
    except OSError as error:
        msg = f"{what} could not be started in a child process ({error.strerror or error})"
        raise ModelError(msg) from error


def open_scratch() -> IO[bytes]:
    """Open an anonymous file, in memory if the system supports it; raise :class:`OSError` if there is no space."""
    if hasattr(os, "memfd_create"):
        with suppress(OSError):  # some systems forbid it: use a temporary file
            return os.fdopen(os.memfd_create("gapcast"), "w+b")
    return tempfile.TemporaryFile()


def _import_path() -> list[str]:
    """Return the child's import path: that of this process, with this installation of gapcast first."""
    return [str(_ROOT), *(str(Path(entry).absolute()) for entry in sys.path if entry)]


def _max_answer_bytes(limits: ChildLimits) -> int:
    return 1 + max(limits.answer_bytes, _MAX_REFUSAL_BYTES)


def _wait_for(child: subprocess.Popen[bytes], wall_s: float, is_cancelled: Callable[[], bool]) -> bool:
    """Wait for the child, and kill it on timeout or cancellation; return whether it ended in time."""
    deadline = time.monotonic() + wall_s
    try:
        while time.monotonic() < deadline and not is_cancelled():
            with suppress(subprocess.TimeoutExpired):
                child.wait(_POLL_S)
                return True
        return False
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def _read_answer(code: int, answer: bytes, limits: ChildLimits, what: str) -> bytes:
    kind, content = answer[:1], answer[1:]
    if code == 0 and kind == _DONE and len(content) <= limits.answer_bytes:
        return content
    if code == 0 and kind == _REFUSED:
        raise ModelError(" ".join(content.decode(errors="replace").split()))
    if code == 0 and kind == _NO_MEMORY:
        msg = f"{what} used more than {limits.memory_bytes >> 20} MB"
    elif -code == signal.SIGXCPU:
        msg = f"{what} took longer than {limits.cpu_s} s"
    elif -code == signal.SIGALRM:  # before this process, which was stopped or busy, could end it
        msg = f"{what} took longer than {limits.wall_s:g} s"
    elif code < 0:
        hint = " (possibly out of memory)" if -code in {signal.SIGKILL, signal.SIGABRT} else ""
        msg = f"{what} ended by {signal.Signals(-code).name}{hint}"
    else:
        msg = f"{what} ended with exit code {code} and no result"
    raise ModelError(msg)


# --- in the child ---------------------------------------------------------------------------------


def run_child() -> None:  # pragma: no cover - in a process that os._exit ends, before its coverage is written
    """Run the task named on the command line, and end this process."""
    name, memory_bytes, cpu_s, wall_s, answer_bytes, parent = sys.argv[1:7]
    signal.alarm(int(wall_s))
    _end_with_parent(int(parent))
    with suppress(OSError):  # if memory runs out, the kernel kills this process first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    answers = os.dup(1)
    os.dup2(2, 1)  # output of libraries does not belong to the answer
    module_name, _, function = name.partition(":")
    module = import_module(module_name)
    getattr(module, "load_libraries", lambda: None)()
    task: Task = getattr(module, function)
    limits = ChildLimits(int(memory_bytes), int(cpu_s), float(wall_s), int(answer_bytes))
    lower_limits(limits)
    write_answer(answers, answer_of(task, io.FileIO(0, closefd=False), limits))
    os._exit(0)


def answer_of(task: Task, given: IO[bytes] | io.FileIO, limits: ChildLimits) -> bytes:
    """Return the answer of ``task``, or the error it raises, after a byte that marks its kind for the parent."""
    try:
        content = task(io.BufferedReader(given) if isinstance(given, io.RawIOBase) else given)
        if len(content) > limits.answer_bytes:
            msg = f"the answer has {len(content)} bytes, more than {limits.answer_bytes}"
            raise ModelError(msg)
    except ModelError as error:
        return _REFUSED + str(error).encode(errors="replace")[:_MAX_REFUSAL_BYTES]
    except MemoryError:
        return _NO_MEMORY
    except Exception as error:  # the parent reports it: this process has no log
        if _BAD_ALLOC in str(error):
            return _NO_MEMORY
        return _REFUSED + f"{type(error).__name__}: {error}".encode(errors="replace")[:_MAX_REFUSAL_BYTES]
    return _DONE + content


def write_answer(descriptor: int, answer: bytes) -> None:
    """Write the whole ``answer``."""
    rest = memoryview(answer)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def lower_limits(limits: ChildLimits) -> None:
    """Lower this process's resource limits permanently, relative to its current usage."""
    used_bytes = _used_address_bytes()
    address_bytes = used_bytes + limits.memory_bytes if used_bytes else resource.RLIM_INFINITY
    used_cpu_s = int(time.process_time())
    for kind, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_FSIZE, _max_answer_bytes(limits), _max_answer_bytes(limits)),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES, _MAX_OPEN_FILES),
        (resource.RLIMIT_CPU, used_cpu_s + limits.cpu_s, used_cpu_s + limits.cpu_s + 1),
        (resource.RLIMIT_AS, address_bytes, address_bytes),
    ):
        _, ceiling = resource.getrlimit(kind)
        resource.setrlimit(kind, (_lower(soft, ceiling), _lower(hard, ceiling)))


def _lower(wanted: int, ceiling: int) -> int:
    """Return the lower of two limits, each of which may be infinite."""
    finite = [limit for limit in (wanted, ceiling) if limit != resource.RLIM_INFINITY]
    return min(finite, default=resource.RLIM_INFINITY)


def _used_address_bytes() -> int:
    """Return the size of this process's address space; 0 if the system does not report it."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _end_with_parent(parent: int) -> None:  # pragma: no cover - in the child
    """End this process when its parent process ``parent`` ends in any way, even if that has already happened."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
