"""``scripts/faults --fuzz``: fuzzes every decoder, and prints a table; exit code 1 if there is a finding.

``scripts/faults --fuzz payload journal --seconds 600 --jobs 2`` fuzzes two targets for ten minutes each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from bench import machine, report
from bench.fuzz.process import Figures, fuzz
from bench.fuzz.table import figures_table

_ROOT = Path(__file__).parents[2]


def main() -> int:
    """Fuzz the requested targets."""
    names = _target_names()
    parser = argparse.ArgumentParser(prog="scripts/faults --fuzz", description=__doc__)
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"which to fuzz (default: all): {', '.join(names)}"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to fuzz each target (default: 60)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time (default: the cores)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random choices (default: 1)")
    parser.add_argument("--folder", type=Path, default=_ROOT / ".fuzz", help="corpora and findings (default: .fuzz)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table to FILE as well")
    chosen = parser.parse_args()
    unknown = set(chosen.targets) - set(names)
    if unknown:
        parser.error(f"unknown target {', '.join(sorted(unknown))}; choose from {', '.join(names)}")
    print(report.machine_lines(machine.describe()), flush=True)

    targets = list(dict.fromkeys(chosen.targets)) or names
    figures = fuzz(targets, chosen.folder.resolve(), chosen.seconds, chosen.seed, max(1, chosen.jobs))
    table = figures_table(figures)
    print(f"\n{table}")
    if chosen.markdown is not None:
        chosen.markdown.write_text(f"{table}\n", encoding="utf-8")
    return 1 if _print_findings(figures) else 0


def _print_findings(figures: list[Figures]) -> bool:
    """Print every finding with the command that reproduces it, and every failure; return whether there was any."""
    for one in figures:
        for finding in one.findings:
            print(f"\n## {finding.target}: {finding.what} at {finding.where}\n\n{finding.story.rstrip()}\n")
            print(f"reproduce: python -m tests.fuzz {finding.target} {finding.input}")
        if one.failure:
            print(f"\n## {one.target}: did not finish\n\n{one.failure}")
    return any(one.findings or one.failure or not one.n_executions for one in figures)


def _target_names() -> list[str]:
    """Return the names of the targets."""
    listed = subprocess.run(
        [sys.executable, "-c", "from tests.fuzz.targets import PARTS; print(*PARTS)"],
        cwd=_ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return listed.stdout.split()


if __name__ == "__main__":
    sys.exit(main())
