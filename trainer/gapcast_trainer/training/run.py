"""A training run: the files that ``train`` writes to its folder and ``export`` reads.

``weights.npz`` holds the best weights so far, ``run.json`` everything that made them. Both are replaced atomically at
each improvement, the weights first; a run whose weights do not match ``run.json`` was interrupted between the two and
is rejected.
"""

from __future__ import annotations

import io
import json
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from gapcast.core.arrays.array_types import F32
from gapcast.core.documents.field_problem import field_problem
from gapcast.core.models.card_provenance import TrainedOnHouse
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.families.parts.base import Design, Scale
from gapcast_trainer.files import write_atomically

if TYPE_CHECKING:
    import keras

RUN_FILE, WEIGHTS_FILE = "run.json", "weights.npz"
Status = Literal["running", "finished", "stopped early", "interrupted"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """Losses (as the experiment weighs them, scaled units) and the squared error at the horizon after one pass.

    ``learning_rate`` is the rate at the end of the pass.
    """

    train_loss: float
    validate_loss: float
    validate_mse_kw2: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that made a set of weights.

    ``clean_sha256`` is of the clean file, or of the manifest of a training set, which was trained on ``houses`` except
    the ``left_out`` ones; ``readings`` is its path (empty if unknown). ``time_zone`` is the zone of features of the
    time of day and the week. ``others`` are the houses besides the clean file's house. ``start`` is the name, the
    version and the hash of the weights of the run from which the training started (empty: none).
    ``persistence_mse_kw2`` is at the horizon, on the windows of the validation part (None: not computed, as for an
    outlook).
    """

    experiment: Experiment
    scale: Scale
    source: str
    source_sha256: str
    clean_sha256: str
    n_train: int
    n_validate: int
    train_first: str
    train_last: str
    git_commit: str
    versions: dict[str, str]
    started_at: str
    status: Status = "running"
    best_epoch: int | None = None
    weights_sha256: str = ""
    history: tuple[Epoch, ...] = field(default=())
    houses: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    others: tuple[TrainedOnHouse, ...] = ()
    start: str = ""
    readings: str = ""
    time_zone: str = "UTC"
    persistence_mse_kw2: float | None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.experiment.name

    @property
    def design(self) -> Design:
        """The design of the graph."""
        return Design(self.experiment.task(), self.experiment.outputs.quantile_levels, self.scale)

    @property
    def best(self) -> Epoch | None:
        """The epoch of the stored weights, or None without gradient descent."""
        return None if self.best_epoch is None else self.history[self.best_epoch - 1]


_RUN: TypeAdapter[Run] = TypeAdapter(Run)


def save_weights(folder: Path, weights: list[F32]) -> str:
    """Write ``weights`` and return their SHA-256."""
    packed = io.BytesIO()
    np.savez(packed, *weights)
    write_atomically(folder / WEIGHTS_FILE, packed.getvalue())
    return sha256(packed.getvalue()).hexdigest()


def save_run(folder: Path, run: Run) -> None:
    """Write ``run.json``."""
    write_atomically(folder / RUN_FILE, json.dumps(_RUN.dump_python(run, mode="json"), indent=2) + "\n")


def read_run(folder: Path) -> Run:
    """Read ``run.json`` in ``folder``; raise :class:`RunError` if it does not exist."""
    try:
        return _RUN.validate_json((folder / RUN_FILE).read_bytes())
    except OSError as error:
        msg = f"{folder}: contains no {RUN_FILE} of a training run: create it with `gapcast-trainer train`"
        raise RunError(msg) from error
    except ValidationError as error:
        msg = f"{folder / RUN_FILE}: {field_problem(error.errors()[0])}"
        raise RunError(msg) from error


def load_run(folder: Path) -> tuple[Run, list[F32]]:
    """Read a run and its best weights.

    Raises :class:`RunError` if there is no run, it has no weights yet, or the two do not match.
    """
    run = read_run(folder)
    try:
        packed = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        msg = f"{folder}: the run has no weights yet: let `gapcast-trainer train` finish an epoch"
        raise RunError(msg) from error
    if sha256(packed).hexdigest() != run.weights_sha256:
        msg = f"{folder / WEIGHTS_FILE}: is not what {RUN_FILE} describes: train again"
        raise RunError(msg)
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return run, [arrays[f"arr_{place}"] for place in range(len(arrays.files))]


def set_run_weights(model: keras.Model, run: Run, weights: list[F32], folder: Path) -> None:
    """Set ``model`` to the ``weights`` of ``run`` in ``folder``; raise :class:`RunError` if it has other layers."""
    try:
        model.set_weights(weights)
    except ValueError as error:
        msg = f"{folder}: the weights do not fit family {run.experiment.family} of this version: train again"
        raise RunError(msg) from error


def code_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries on which the weights depend, by name."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("keras", "tensorflow", "numpy")}}


def utc_now() -> str:
    """Return the current time, RFC 3339 in UTC, to the second."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
