"""Fuzz targets under atheris: ``python -m tests.fuzz.under_atheris TARGET,TARGET... FOLDER JOBS FLAG...``.

The decoders are loaded and instrumented once; each target then runs in its own fork, ``JOBS`` at a time. Its output
goes to ``FOLDER/TARGET/output``, its exit code to ``FOLDER/TARGET/code``.

An exception that escapes the target is a finding: its input is stored once per location in the code, and fuzzing
continues. A crash of the interpreter, an input that exceeds libFuzzer's ``-timeout`` and a process that exceeds
``-rss_limit_mb`` end the process; libFuzzer then stores the input.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import sys
import time
import traceback
from pathlib import Path

import atheris
import structlog

from tests.fuzz.mutations import mutate
from tests.fuzz.target import Target

#: Memory that the process may allocate beyond its usage once the target is loaded: more for one input is a finding.
_MOST_BYTES_MORE = 512 << 20
#: Maximum CPU time of an input, s.
_SLOW_S = 2.0
_INSTRUMENTED = ["gapcast", "tarfile", "zipfile", "tomllib", "numpy.lib._format_impl", "http.client", "tests.fuzz.wire"]


class _Findings:
    """The inputs that failed, one for each location in the code, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places = {path.stem for path in folder.glob("*.json")}

    def add(self, data: bytes, what: str, where: str, story: str) -> None:
        """Store an input and its effect, unless another input had the same effect at the same location."""
        key = hashlib.sha256(f"{what} {where}".encode()).hexdigest()[:12]
        if key in self._places:
            return
        self._places.add(key)
        (self._folder / key).write_bytes(data)
        document = {"what": what, "where": where, "story": story}
        (self._folder / f"{key}.json").write_text(json.dumps(document), encoding="utf-8")


def main(names: list[str], folder: Path, n_jobs: int, flags: list[str]) -> None:
    """Fuzz targets, ``n_jobs`` at a time; ``flags`` are libFuzzer's."""
    structlog.configure(processors=[_drop])
    with atheris.instrument_imports(include=_INSTRUMENTED, enable_loader_override=False):
        from tests.fuzz.targets import load_target

        targets = [load_target(name) for name in names]
    running: dict[int, Path] = {}
    for target in targets:
        if len(running) >= n_jobs:
            _wait_for_one(running)
        own = folder / target.name
        child = os.fork()
        if not child:
            output = os.open(own / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(output, 1)
            os.dup2(output, 2)
            fuzz(target, own, [*flags, f"-artifact_prefix={own / 'findings'}/"])
            os._exit(0)
        running[child] = own
    while running:
        _wait_for_one(running)


def _wait_for_one(running: dict[int, Path]) -> None:
    child, status = os.wait()
    (running.pop(child) / "code").write_text(str(os.waitstatus_to_exitcode(status)), encoding="ascii")


def fuzz(target: Target, folder: Path, flags: list[str]) -> None:
    """Fuzz one target: ``folder`` has ``corpus`` and ``findings``."""
    corpus, findings = folder / "corpus", _Findings(folder / "findings")
    for seed in target.seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    words = tuple(target.words)

    def run(data: bytes) -> None:
        begin_s = time.process_time()
        try:
            target.check(data)
        except Exception as error:  # every exception is what is looked for
            findings.add(data, type(error).__name__, _place_of(error), traceback.format_exc())
        if (took_s := time.process_time() - begin_s) > _SLOW_S:
            findings.add(data, "slow", target.name, f"{len(data)} bytes took {took_s:.1f} s of CPU time")

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        draw = random.Random(seed)
        kind = draw.random()
        if kind < 0.3:
            return bytes(atheris.Mutate(data, max_size))
        if target.repack is not None and kind < 0.7:
            return target.repack(data, seed)[:max_size]
        return mutate(data, draw, words)[:max_size]

    _run_seeds(target)
    _limit_memory()
    if words:
        (folder / "words").write_text(_dictionary(words), encoding="utf-8")
        flags = [*flags, f"-dict={folder / 'words'}"]
    atheris.Setup(["fuzz", *flags, f"-max_len={target.max_bytes}", str(corpus)], run, custom_mutator=change)
    atheris.Fuzz()


def _drop(_logger: object, _method: str, _event: object) -> str:
    raise structlog.DropEvent


def _run_seeds(target: Target) -> None:
    """Run every seed, so that data loaded once, such as a model, is loaded before memory is limited."""
    for seed in target.seeds():
        try:
            target.check(seed)
        except Exception:  # noqa: S112 - the fuzzer runs the seeds again, and keeps what fails
            continue


def _limit_memory() -> None:
    size_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = size_pages * resource.getpagesize() + _MOST_BYTES_MORE
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _place_of(error: BaseException) -> str:
    """Return the innermost line of the project's own code that ``error`` passed through."""
    root = Path(__file__).parents[2]
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(f"{root}/")]
    frame = (own or list(frames))[-1]
    return f"{Path(frame.filename).relative_to(root) if own else frame.filename}:{frame.lineno}"


def _dictionary(words: tuple[str, ...]) -> str:
    """Return words in the format of libFuzzer's dictionary."""
    encoded = ("".join(f"\\x{byte:02x}" for byte in word.encode()[:64]) for word in words if word)
    return "".join(f'"{word}"\n' for word in encoded)


if __name__ == "__main__":
    main(sys.argv[1].split(","), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
