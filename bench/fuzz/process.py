"""Runs fuzz targets, and parses their figures from libFuzzer's output."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.subject import PYTHON_PATH, ROOT

#: libFuzzer's limits for one input, s, and for the process's memory, MB.
_TIMEOUT_S, _RSS_MB = 30, 2_048
#: Maximum number of starts of a process that ends early.
_MOST_STARTS = 5
_STATUS = re.compile(r"^#(\d+)\s.*?cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)
_EXECUTED = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)
_DONE = re.compile(r"^Done \d+ runs in (\d+) second", re.MULTILINE)
_PEAK = re.compile(r"^stat::peak_rss_mb:\s*(\d+)", re.MULTILINE)
#: libFuzzer's names for the inputs that it stores itself.
_ARTIFACTS = ("crash-", "timeout-", "oom-", "leak-")


@dataclass(slots=True)
class FuzzFinding:
    """A finding: the effect of the input, its location, and the file that holds the input."""

    target: str
    what: str
    where: str
    story: str
    input: Path


@dataclass(slots=True)
class Figures:
    """Figures of a target's run. ``edges`` and ``features`` are libFuzzer's coverage of the Python code."""

    target: str
    seconds: float = 0.0
    n_executions: int = 0
    edges: int = 0
    features: int = 0
    corpus: int = 0
    peak_mb: int = 0
    findings: list[FuzzFinding] = field(default_factory=list)
    #: Why the target did not finish; empty if it finished.
    failure: str = ""

    @property
    def per_s(self) -> float:
        """Executions a second."""
        return self.n_executions / self.seconds if self.seconds else 0.0


def fuzz(targets: Sequence[str], folder: Path, seconds: float, seed: int, n_jobs: int) -> list[Figures]:
    """Fuzz ``targets`` for ``seconds`` each, ``n_jobs`` at a time; corpora and findings are under ``folder``.

    A target that was ended by an input is restarted for the rest of its time.
    """
    figures = {target: Figures(target) for target in targets}
    for target in targets:
        shutil.rmtree(folder / target / "findings", ignore_errors=True)
        for name in ("corpus", "findings"):
            (folder / target / name).mkdir(parents=True, exist_ok=True)
    left = list(targets)
    for start in range(_MOST_STARTS):
        if not left:
            break
        left_s = max(1, round(min(seconds - figures[target].seconds for target in left)))
        n_artifacts = {target: len(_artifacts(folder / target)) for target in left}
        _run(left, folder, left_s, seed + start, n_jobs)
        ended_early = []
        for target in left:
            code, output = _read(folder / target)
            _add(figures[target], output, left_s)
            if code and len(_artifacts(folder / target)) == n_artifacts[target]:  # not caused by an input
                figures[target].failure = output[-2_000:] or f"exit code {code}"
            elif code and figures[target].seconds < seconds:
                ended_early.append(target)
        left = ended_early
    for target in targets:
        figures[target].findings = _findings(target, folder / target)
    return list(figures.values())


def _run(targets: Sequence[str], folder: Path, seconds: int, seed: int, n_jobs: int) -> None:
    """Run ``targets`` for ``seconds`` each; they write their results to their folders."""
    for target in targets:
        for name in ("output", "code"):
            (folder / target / name).unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "tests.fuzz.under_atheris", ",".join(targets), str(folder), str(n_jobs),
        f"-max_total_time={seconds}", f"-timeout={_TIMEOUT_S}", f"-rss_limit_mb={_RSS_MB}", f"-seed={seed}",
        "-print_final_stats=1", "-detect_leaks=0",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": PYTHON_PATH, "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    if done.returncode:
        sys.stderr.buffer.write(done.stdout + done.stderr)
        done.check_returncode()


def _read(folder: Path) -> tuple[int, str]:
    """Return a target's exit code and output."""
    code = int((folder / "code").read_text(encoding="ascii"))
    return code, (folder / "output").read_text(encoding="utf-8", errors="replace")


def _add(figures: Figures, output: str, took_s: float) -> None:
    """Add the figures that a process printed; without a printed duration, use its upper bound ``took_s``."""
    done = _DONE.search(output)
    figures.seconds += float(done[1]) if done else took_s
    status = _STATUS.findall(output)
    executed = _EXECUTED.search(output)
    if status:
        n_executions, edges, features, corpus = map(int, status[-1])
        figures.n_executions += int(executed[1]) if executed else n_executions
        figures.edges, figures.features = max(figures.edges, edges), max(figures.features, features)
        figures.corpus = corpus
    peak = _PEAK.search(output)
    figures.peak_mb = max(figures.peak_mb, int(peak[1]) if peak else 0)


def _artifacts(folder: Path) -> list[Path]:
    return [path for path in sorted((folder / "findings").iterdir()) if path.name.startswith(_ARTIFACTS)]


def _findings(target: str, folder: Path) -> list[FuzzFinding]:
    """Return the findings of the process, and the inputs that ended it."""
    found = []
    for path in sorted((folder / "findings").glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        found.append(FuzzFinding(target, document["what"], document["where"], document["story"], path.with_suffix("")))
    for path in _artifacts(folder):
        found.append(FuzzFinding(target, path.name.partition("-")[0], target, "the input ended the process", path))
    return found
