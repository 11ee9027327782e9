"""Reads training sets of many houses, written by ``gapcast-fleet prepare``, chunk by chunk.

:mod:`gapcast.core.windows.training_set` defines the format. Each chunk is verified by its hash when it is read, so that
every model records exactly the windows to which it was fitted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, tzinfo
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from gapcast.core.arrays.array_types import F32
from gapcast.core.documents.field_problem import field_problem
from gapcast.core.errors import SourceError
from gapcast.core.windows.features import measured_in
from gapcast.core.windows.training_set import FORMAT, MANIFEST_FILE, Chunk, Manifest, row_type
from gapcast.recordings.formats.clean_file import UTC_NAME
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.data.windows import Examples, WindowTask
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import Experiment

Rows = NDArray[np.void]
_FIX = "create it with `gapcast-fleet prepare`"
_MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Manifest)


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """A set in ``folder``; ``sha256`` is of its manifest, which covers all content."""

    folder: Path
    manifest: Manifest
    sha256: str

    @property
    def row_type(self) -> np.dtype[np.void]:
        """The type of a chunk's rows."""
        return row_type(self.manifest.contract.context, len(self.manifest.contract.lead_times_min))

    @property
    def zone(self) -> tzinfo:
        """The time zone with which the set was prepared, for features of the time of day and the week."""
        name = self.manifest.columns.get("zone", UTC_NAME)
        return UTC if name == UTC_NAME else ZoneInfo(name)

    def read(self, chunk: Chunk) -> Rows:
        """Return the rows of ``chunk``; raise :class:`SourceError` if they do not match the manifest."""
        path = self.folder / chunk.file
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SourceError(path, f"cannot be read ({error.strerror}): {_FIX}") from error
        if sha256(content).hexdigest() != chunk.sha256:
            raise SourceError(path, f"is damaged: it is not what {MANIFEST_FILE} names; {_FIX} in another folder")
        rows: Rows = np.load(BytesIO(content), allow_pickle=False)
        if rows.dtype != self.row_type or rows.shape != (chunk.n_rows,):
            raise SourceError(path, f"holds other columns or rows than {MANIFEST_FILE} says: {_FIX}")
        return rows

    def check(self, experiment: Experiment) -> None:
        """Raise :class:`RunError` if the windows do not match ``experiment``."""
        contract, task = self.manifest.contract, experiment.task()
        leads = ",".join(map(str, task.lead_times_min))
        asked = (
            ("context", contract.context, task.window.context, f"--context {task.window.context}"),
            ("padding", contract.padding, task.window.padding, f"--padding {task.window.padding}"),
            ("lead times", contract.lead_times_min, task.lead_times_min, f"--lead-times {leads}"),
        )
        for what, found, wanted, fix in asked:
            if found != wanted:
                msg = (
                    f"{self.folder}: its windows have the {what} {found}, and experiment {experiment.name} asks for "
                    f"{wanted}: prepare a set with {fix}"
                )
                raise RunError(msg)
        lacking = [name for name in measured_in(task.features) if name not in contract.features]
        if lacking:
            msg = (
                f"{self.folder}: its windows have no {lacking[0]}: leave it out of window.features of {experiment.name}"
            )
            raise RunError(msg)


def open_set(folder: Path) -> TrainingSet:
    """Return the set in ``folder``; raise :class:`SourceError` if there is none that this version can read."""
    path = folder / MANIFEST_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = f"has no {MANIFEST_FILE}: it is not a training set, or an incomplete one: {_FIX}"
        raise SourceError(folder, problem + ", which resumes an interrupted run") from error
    try:
        found = json.loads(content)["format"]
        if found == FORMAT:
            return TrainingSet(folder, _MANIFEST.validate_json(content), sha256(content).hexdigest())
    except ValidationError as error:
        raise SourceError(path, f"{field_problem(error.errors()[0])}: {_FIX}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise SourceError(path, f"is not a manifest of a training set ({error}): {_FIX}") from error
    raise SourceError(path, f"is of format {found}, and this version reads {FORMAT}: {_FIX} of this version")


def to_examples(rows: Rows, part: SplitPart, task: WindowTask, zone: tzinfo = UTC) -> Examples:
    """Return rows in memory, of houses in ``zone``, as examples."""
    return Examples(
        part=part,
        task=task,
        windows=rows["window_kw"],
        rows=np.arange(rows.size, dtype=np.int64),
        observed_minute=rows["observed_minute"],
        n_observed=rows["n_observed"],
        n_recent=rows["n_recent"],
        target_kw=rows["target_kw"],
        zone=zone,
    )


@dataclass(frozen=True, slots=True)
class TrainingSetPart:
    """A part of a training set, read from disk in each pass, and never completely in memory."""

    source: TrainingSet
    part: SplitPart
    task: WindowTask

    def __len__(self) -> int:
        """Return the number of windows."""
        return self.source.manifest.n_rows(self.part.value)

    @property
    def n_measured(self) -> int:
        """Number of measured features, which come first."""
        return len(measured_in(self.task.features))

    @property
    def chunks(self) -> list[Chunk]:
        """The files of the part."""
        return [chunk for chunk in self.source.manifest.chunks if chunk.part == self.part.value]

    def buffer(self, chunks: list[Chunk]) -> Examples:
        """Return the windows of ``chunks``, in memory."""
        first = 0
        rows = np.empty(
            sum(chunk.n_rows for chunk in chunks), self.source.row_type
        )  # filled chunk by chunk, without a second copy
        for chunk in chunks:
            rows[first : first + chunk.n_rows] = self.source.read(chunk)
            first += chunk.n_rows
        return to_examples(rows, self.part, self.task, self.source.zone)

    def batches(self, size: int) -> Iterator[tuple[F32, F32]]:
        """Yield inputs and targets in the chunks' order, ``size`` at once, fewer at a chunk's end."""
        for chunk in self.chunks:
            yield from self.buffer([chunk]).batches(size)

    def sample(self, n_most: int) -> Examples:
        """Return at most ``n_most`` windows, sampled evenly from all chunks, in order of time."""
        every = max(1, math.ceil(len(self) / n_most))
        found = [self.source.read(chunk)[::every] for chunk in self.chunks]
        rows: Rows = np.concatenate([np.empty(0, self.source.row_type), *found])
        in_order = rows[np.argsort(rows["observed_minute"], kind="stable")]
        return to_examples(in_order, self.part, self.task, self.source.zone)
