"""``bench/run``: throughput, latency and footprint, as tables and as JSON."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench import footprint, latency, machine, node_red, page, predict_latency, report
from bench.broker import NoBrokerError
from bench.latency import Latency
from bench.load import StalledError
from bench.results import Results
from bench.subject import ECHO, MODELS, NODE_RED, NotReadyError, Subject
from bench.throughput import LEVELS, WINDOWS, Block, Pace, ThroughputComparison, compare, measure, measure_rounds
from bench.transports import TRANSPORTS
from gapcast.predictors.models_folder.store import default_model

PARTS = ("throughput", "latency", "footprint", "http")
TRANSPORTS_PART = "transports"  # on request only: it does not compare gapcast with the echo
PAGE_PART = "page"  # on request only: it needs a browser
BLEND = "blend"  # instead of a model: the default configuration
NODE_RED_NAME = "node-red"  # instead of a model
LEARNED = "+learned"  # after a model: an ensemble of it and the online model only
_ONLY = (
    f"run this part only (may be repeated); {TRANSPORTS_PART} (TLS and WebSocket compared with TCP) and {PAGE_PART} "
    "(the page in Chromium) run only if named"
)


@dataclass(frozen=True, slots=True)
class Effort:
    """The duration and size of each part."""

    n_rounds: int
    warm_up_s: float
    measured_s: float
    latency_s: int
    n_starts: int
    n_devices: int


FULL = Effort(n_rounds=5, warm_up_s=1.0, measured_s=3.0, latency_s=20, n_starts=5, n_devices=1_000)
QUICK = Effort(n_rounds=1, warm_up_s=0.5, measured_s=1.5, latency_s=3, n_starts=1, n_devices=500)


def main() -> int:
    """Run the requested parts; return 1 if a measurement failed."""
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="smoke test in under a minute; the figures are not meaningful"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE as well")
    parser.add_argument("--only", choices=(*PARTS, TRANSPORTS_PART, PAGE_PART), action="append", help=_ONLY)
    parser.add_argument("--models-path", type=Path, default=MODELS, help="folder of models (default: models)")
    parser.add_argument(
        "--models",
        help=f"comma-separated: {BLEND} (the default configuration), {NODE_RED_NAME}, NAME (that model alone), "
        f"NAME+learned; empty: only the echo (default: {BLEND}, {NODE_RED_NAME} if it is installed, the default model)",
    )
    parser.add_argument("--devices", type=int, help="devices of the footprint part")
    parser.add_argument("--rounds", type=int, help="rounds of the throughput part")
    chosen = parser.parse_args()

    effort = QUICK if chosen.quick else FULL
    if chosen.rounds:
        effort = replace(effort, n_rounds=chosen.rounds)
    if chosen.devices:
        effort = replace(effort, n_devices=chosen.devices)
    folder = chosen.models_path.resolve()
    if chosen.models is not None:
        names = [name for name in chosen.models.split(",") if name]
    else:
        names = _default_names(folder, quick=chosen.quick)
    compared = [_subject(name, folder) for name in names]
    subjects = [one for one in compared if one.program == "gapcast"]
    parts = chosen.only or PARTS
    try:
        where = machine.describe()
        results = Results({"machine": where, "effort": asdict(effort)})
        print(report.machine_lines(where), flush=True)
        comparisons: list[ThroughputComparison] = []
        if "throughput" in parts:
            comparisons = _throughput(results, compared, effort, quick=chosen.quick)
        if TRANSPORTS_PART in parts and subjects:
            _transports(results, subjects[0], effort)
        if "latency" in parts:
            latencies = _latency(results, compared, effort, quick=chosen.quick)
            if comparisons:
                names = [one.name for one in (*compared, ECHO) if one.model is None]
                results.add("summary", names, report.summary_table(names, comparisons, latencies, ECHO.name))
        if "footprint" in parts and subjects:
            footprints = [footprint.measure(one, effort.n_starts, effort.n_devices) for one in subjects]
            results.add("footprint", footprints, report.footprint_table(footprints))
        if "http" in parts and subjects:
            measured = [predict_latency.measure(one, effort.latency_s) for one in subjects]
            results.add("http", measured, report.predict_table(measured))
        if PAGE_PART in parts and subjects:
            shown = page.measure(subjects[0], effort.n_starts, effort.latency_s / 2)
            results.add(PAGE_PART, shown, report.page_table([shown]))
    except (NoBrokerError, NotReadyError, StalledError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    results.write(chosen.json)
    return 0


def _default_names(folder: Path, *, quick: bool) -> list[str]:
    """Return the default configuration first, then the models to compare it with."""
    has_node_red = node_red.command() is not None and not quick
    return [BLEND, *([NODE_RED_NAME] if has_node_red else []), default_model(folder)]


def _subject(name: str, folder: Path) -> Subject:
    if name == NODE_RED_NAME:
        return NODE_RED
    if name == BLEND:
        return Subject("gapcast, default", models=folder)
    model = name.removesuffix(LEARNED)
    return Subject(f"gapcast {name}", model, folder, ensemble="none" if model == name else "learned")


def _throughput(
    results: Results, subjects: list[Subject], effort: Effort, *, quick: bool
) -> list[ThroughputComparison]:
    ceiling: list[Pace] = []
    comparisons: list[ThroughputComparison] = []
    for qos in LEVELS:
        ceiling.append(measure(Block(None, qos, max(WINDOWS), effort.warm_up_s, effort.measured_s)))
        blocks = [
            Block(one, qos, window, effort.warm_up_s, effort.measured_s)
            for window in (WINDOWS[:1] if quick else WINDOWS)
            for one in (ECHO, *subjects)
        ]
        comparisons += compare(measure_rounds(blocks, effort.n_rounds), ECHO.name)
    results.add("ceiling", ceiling, report.ceiling_table(ceiling))
    results.add("throughput", comparisons, report.throughput_table(comparisons))
    return comparisons


def _transports(results: Results, subject: Subject, effort: Effort) -> None:
    comparisons: list[ThroughputComparison] = []
    for qos in LEVELS:
        subjects = [replace(subject, name=f"{subject.name} {one.name}", transport=one) for one in TRANSPORTS]
        blocks = [Block(one, qos, max(WINDOWS), effort.warm_up_s, effort.measured_s) for one in subjects]
        comparisons += compare(measure_rounds(blocks, effort.n_rounds), subjects[0].name)
    table = report.throughput_table(comparisons, "transports, compared with TCP")
    results.add(TRANSPORTS_PART, comparisons, table)


def _latency(results: Results, subjects: list[Subject], effort: Effort, *, quick: bool) -> list[Latency]:
    latencies = [
        latency.measure(one, qos, effort.latency_s, nodelay=nodelay)
        for qos, nodelay in (((1, True),) if quick else ((0, True), (1, False), (1, True)))
        for one in (ECHO, *subjects)
    ]
    results.add("latency", latencies, report.latency_table(latencies, ECHO.name))
    return latencies


if __name__ == "__main__":
    sys.exit(main())
