"""``scripts/fleet-trial --kills``: kills a stream on Spark repeatedly; its forecasts must equal an undisturbed run's.

The driver, Java and its Python workers get SIGKILL together, at random moments, and are restarted on their checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.process import terminated
from bench.spark import simulate

_N_FILES = 2
_TIMEOUT_S, _POLL_S = 120.0, 0.01
#: Share of kills during the start, within _START_S; the others follow the first micro-batch.
_SHARE_EARLY, _START_S, _WORKING_S = 0.25, 12.0, 4.0
Forecasts = dict[tuple[str, str], dict[str, Any]]


def score(folder: Path, name: str, *words: str) -> subprocess.Popen[bytes]:
    """Start ``gapcast-fleet score`` of ``folder/in`` into ``folder/name``, in its own process group."""
    command = [sys.executable, "-m", "gapcast_fleet", "score", "--from", f"{folder}/in", "--to", f"{folder}/{name}"]
    command += ["--checkpoint", f"{folder}/{name}.checkpoint", "--format", "parquet", "--to-format", "json"]
    command += ["--files-at-once", str(_N_FILES), "--every", "0", "--buckets", "4", *words]
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def run_undisturbed(folder: Path, name: str) -> None:
    """Score all readings; raise if that fails."""
    with terminated(score(folder, name, "--once")) as process:
        if process.wait():
            message = (folder / f"{name}.log").read_text(encoding="utf-8")[-4_000:]
            raise SystemExit(message)


def kill_one(folder: Path, name: str, chance: random.Random) -> bool:
    """Start the stream, kill it at a random moment; return whether a micro-batch was half written then."""
    process = score(folder, name)
    out = folder / name
    before, began_s = n_batches(out, "_SUCCESS"), time.monotonic()
    if chance.random() < _SHARE_EARLY:
        time.sleep(chance.uniform(0, _START_S))
    else:
        while n_batches(out, "_SUCCESS") == before and time.monotonic() - began_s < _TIMEOUT_S:
            if process.poll() is not None:
                break
            time.sleep(_POLL_S)
        time.sleep(chance.uniform(0, _WORKING_S))
    is_slow, is_unfinished = time.monotonic() - began_s >= _TIMEOUT_S, n_batches(out) > n_batches(out, "_SUCCESS")
    has_ended = process.poll() is not None
    if not has_ended:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if has_ended or is_slow:
        log = (folder / f"{name}.log").read_text(encoding="utf-8")[-4_000:]
        message = f"the process ended by itself, or made no progress:\n{log}"
        raise SystemExit(message)
    return is_unfinished


def n_batches(out: Path, what: str = "") -> int:
    """Return how many micro-batches have been started, or have ``what`` in their folder."""
    return sum(1 for _ in out.glob(f"batch=*/{what}"))


def forecasts_in(out: Path) -> tuple[Forecasts, int]:
    """Return the forecasts under ``out`` without their time of issue, and the number of duplicates."""
    found: Forecasts = {}
    n_again = 0
    for path in out.glob("batch=*/kind=forecast/part-*"):
        for line in path.read_text(encoding="utf-8").splitlines():
            document = json.loads(line)
            del document["issued_at"]
            key = document["device"], document["observed_at"]
            n_again += key in found
            found[key] = document
    return found, n_again


def main() -> None:
    """Run the requested kills, and print the result as a line of JSON."""
    parser = argparse.ArgumentParser(prog="scripts/fleet-trial --kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--meters", type=int, default=500)
    parser.add_argument("--batches", type=int, default=160)
    parser.add_argument("--seed", type=int, default=8)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="gapcast-kills-") as scratch:
        folder = Path(scratch)
        simulate(folder / "in", options.meters, options.batches, 2, _N_FILES)
        n_unfinished = sum(kill_one(folder, "killed", chance) for _ in range(options.kills))
        n_before = n_batches(folder / "killed", "_SUCCESS")
        run_undisturbed(folder, "killed")
        run_undisturbed(folder, "undisturbed")
        (found, n_again), (due, _) = forecasts_in(folder / "killed"), forecasts_in(folder / "undisturbed")
    outcome = {
        "kills": options.kills,
        "with_one_half_written": n_unfinished,
        "batches_by_then": n_before,
        "forecasts": len(found),
        "missing": len(due.keys() - found.keys()),
        "came_again": n_again,
        "of_another_value": sum(found[key] != due[key] for key in due.keys() & found.keys()),
    }
    print(json.dumps(outcome))
    if len(due) != options.meters * (options.batches * 2 - 1) or found.keys() != due.keys():
        raise SystemExit("forecasts are missing")
    if n_again or outcome["of_another_value"]:
        raise SystemExit("a forecast was written twice, or differs from that of the undisturbed run")


if __name__ == "__main__":
    main()
