"""The study's parts and steps: computes missing results, and stores each immediately."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gapcast_trainer.errors import RunError
from gapcast_trainer.files import write_atomically
from gapcast_trainer.study.choice import compare as compare_models
from gapcast_trainer.study.chronological_split import contiguous, on_all
from gapcast_trainer.study.comparison import Results
from gapcast_trainer.study.household import Household
from gapcast_trainer.study.line import compare as compare_lines
from gapcast_trainer.study.networks import MODEL_1, MODEL_2, Recipe
from gapcast_trainer.study.original import reproduce
from gapcast_trainer.study.padding import compare as compare_paddings
from gapcast_trainer.study.settings import StudySettings
from gapcast_trainer.study.streaming_validation import compare as compare_streams

Step = Callable[[Household, StudySettings], dict[str, Any]]


def _of_network(number: int, train: Callable[[Household, StudySettings, Recipe], dict[str, Any]]) -> Step:
    """Return the step that trains one of the study's two networks with ``train``."""

    def step(household: Household, settings: StudySettings) -> dict[str, Any]:
        recipe = replace((MODEL_1, MODEL_2)[number - 1], unroll=not settings.quick)
        return train(household, settings, recipe)

    return step


#: The parts, in execution order, with their steps. A step writes ``OUT/<step>.json``.
PARTS: dict[str, dict[str, Step]] = {
    "study": {"study-1": _of_network(1, reproduce), "study-2": _of_network(2, reproduce)},
    "line": {"line": compare_lines},
    "streaming": {"streaming": compare_streams},
    "choice": {"choice": compare_models},
    "padding": {"padding": compare_paddings},
    "contiguous": {"contiguous-1": _of_network(1, contiguous), "contiguous-2": _of_network(2, contiguous)},
    "all": {"ordered-1": _of_network(1, on_all), "ordered-2": _of_network(2, on_all)},
}


def find_parts(wanted: str | None) -> tuple[str, ...]:
    """Return the parts named in ``wanted``, separated by commas, in execution order; all by default.

    Raises :class:`RunError` that lists the known names.
    """
    if wanted is None:
        return tuple(PARTS)
    names = {name.strip() for name in wanted.split(",")}
    unknown = sorted(names - set(PARTS))
    if unknown:
        msg = f"the study has no part {unknown[0]!r}: there are {', '.join(PARTS)}"
        raise RunError(msg)
    return tuple(name for name in PARTS if name in names)


def run(
    household: Household,
    settings: StudySettings,
    parts: Iterable[str],
    *,
    again: bool = False,
    show: Callable[[str], object] = lambda _: None,
) -> None:
    """Run the steps of ``parts`` that have no result from the same data and settings.

    With ``again`` all steps are run. ``show`` is called with progress messages. An interruption keeps finished steps.
    """
    mark = settings.mark(household.sha256)
    for part in parts:
        for name, step in PARTS[part].items():
            path = settings.out / f"{name}.json"
            if not again and (_read(path) or {}).get("made_from") == mark:
                show(f"{name}: is there already ({path})")
                continue
            show(f"{name}: begins")
            started = time.monotonic()
            result = step(household, settings)
            content = {"made_from": mark, "took_s": round(time.monotonic() - started, 1), "result": result}
            write_atomically(path, json.dumps(content, indent=1) + "\n")
            show(f"{name}: done in {content['took_s']:.0f} s")


def load_results(out: Path) -> Results:
    """Return the results under ``out`` by step."""
    steps = [name for part in PARTS.values() for name in part]
    found = {name: _read(out / f"{name}.json") for name in steps}
    return {name: content["result"] for name, content in found.items() if content is not None}


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        content["made_from"], content["result"]
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{path}: is not a result of the study: remove it, or do the part --again"
        raise RunError(msg) from error
    return content
