"""A training run: what ``train`` leaves in its folder and ``export`` picks up.

``weights.npz`` holds the best weights so far, ``run.json`` all that made them. Both are replaced
whole at each improvement, the weights first; a run whose weights are not those that ``run.json``
names was interrupted between the two and is refused.
"""

from __future__ import annotations

import io
import json
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from gapcast.core.window import F32
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiment import Experiment
from gapcast_trainer.families.base import Design, Scale
from gapcast_trainer.files import write_whole

RUN_FILE, WEIGHTS_FILE = "run.json", "weights.npz"
UNKNOWN_COMMIT = "unknown"
Status = Literal["running", "finished", "stopped early", "interrupted"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """Losses (as the experiment weighs them, scaled units) and the squared error at the horizon after one pass.

    ``learning_rate`` is the one that the pass ended with.
    """

    train_loss: float
    validate_loss: float
    validate_mse_kw2: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Run:
    """All that made a set of weights.

    ``clean_sha256`` is of the clean file, or of the manifest of a training set, whose ``houses`` were learnt from while
    those ``left_out`` were not.
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

    @property
    def name(self) -> str:
        """The model's name."""
        return self.experiment.name

    @property
    def design(self) -> Design:
        """What the graph was built for."""
        return Design(self.experiment.task(), self.experiment.outputs.quantile_levels, self.scale)

    @property
    def best(self) -> Epoch | None:
        """The epoch whose weights were kept, or None where there was no descent."""
        return None if self.best_epoch is None else self.history[self.best_epoch - 1]


_RUN: TypeAdapter[Run] = TypeAdapter(Run)


def save_weights(folder: Path, weights: list[F32]) -> str:
    """Write ``weights`` and return their SHA-256."""
    packed = io.BytesIO()
    np.savez(packed, *weights)
    write_whole(folder / WEIGHTS_FILE, packed.getvalue())
    return sha256(packed.getvalue()).hexdigest()


def save_run(folder: Path, run: Run) -> None:
    """Write ``run.json``."""
    write_whole(folder / RUN_FILE, json.dumps(_RUN.dump_python(run, mode="json"), indent=2) + "\n")


def load_run(folder: Path) -> tuple[Run, list[F32]]:
    """Read a run and its best weights.

    Raises :class:`RunError` where there is none, it has no weights yet, or the two do not belong together.
    """
    try:
        run = _RUN.validate_json((folder / RUN_FILE).read_bytes())
    except OSError as error:
        msg = f"{folder}: holds no {RUN_FILE} of a training run: make it with `gapcast-trainer train`"
        raise RunError(msg) from error
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the file"
        msg = f"{folder / RUN_FILE}: {where}: {error.errors()[0]['msg']}"
        raise RunError(msg) from error
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


def now() -> str:
    """Return the time now, RFC 3339 in UTC to the second."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def git_commit() -> str:
    """Return the commit that this code was checked out at, or :data:`UNKNOWN_COMMIT`.

    ``-dirty`` follows where the code was changed since.
    """
    here = Path(__file__)
    if _git("ls-files", "--error-unmatch", here.name) is None:
        return UNKNOWN_COMMIT  # installed, perhaps inside some other project's checkout
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no", "--", ".")
    if commit is None:
        return UNKNOWN_COMMIT
    return f"{commit}-dirty" if changes else commit


def _git(*command: str) -> str | None:
    """Return what a git command answers in this folder, or None where it fails or there is no git."""
    try:
        answer = subprocess.run(  # noqa: S603 - fixed words, no shell
            ("git", *command),  # noqa: S607 - wherever git is installed
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if answer.returncode else answer.stdout.strip()
