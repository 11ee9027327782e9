"""The counted instructions as tables, with estimates for a Raspberry Pi: run by ``bench/instructions``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.instruction_count import CASES, objects_of
from bench.report import markdown_table
from bench.results import Results


class Board(NamedTuple):
    """A Raspberry Pi, and its published rating by 7-Zip's benchmark with one thread, in million instructions a second.

    The rating is a measured rate of branching integer code that misses caches, as an interpreter does.
    """

    name: str
    core: str
    rating: int


#: From the result files of sbc-bench (https://github.com/ThomasKaiser/sbc-bench, Results.md, column "7-zip single"):
#: 3E85, 3OBF and 8-NK; as in docs/raspberry-pi.md.
BOARDS = (
    Board("Pi Zero 2 W", "Cortex-A53, 1.0 GHz", 838),
    Board("Pi 4", "Cortex-A72, 1.8 GHz", 1_769),
    Board("Pi 5", "Cortex-A76, 2.4 GHz", 3_305),
)
#: Instructions of gapcast in the time of one instruction of 7-Zip's rating, measured on an x86-64 machine for single
#: readings (``python -m bench.instruction_count --time``, ``7z b -mmt1``), and the factor of its uncertainty elsewhere.
PER_RATED, UNCERTAINTY = 0.7, 2.0
_N_LIBRARIES = 5


def milliseconds(n_instructions: float, rating: int) -> tuple[float, float, float]:
    """Return the estimated time of ``n_instructions`` with its lower and upper limit, in ms.

    >>> [round(ms, 2) for ms in milliseconds(5e6, 2_000)]
    [3.57, 1.79, 7.14]
    """
    ms = n_instructions / (PER_RATED * rating) / 1e3
    return ms, ms / UNCERTAINTY, ms * UNCERTAINTY


def count_table(x86: Sequence[float], arm64: Sequence[float] | None) -> str:
    """Return instructions per reading of each case.

    >>> row = count_table([5.9e6, 5e6, 7.4e5], [5.7e6, 4.9e6, 7.4e5]).splitlines()[2]
    >>> [cell.strip() for cell in row.split("|")[1:4]]
    ['a house of 4 devices, one reading at a time', '5,900,000', '5,700,000']
    """
    head = ["instructions per reading", "this machine", *(["64-bit ARM"] if arm64 else [])]
    counted = [x86] if arm64 is None else [x86, arm64]
    rows = [[case.name, *(f"{n:,.0f}" for n in each)] for case, *each in zip(CASES, *counted, strict=True)]
    return markdown_table(head, rows)


def library_table(libraries: Sequence[dict[str, int]]) -> str:
    """Return the share of the largest libraries in each case."""
    total: dict[str, float] = {}
    for counts in libraries:
        for name, n in counts.items():
            total[name] = total.get(name, 0.0) + n / sum(counts.values())
    largest = sorted(total, key=total.__getitem__, reverse=True)[:_N_LIBRARIES]
    head = ["share of instructions", *(case.name for case in CASES)]
    rows = [
        [name, *(f"{100 * counts.get(name, 0) / sum(counts.values()):.0f} %" for counts in libraries)]
        for name in largest
    ]
    return markdown_table(head, rows)


def board_table(arm64: Sequence[float]) -> str:
    """Return the estimated time per reading of each board.

    >>> [cell.strip() for cell in board_table([5e6, 5e6, 7e5]).splitlines()[2].split("|")[1:4]]
    ['Pi Zero 2 W (Cortex-A53, 1.0 GHz)', '8.5 (4.3–17)', '8.5 (4.3–17)']
    """
    head = ["ms of one core per reading", *(case.name for case in CASES)]
    rows = []
    for board in BOARDS:
        cells = [f"{ms:.2g} ({low:.2g}–{high:.2g})" for ms, low, high in (milliseconds(n, board.rating) for n in arm64)]
        rows.append([f"{board.name} ({board.core})", *cells])
    return markdown_table(head, rows)


def main() -> int:
    """Print the tables of the counts in a folder."""
    parser = argparse.ArgumentParser(prog="bench/instructions", description=__doc__)
    parser.add_argument("folder", type=Path, help="of callgrind's files")
    parser.add_argument("--arm64", type=Path, metavar="FILE", help="the numbers counted by QEMU's plugin")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts to FILE as well")
    chosen = parser.parse_args()
    libraries = [
        objects_of(Path(chosen.folder, f"callgrind.{i}").read_text(encoding="utf-8")) for i in range(1, len(CASES) + 1)
    ]
    x86 = [sum(counts.values()) / case.n_readings for counts, case in zip(libraries, CASES, strict=True)]
    arm64 = None
    if chosen.arm64:
        counted = map(int, chosen.arm64.read_text(encoding="ascii").split())
        arm64 = [n / case.n_readings for n, case in zip(counted, CASES, strict=True)]
    results = Results({"cases": [case._asdict() for case in CASES]})
    results.add("instructions", {"this_machine": x86, "arm64": arm64}, count_table(x86, arm64))
    results.add("libraries", libraries, library_table(libraries))
    if arm64:
        results.add("boards", {board.name: board.rating for board in BOARDS}, board_table(arm64))
    results.write(chosen.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
