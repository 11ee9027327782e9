"""Counts and draws the training windows of a group of houses in a Spark worker, and writes them in chunks.

Windows are found by :func:`gapcast.core.windows.examples.examples_in`, house by house, from the stream of readings.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from itertools import chain, groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.windows.examples import HouseExamples, HouseMinutes, examples_in
from gapcast.core.windows.training_set import PARTS, TEST, TRAIN, Chunk, Contract, row_type
from gapcast.core.windows.window import WindowSpec
from gapcast_fleet.files import write_atomically

_COUNTED = {"device": "string", "found": "array<long>", "n_training": "long", "sum_kw": "double", "sum_kw2": "double"}
COUNTED, DRAWN = ", ".join(f"{name} {kind}" for name, kind in _COUNTED.items()), "group int"
#: Maximum number of windows per chunk.
CHUNK_ROWS = 16_384
_PROGRESS_S = 1.0
Rows = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class DrawJob:
    """The job of each worker: the folder, the windows' contract, the seed, and where each house's validation starts.

    ``validate_minute`` is None for a left-out house. ``n_found`` and ``n_taken`` are by house and part, in the order of
    :data:`~gapcast.core.windows.training_set.PARTS`; they are empty while windows are counted.
    """

    folder: str
    contract: Contract
    seed: int
    validate_minute: Mapping[str, int | None]
    n_found: Mapping[str, Sequence[int]] = field(default_factory=dict)
    n_taken: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def examples(self, pieces: Iterable[_HouseReadings]) -> Iterator[HouseExamples]:
        """Yield the examples of one house."""
        spec = WindowSpec(self.contract.context, self.contract.padding)
        return examples_in((its.minutes for its in pieces), spec, self.contract.lead_times_min)

    def in_part(self, device: str, part: str, minute: I64) -> Any:
        """Return which of the observed minutes ``minute`` ``[n]`` belong to ``part`` of the house; ``[n]`` of bool."""
        begins = self.validate_minute[device]
        if begins is None or part == TEST:
            return np.full(minute.size, begins is None and part == TEST)
        return minute < begins - self.contract.embargo_min if part == TRAIN else minute >= begins


def progress_path(folder: Path, group: int) -> Path:
    """Return the path at which a worker records the number of processed readings of ``group``."""
    return folder / f"group-{group:05d}.progress"


def chunk_list_path(folder: Path, group: int) -> Path:
    """Return the path of the list of chunks of ``group``; the file exists once the group is done."""
    return folder / f"group-{group:05d}.json"


class _HouseReadings(NamedTuple):
    """Consecutive readings of one house."""

    group: int
    device: str
    minutes: HouseMinutes


def _houses(frames: Iterator[pd.DataFrame], folder: Path) -> Iterator[tuple[str, Iterator[_HouseReadings]]]:
    """Yield the houses of a partition, one after the other, each with an iterator over its readings."""
    return groupby(_pieces(frames, folder), lambda piece: piece.device)


def _pieces(frames: Iterator[pd.DataFrame], folder: Path) -> Iterator[_HouseReadings]:
    """Yield the readings of a partition, and record the progress."""
    n_taken, written_s = 0, time.monotonic()
    for frame in frames:
        group, device = int(frame["group"].iloc[0]), frame["device"].to_numpy()
        minute, gap_kw = frame["minute"].to_numpy(np.int64), frame["gap_kw"].to_numpy(np.float64)
        is_filled = frame["is_filled"].to_numpy(np.bool_)
        begins = np.flatnonzero(device[1:] != device[:-1]) + 1
        for first, until in pairwise((0, *begins.tolist(), len(device))):
            here = slice(first, until)
            yield _HouseReadings(group, device[first], HouseMinutes(minute[here], gap_kw[here], is_filled[here]))
        n_taken += len(device)
        if time.monotonic() - written_s > _PROGRESS_S:
            progress_path(folder, group).write_text(str(n_taken), encoding="utf-8")
            written_s = time.monotonic()


def window_counter(job: DrawJob) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    """Return the function with which Spark counts the windows of each house, one row of :data:`COUNTED` each.

    It takes frames with the columns group, device, minute, gap_kw and is_filled, by device and minute.
    """

    def run(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for device, pieces in _houses(frames, Path(job.folder)):
            found, training_sums = np.zeros(len(PARTS), np.int64), np.zeros(3)
            for examples in job.examples(_with_sums(pieces, job, training_sums)):
                found += [np.count_nonzero(job.in_part(device, part, examples.observed_minute)) for part in PARTS]
            columns = (device, found.tolist(), int(training_sums[0]), training_sums[1], training_sums[2])
            yield pd.DataFrame({name: [value] for name, value in zip(_COUNTED, columns, strict=True)})

    return run


def window_drawer(job: DrawJob, houses: Sequence[str]) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    """Return the function with which Spark draws the windows of a partition of houses.

    It takes the same frames as :func:`window_counter`, writes the group's chunks and then their list to the folder, and
    yields a row of :data:`DRAWN`. A window's ``house`` is an index into ``houses``.
    """
    index_of = {name: i for i, name in enumerate(houses)}

    def run(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        folder, group, drawn = Path(job.folder), None, list[dict[str, Rows]]()
        for device, pieces in _houses(frames, folder):
            first = next(pieces)
            group = first.group
            drawn.append(_draw(job, device, index_of[device], chain([first], pieces)))
        if group is not None:
            parts = {part: np.concatenate([of_house[part] for of_house in drawn]) for part in PARTS}
            chunks = [
                chunk for part, rows in parts.items() for chunk in _write_chunks(folder, job.seed, part, group, rows)
            ]
            write_atomically(chunk_list_path(folder, group), json.dumps([asdict(chunk) for chunk in chunks]).encode())
            progress_path(folder, group).unlink(missing_ok=True)
            yield pd.DataFrame({"group": [group]})

    return run


def _with_sums(pieces: Iterable[_HouseReadings], job: DrawJob, training_sums: F64) -> Iterator[_HouseReadings]:
    """Yield ``pieces``; add number, sum and sum of squares of their training power to ``training_sums`` ``[3]``."""
    for piece in pieces:
        kw = piece.minutes.gap_kw[job.in_part(piece.device, TRAIN, piece.minutes.minute)]
        training_sums += (kw.size, kw.sum(), kw @ kw)
        yield piece


def _draw(job: DrawJob, device: str, house: int, pieces: Iterable[_HouseReadings]) -> dict[str, Rows]:
    """Return the drawn windows of one house, by part, in order of time."""
    kind = row_type(job.contract.context, len(job.contract.lead_times_min))
    counts = zip(PARTS, job.n_found[device], job.n_taken[device], strict=True)
    chosen = {part: places(job.seed, device, part, n_found, n_taken) for part, n_found, n_taken in counts}
    drawn = {part: np.zeros(indices.size, kind) for part, indices in chosen.items()}
    n_before = dict.fromkeys(PARTS, 0)
    for examples in job.examples(pieces):
        for part, indices in chosen.items():
            here = np.flatnonzero(job.in_part(device, part, examples.observed_minute))
            first, until = np.searchsorted(indices, (n_before[part], n_before[part] + here.size))
            taken = here[indices[first:until] - n_before[part]]
            n_before[part] += here.size
            rows = drawn[part][first:until]
            rows["house"] = house
            rows["observed_minute"] = examples.observed_minute[taken]
            rows["n_observed"] = examples.n_observed[taken]
            rows["n_recent"] = examples.n_recent[taken]
            rows["target_kw"] = examples.target_kw[taken]
            rows["window_kw"] = examples.windows_at(taken)
    return drawn


def places(seed: int, house: str, part: str, n_found: int, n_taken: int) -> I64:
    """Return which ``n_taken`` of a house's ``n_found`` windows of a part are drawn, in ascending order.

    One window is drawn from each of ``n_taken`` runs of consecutive windows of equal length, so that they are spread
    evenly over time. The result depends only on the arguments.

    >>> places(1, "a", "train", 6, 6).tolist(), places(1, "a", "train", 100, 4) // 25
    ([0, 1, 2, 3, 4, 5], array([0, 1, 2, 3]))
    """
    edges = np.arange(n_taken + 1) * n_found // max(n_taken, 1)
    return edges[:-1] + _random(seed, house, part).integers(0, np.maximum(np.diff(edges), 1))


def _random(seed: int, *words: object) -> np.random.Generator:
    digest = hashlib.sha256(json.dumps([str(word) for word in words]).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def _write_chunks(folder: Path, seed: int, part: str, group: int, rows: Rows) -> Iterator[Chunk]:
    """Write ``rows`` of a group's houses, shuffled, as chunks of about equal size."""
    order = _random(seed, part, group).permutation(rows.size)
    for number, chosen in enumerate(np.array_split(order, -(-rows.size // CHUNK_ROWS)) if rows.size else ()):
        out = BytesIO()
        np.save(out, rows[chosen], allow_pickle=False)
        name = f"{part}-{group:05d}-{number:03d}.npy"
        write_atomically(folder / name, out.getvalue())
        yield Chunk(name, part, chosen.size, hashlib.sha256(out.getvalue()).hexdigest())
