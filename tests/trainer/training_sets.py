"""Training sets of several houses, drawn by what Spark's workers run, without Spark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from gapcast.core.time_grid import minute_label
from gapcast.core.windows.training_set import (
    FORMAT,
    MANIFEST_FILE,
    PARTS,
    TEST,
    Chunk,
    Contract,
    Draw,
    Manifest,
    TrainingSetHouse,
)
from gapcast_fleet.training_sets.window_draw import DrawJob, chunk_list_path, window_counter, window_drawer

#: A house's first minute, and its power minute by minute, kW; NaN where it is missing.
House = tuple[int, np.ndarray]


def manifest_of(taken: Mapping[str, int], left_out: Mapping[str, int]) -> Manifest:
    """A manifest of houses that give so many windows each of their parts, and of no files."""
    houses = tuple(
        TrainingSetHouse(
            name, out, 9, 0, 0, "", "", None, {}, dict.fromkeys(PARTS, 0) | dict.fromkeys(parts, n), 1.0, 2.0
        )
        for group, out, parts in ((taken, False, PARTS[:2]), (left_out, True, (TEST,)))
        for name, n in group.items()
    )
    chunks = tuple(Chunk(part, part, sum(house.n_taken[part] for house in houses), "") for part in PARTS)
    return Manifest(FORMAT, "in", "0" * 64, {}, Contract(), 34, Draw(), houses, chunks)


def write_set(
    folder: Path, houses: Mapping[str, House], begins: Mapping[str, int | None], contract: Contract, n_each: int
) -> Manifest:
    """Write a set of at most ``n_each`` windows of each part of each house; each is a group of its own.

    ``begins`` says from which minute on a house is validated on, None for one that is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    job, names, found, chunks = DrawJob(str(folder), contract, 1, begins), sorted(houses), [], []
    for group, name in enumerate(names):
        first, kw = houses[name]
        at = np.flatnonzero(~np.isnan(kw))
        frame = pd.DataFrame(
            {"group": group, "device": name, "minute": first + at, "gap_kw": kw[at], "is_filled": False}
        )
        frames = [frame.iloc[k : k + 1_000] for k in range(0, len(frame), 1_000)]
        (counted,) = (its.iloc[0] for its in window_counter(job)(iter(frames)))
        n_found = list(counted["found"])
        n_taken = [min(n, n_each) for n in n_found]
        its = replace(job, n_found={name: n_found}, n_taken={name: n_taken})
        assert [result["group"].tolist() for result in window_drawer(its, names)(iter(frames))] == [[group]]
        chunks += [Chunk(**chunk) for chunk in json.loads(chunk_list_path(folder, group).read_text())]
        begin, n_training = begins[name], max(counted["n_training"], 1)
        found.append(
            TrainingSetHouse(
                name,
                begin is None,
                at.size,
                0,
                0,
                minute_label(first + int(at[0])),
                minute_label(first + int(at[-1])),
                None if begin is None else minute_label(begin),
                dict(zip(PARTS, n_found, strict=True)),
                dict(zip(PARTS, n_taken, strict=True)),
                counted["sum_kw"] / n_training,
                counted["sum_kw2"] / n_training,
            )
        )
    draw = Draw(1, n_each)
    manifest = Manifest(
        FORMAT, "houses", "1" * 64, {}, contract, contract.embargo_min, draw, tuple(found), tuple(chunks)
    )
    (folder / MANIFEST_FILE).write_text(manifest.text(), encoding="utf-8")
    return manifest
