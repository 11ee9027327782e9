"""The format of a training set: windows of many houses in chunks, and a manifest that describes them.

``gapcast-fleet prepare`` writes it and ``gapcast-trainer train --from`` reads it. A chunk is a ``.npy`` file with rows
of :func:`row_type`; the manifest is JSON and is written last: a folder without it is incomplete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from gapcast.core.windows.features import GAP
from gapcast.core.windows.window import Padding

MANIFEST_FILE = "manifest.json"
#: Version of the format; a reader rejects any other version.
FORMAT = 1
#: The parts of a set: earlier and later minutes of the training houses, and houses left out entirely.
TRAIN, VALIDATE, TEST = PARTS = ("train", "validate", "test")


def row_type(context: int, n_leads: int) -> np.dtype[np.void]:
    """Return the type of a chunk's rows, one per window.

    ``house`` is an index into the manifest's houses, ``window_kw`` the window as the model takes it, oldest minute
    first, gaps filled and padded; the others are as in :class:`gapcast.core.windows.examples.HouseExamples`. Power is
    in kW.

    >>> row_type(60, 1).itemsize
    264
    """
    return np.dtype(
        [
            ("house", "<i4"),
            ("observed_minute", "<i8"),
            ("n_observed", "<i4"),
            ("n_recent", "<i4"),
            ("target_kw", "<f4", (n_leads,)),
            ("window_kw", "<f4", (context,)),
        ]
    )


@dataclass(frozen=True, slots=True)
class Contract:
    """The windows of a set, as in :class:`~gapcast.core.windows.window.WindowSpec`, with lead times and features."""

    context: int = 30
    padding: Padding = "oldest"
    lead_times_min: tuple[int, ...] = (5,)
    features: tuple[str, ...] = (GAP,)

    @property
    def embargo_min(self) -> int:
        """Minutes without examples before a validation part, so that no window or target is in both parts."""
        return self.context - 1 + self.lead_times_min[-1]


@dataclass(frozen=True, slots=True)
class Draw:
    """How windows were sampled.

    At most ``windows_a_house`` windows per house, drawn with ``seed``, for training, or for testing if the house is
    left out (None: as many per house as the house with the fewest has). Validation has ``validate_share`` of that
    number. It begins at ``validate_from`` (RFC 3339), or with the last days of each house that hold that share of its
    readings.
    """

    seed: int = 1
    windows_a_house: int | None = None
    validate_share: float = 0.1
    validate_from: str | None = None


@dataclass(frozen=True, slots=True)
class TrainingSetHouse:
    """A house of a set. Times are RFC 3339 in UTC; ``validate_from`` is None if the house is left out entirely.

    ``n_found`` is the number of its windows for each part, ``n_taken`` the number of these in the set. ``mean_kw`` and
    ``mean_square_kw2`` are over the training minutes, 0 if the house is left out.
    """

    name: str
    left_out: bool
    n_readings: int
    n_duplicates: int
    n_refused: int
    first: str
    last: str
    validate_from: str | None
    n_found: dict[str, int]
    n_taken: dict[str, int]
    mean_kw: float
    mean_square_kw2: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """A file of a set: its part, its number of rows, and the SHA-256 of its bytes."""

    file: str
    part: str
    n_rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of a set. ``source_sha256`` is over the readings, however they are divided into files."""

    format: int
    source: str
    source_sha256: str
    columns: dict[str, str]
    contract: Contract
    embargo_min: int
    draw: Draw
    houses: tuple[TrainingSetHouse, ...]
    chunks: tuple[Chunk, ...]

    def text(self) -> str:
        """Return the manifest as JSON, identical for identical sets."""
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"

    def n_rows(self, part: str) -> int:
        """Return the number of windows of ``part``."""
        return sum(chunk.n_rows for chunk in self.chunks if chunk.part == part)

    def names(self, *, left_out: bool) -> tuple[str, ...]:
        """Return the names of the houses that are left out, or of the training houses."""
        return tuple(house.name for house in self.houses if house.left_out is left_out)


def source_sha256(houses: Sequence[tuple[str, int, str]]) -> str:
    """Return the SHA-256 of a source; each house is given by its name, number of readings and hash of the readings.

    >>> source_sha256([("a", 1, "-7")])[:8]
    '781ea7ef'
    """
    text = "".join(f"{json.dumps(name)} {n_readings} {digest}\n" for name, n_readings, digest in sorted(houses))
    return hashlib.sha256(text.encode()).hexdigest()
