"""Flame graphs of a batch of 1 and of 256 readings: ``python -m bench.profile_pictures before``.

Samples the Python stack of the default gateway's whole path of a reading (:mod:`bench.in_process`, 1,000 devices) about
a thousand times a second and writes ``docs/pictures/profile-batch-{1,256}-NAME.svg``. C code, such as numpy, models and
compiled kernels, counts for the Python function that called it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from bench.flame_graph import Stack, svg_of
from bench.in_process import InProcessGateway

N_DEVICES = 1_000
BATCHES = (1, 256)
_PERIOD_S = 0.001
_N_READINGS = {1: 200, 256: 10_240}
_ROOT = Path(__file__).resolve().parent.parent
_OUTERMOST = "service.service.run_once"
#: Frames of wrappers, which would only add a row to each stack.
_LEFT_OUT = "service.containment.attempt"


class Sampler:
    """Counts the stacks of this thread, at an even rate of wall-clock time, while its block runs."""

    def __init__(self) -> None:
        self.samples: Counter[Stack] = Counter()

    def __enter__(self) -> None:
        """Start the timer."""
        signal.signal(signal.SIGALRM, self._sample)
        signal.setitimer(signal.ITIMER_REAL, _PERIOD_S, _PERIOD_S)

    def __exit__(self, *_: object) -> None:
        """Stop the timer."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _sample(self, _signal: int, frame: FrameType | None) -> None:
        names: list[str] = []
        while frame is not None:
            name = _name_of(frame)
            if name == _OUTERMOST:
                self.samples[tuple(reversed(names)) or (_OUTERMOST,)] += 1
                return
            if name != _LEFT_OUT:
                names.append(name)
            frame = frame.f_back


def _name_of(frame: FrameType) -> str:
    """Return module and function, without the package ``gapcast``; a comprehension counts for its function."""
    module = str(frame.f_globals.get("__name__", "?")).removeprefix("gapcast.")
    return f"{module}.{frame.f_code.co_name}"


def sample(n_per_batch: int, measured_s: float) -> tuple[Counter[Stack], float]:
    """Return the stacks during batches of ``n_per_batch``, and the time of a batch in µs."""
    gateway = InProcessGateway(N_DEVICES)
    gateway.warm_up()
    sampler, n_batches, used_s = Sampler(), 0, 0.0
    while used_s < measured_s:
        batches = gateway.batches(_N_READINGS[n_per_batch], n_per_batch)
        began_s = time.process_time()
        with sampler:
            gateway.process(batches)
        used_s += time.process_time() - began_s
        n_batches += len(batches)
    return sampler.samples, 1e6 * used_s / n_batches


def main() -> int:
    """Sample and write each picture."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile_pictures", description=__doc__)
    parser.add_argument("name", help="end of the files' names, such as before")
    parser.add_argument("--seconds", type=float, default=8.0, help="CPU time per picture")
    parser.add_argument("--folder", type=Path, default=_ROOT / "docs" / "pictures")
    chosen = parser.parse_args()
    for n_per_batch in BATCHES:
        samples, us = sample(n_per_batch, chosen.seconds)
        n = sum(samples.values())
        title = (
            f"Batch of {n_per_batch}: {us:,.0f} µs of CPU time, {us / n_per_batch:,.0f} µs per reading "
            f"({chosen.name}; {n:,} samples)"
        )
        path = chosen.folder / f"profile-batch-{n_per_batch}-{chosen.name}.svg"
        path.write_text(svg_of(samples, title, us / n), encoding="utf-8")
        print(f"{path}: {title}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
