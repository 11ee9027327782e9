"""Attacks a running gateway over MQTT, HTTP, its files and its models, and prints the outcome of each.

Exit code 1 if the gateway failed one of them.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from bench import machine
from bench.attacks.target import Installation
from bench.attacks.trial import MAX_LIVEZ_MS, MAX_RSS_MB, NAMES, QUICK_NAMES, Result, Trial

_OWN_FILES = 8_192
_PROBLEMS_SHOWN = 5
_HEAD = ("attack", "sent", "longest /livez, ms", "RSS growth, MB", "children, MB", "lost", "result")


def main() -> int:
    """Run the attacks that the command line asks for."""
    parser = argparse.ArgumentParser(prog="scripts/attack", description=__doc__)
    parser.add_argument(
        "--python",
        type=Path,
        metavar="PATH",
        help="Python of the environment with the gapcast to attack (default: this one)",
    )
    parser.add_argument("--quick", action="store_true", help="fewer and smaller attacks, about a minute")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="run attacks whose names start with NAME (may be repeated)"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the attacks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE as well")
    chosen = parser.parse_args()
    if chosen.list:
        print("\n".join(NAMES))
        return 0
    names = [name for name in NAMES if any(name.startswith(one) for one in chosen.only or ())] or (
        QUICK_NAMES if chosen.quick else NAMES
    )
    if chosen.only and not any(name.startswith(one) for one in chosen.only for name in NAMES):
        parser.error(f"no attack name starts with {', '.join(chosen.only)}; --list prints them")
    _allow_files()
    installation = Installation((chosen.python or Path(sys.executable)).absolute())
    results: list[Result] = []

    def report(result: Result) -> None:
        results.append(result)
        print(_row(result), flush=True)

    begin_s = time.monotonic()
    print(f"| {' | '.join(_HEAD)} |\n| --- | --- | ---: | ---: | ---: | ---: | --- |", flush=True)
    with tempfile.TemporaryDirectory(prefix="gapcast-attacks-") as folder:
        Trial(installation, Path(folder), quick=chosen.quick, report=report).run(set(names))
    n_failed = sum(not result.is_good for result in results)
    print(
        f"\n{len(results) - n_failed} of {len(results)} withstood in {time.monotonic() - begin_s:.0f} s (allowed:"
        f" /livez {MAX_LIVEZ_MS:.0f} ms, {MAX_RSS_MB:.0f} MB above idle, no restart, nothing lost)"
    )
    for result in results:
        for problem in result.problems[:_PROBLEMS_SHOWN]:
            print(f"- {result.attack}: {problem}")
        if n_more := len(result.problems[_PROBLEMS_SHOWN:]):
            print(f"- {result.attack}: and {n_more} more")
    if chosen.json:
        document = {"machine": machine.describe(), "results": [result.document() for result in results]}
        chosen.json.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return 1 if n_failed else 0


def _allow_files() -> None:
    """Raise this process's file limit above the number of connections that the gateway can accept."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = _OWN_FILES if most == resource.RLIM_INFINITY else min(_OWN_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _row(result: Result) -> str:
    figures = (result.longest_livez_ms, result.rss_more_mb, result.children_mb or None)
    cells = [result.attack, result.sent, *("" if one is None else f"{one:.0f}" for one in figures)]
    cells += ["" if result.lost is None else str(result.lost), "pass" if result.is_good else "**fail**"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
