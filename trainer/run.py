"""A training run: what ``train`` leaves in its folder and ``export`` picks up.

``weights.npz`` holds the best weights so far, ``run.json`` all that made them. Both are replaced
whole at each improvement, the weights first; a run whose weights are not those that ``run.json``
names was interrupted between the two and is refused.
"""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from edge.core.window import F32, Padding, WindowSpec
from trainer.errors import RunError
from trainer.files import write_whole
from trainer.split import Split
from trainer.windows import Task

if TYPE_CHECKING:
    from trainer.families.base import Hyper

RUN_FILE, WEIGHTS_FILE = "run.json", "weights.npz"
UNKNOWN_COMMIT = "unknown"
Status = Literal["running", "finished", "stopped early", "interrupted"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """Mean squared errors (kW^2) after one pass over the training part, and the rate it was made with."""

    train_mse_kw2: float
    validate_mse_kw2: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Run:
    """All that made a set of weights."""

    name: str
    family: str
    hyper: dict[str, int | float | str | bool | list[int]]
    context: int
    padding: Padding
    lead_times_min: tuple[int, ...]
    split: Split
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
    validate_mse_kw2: float | None = None
    weights_sha256: str = ""
    history: tuple[Epoch, ...] = field(default=())

    @property
    def task(self) -> Task:
        """What the model was fitted to do."""
        return Task(WindowSpec(self.context, self.padding), self.lead_times_min)


_RUN: TypeAdapter[Run] = TypeAdapter(Run)


def hyper_fields(hyper: Hyper) -> dict[str, int | float | str | bool | list[int]]:
    """Return hyper-parameters as a card and ``run.json`` state them."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(hyper).items()}


def hyper_from(kind: type[Hyper], fields: Mapping[str, Any], where: str) -> Hyper:
    """Return hyper-parameters of ``kind`` from their fields; :class:`RunError` names one that does not fit."""
    try:
        return TypeAdapter(kind).validate_python(dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        msg = f"{where}: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        raise RunError(msg) from error


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
