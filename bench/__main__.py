"""``bench/run``: throughput, latency and footprint, as tables and as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path

from bench import asking, footprint, latency, machine, page, report
from bench.broker import NoBrokerError
from bench.footprint import Footprint
from bench.latency import Latency
from bench.load import StalledError
from bench.subject import ECHO, ECHO_LONG, MODELS, NotReadyError, Subject
from bench.throughput import WINDOWS, Block, Comparison, Pace, compare, measure, take_turns
from bench.ways import WAYS
from gapcast.predictors.store import default_model

PARTS = ("throughput", "latency", "footprint", "asking")
WAYS_PART = "ways"  # for whoever asks: it says nothing of gapcast beside the echo
PAGE_PART = "page"  # the same, and it needs a browser
GOAL_MODEL = "lstm-5-3"
BLEND = "blend"  # in place of a model: all of them together, with everything that is learnt
LEARNED = "+learned"  # behind a model: blended with what is learnt, and with no other model
_ONLY = (
    f"this part only (may be given again); {WAYS_PART}, TLS and WebSocket beside TCP, and {PAGE_PART}, the page in "
    "Chromium, are run only so"
)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long each part takes."""

    n_rounds: int
    warm_up_s: float
    measured_s: float
    latency_s: int
    n_starts: int
    n_devices: int


FULL = Effort(n_rounds=5, warm_up_s=1.0, measured_s=3.0, latency_s=20, n_starts=5, n_devices=10_000)
QUICK = Effort(n_rounds=1, warm_up_s=0.5, measured_s=1.5, latency_s=3, n_starts=1, n_devices=2_000)


def main() -> int:
    """Measure what the command line asks for; exit code 1 where something could not be measured."""
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute: does it all work? Not for figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--only", choices=(*PARTS, WAYS_PART, PAGE_PART), action="append", help=_ONLY)
    parser.add_argument("--models-path", type=Path, default=MODELS, help="folder of models (default: models)")
    parser.add_argument(
        "--models", help="with commas between: NAME (alone), NAME+learned, blend (all); empty: the echo alone"
    )
    parser.add_argument("--rounds", type=int, help="rounds of the throughput part")
    chosen = parser.parse_args()

    effort = QUICK if chosen.quick else FULL
    if chosen.rounds:
        effort = replace(effort, n_rounds=chosen.rounds)
    if chosen.models is not None:
        models = [name for name in chosen.models.split(",") if name]
    else:
        models = [*_models_in(chosen.models_path)[: 1 if chosen.quick else None], BLEND]
    folder = chosen.models_path.resolve()
    subjects = [_subject(name, folder) for name in models]
    parts = chosen.only or PARTS
    try:
        where = machine.describe()
        results: dict[str, object] = {"machine": where, "effort": effort}
        print(report.machine_lines(where), flush=True)
        if "throughput" in parts:
            results |= _throughput(subjects, effort, quick=chosen.quick)
        if WAYS_PART in parts and subjects:
            results[WAYS_PART] = _ways(subjects[0], effort)
        if "latency" in parts:
            results["latency"] = _latency(subjects, effort, quick=chosen.quick)
        if "footprint" in parts and subjects:
            results["footprint"] = _footprint(subjects, effort)
        if "asking" in parts and subjects:
            asked = [asking.measure(one, effort.latency_s) for one in subjects]
            _say(report.asking_table(asked))
            results["asking"] = asked
        if PAGE_PART in parts and subjects:
            shown = page.measure(subjects[-1], effort.n_starts, effort.latency_s / 2)
            _say(report.page_table([shown]))
            results[PAGE_PART] = shown
    except (NoBrokerError, NotReadyError, StalledError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1, default=_plain) + "\n", encoding="utf-8")
    return 0


def _subject(name: str, folder: Path) -> Subject:
    if name == BLEND:
        return Subject(f"gapcast {name}", default_model(folder), folder, beside="all")
    model = name.removesuffix(LEARNED)
    return Subject(f"gapcast {name}", model, folder, beside="no one" if model == name else "learned")


def _throughput(subjects: list[Subject], effort: Effort, *, quick: bool) -> dict[str, object]:
    echoes = [ECHO] if quick else [ECHO, ECHO_LONG]
    ceiling: list[Pace] = []
    comparisons: list[Comparison] = []
    for qos, windows in WINDOWS.items():
        windows_used = windows[:1] if quick else windows
        ceiling.append(measure(Block(None, qos, max(windows), effort.warm_up_s, effort.measured_s)))
        blocks = [
            Block(one, qos, window, effort.warm_up_s, effort.measured_s)
            for window in windows_used
            for one in (*echoes, *subjects)
        ]
        comparisons += compare(take_turns(blocks, effort.n_rounds), {one.name for one in echoes})
    _say(report.ceiling_table(ceiling))
    _say(report.throughput_table(comparisons))
    return {"ceiling": ceiling, "throughput": comparisons}


def _ways(subject: Subject, effort: Effort) -> list[Comparison]:
    comparisons: list[Comparison] = []
    for qos, windows in WINDOWS.items():
        subjects = [replace(subject, name=f"{subject.name} {way.name}", way=way) for way in WAYS]
        blocks = [Block(one, qos, max(windows), effort.warm_up_s, effort.measured_s) for one in subjects]
        comparisons += compare(take_turns(blocks, effort.n_rounds), {subjects[0].name})
    _say(report.throughput_table(comparisons, "ways, beside TCP"))
    return comparisons


def _latency(subjects: list[Subject], effort: Effort, *, quick: bool) -> list[Latency]:
    latencies = [
        latency.measure(one, qos, effort.latency_s, nodelay=nodelay)
        for nodelay in ((False,) if quick else (False, True))
        for qos in ((1,) if quick else (0, 1))
        for one in (ECHO, *subjects)
    ]
    _say(report.latency_table(latencies))
    return latencies


def _footprint(subjects: list[Subject], effort: Effort) -> list[Footprint]:
    footprints = [footprint.measure(one, effort.n_starts, effort.n_devices) for one in subjects]
    _say(report.footprint_table(footprints))
    return footprints


def _models_in(folder: Path) -> list[str]:
    """Names of the models in ``folder``, the one with a goal first."""
    found = sorted(card.parent.name for card in folder.glob("*/card.json"))
    return sorted(found, key=lambda name: name != GOAL_MODEL)


def _say(table: str) -> None:
    print(f"\n{table}", flush=True)


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {name: round(one, 4) if isinstance(one, float) else one for name, one in asdict(value).items()}
    raise TypeError(value)


if __name__ == "__main__":
    sys.exit(main())
