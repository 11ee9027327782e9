"""An experiment: everything that defines a model, in a TOML file.

The shipped models' experiments are in ``trainer/gapcast_trainer/experiments``; a user's own is any file of the same
format. Omitted keys have the defaults in this module; unknown keys are errors.
"""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime, time
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from gapcast.core.card import MAX_HORIZON_MIN, Name
from gapcast.core.features import problem_with
from gapcast.core.window import I64, MIN_OBSERVED, Padding, WindowSpec
from gapcast.recordings.table import F64
from gapcast_trainer.errors import RunError
from gapcast_trainer.split import MinuteSplit
from gapcast_trainer.windows import DEFAULT_LEAD_TIMES_MIN, WindowTask

FOLDER = "experiments"
_PARTS = MinuteSplit()
_TOML = ".toml"
#: Limit of the card, and range of NumPy's seeds.
_MAX_CONTEXT, _N_SEEDS = 100_000, 2**32


def _in_utc(value: Any) -> Any:
    """Interpret a date, or a time without offset, as UTC; reject numbers."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if isinstance(found, date) and not isinstance(found, datetime):
        found = datetime.combine(found, time())
    if not isinstance(found, datetime):
        msg = f"must be a date or a time, as 2009-07-01 or 2009-07-01T12:00:00Z, not {value}"
        raise ValueError(msg)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


Time = Annotated[AwareDatetime, BeforeValidator(_in_utc)]


class ExperimentSection(BaseModel):
    """A section of an experiment."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(ExperimentSection):
    """The minutes of each split (end times exclusive; see :class:`gapcast_trainer.split.MinuteSplit`).

    ``embargo_min`` None: as long as the longest lead time.
    """

    first: Time | None = None
    train_until: Time = _PARTS.train_until
    validate_until: Time = _PARTS.validate_until
    test_until: Time = _PARTS.test_until
    embargo_min: Annotated[int, Field(ge=0)] | None = None
    #: Train on every n-th window of the training part.
    every: PositiveInt = 1


class Window(ExperimentSection):
    """The input of the model."""

    context: Annotated[int, Field(ge=MIN_OBSERVED, le=_MAX_CONTEXT)] = 30
    padding: Padding = "oldest"
    features: tuple[str, ...] = ("gap_kw",)


class Outputs(ExperimentSection):
    """The outputs of the model for each of ``lead_times_min``: the mean, and quantiles if levels are given."""

    lead_times_min: Annotated[tuple[int, ...], Field(min_length=1)] = DEFAULT_LEAD_TIMES_MIN
    quantile_levels: Annotated[tuple[float, ...], Field(min_length=1)] | None = None


class Loss(ExperimentSection):
    """Squared error of the mean and pinball loss of the quantiles, in scaled units, and their weights.

    ``lead_weights`` are the weights of the lead times (None: equal).
    """

    mean: NonNegativeFloat = 1.0
    quantiles: NonNegativeFloat = 1.0
    lead_weights: tuple[NonNegativeFloat, ...] | None = None


class Descent(ExperimentSection):
    """Settings of gradient descent.

    ``schedule`` is the learning rate schedule from ``learning_rate``: ``constant``; ``cosine``, along half a
    cosine to ``last_learning_rate``; or ``exponential``, by a constant factor per step to it.
    ``clip_norm`` limits the norm of each variable's gradient, ``weight_decay`` is the decay per step as a share
    of the learning rate (decoupled: Loshchilov and Hutter 2019). ``average`` is the momentum of an exponential
    moving average of the weights, which is validated and stored (0: no averaging; Polyak and Juditsky 1992).
    """

    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: PositiveFloat = 0.01
    last_learning_rate: PositiveFloat = 1e-4
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    warm_up_steps: Annotated[int, Field(ge=0)] = 0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: NonNegativeFloat = 0.0
    clip_norm: PositiveFloat | None = 1.0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    batch_size: PositiveInt = 1024
    epochs: PositiveInt = 20
    patience: PositiveInt = 6


class Augment(ExperimentSection):
    """Augmentation of the training windows, redrawn for each epoch.

    ``short_share`` of them are shortened, to 2 … context readings, and padded, so that a device's first
    forecasts are good as well; ``short_law`` selects a uniform or a log-uniform distribution of the number of
    readings. ``scaled_share`` of them are multiplied, with their targets, by a factor
    whose logarithm is normal with ``scaled_sigma``, so that the model generalises to houses of other sizes;
    their loss is divided by the factor (its square, for the mean), so that large ones do not dominate.
    """

    short_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    short_law: Literal["uniform", "log"] = "uniform"
    scaled_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    scaled_sigma: PositiveFloat = 0.6

    def lengths(self, context: int) -> tuple[I64, F64]:
        """Return the possible numbers of readings in a window, and their probabilities."""
        kept = np.arange(MIN_OBSERVED, context + 1)
        weight = np.ones(len(kept)) if self.short_law == "uniform" else 1 / kept
        share = self.short_share * weight / weight.sum()
        share[-1] += 1 - self.short_share
        return kept, share


class Experiment(ExperimentSection):
    """Everything that defines a model, except readings and code. ``hyper`` are its family's hyper-parameters."""

    name: Name
    family: str
    version: Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_.+-]+$")] = "1"
    seed: Annotated[int, Field(ge=0, lt=_N_SEEDS)] = 1
    data: Data = Data()
    window: Window = Window()
    outputs: Outputs = Outputs()
    hyper: dict[str, Any] = Field(default_factory=dict)
    loss: Loss = Loss()
    descent: Descent = Descent()
    augment: Augment = Augment()

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        problem = problem_with(self.window.features)
        if problem:
            raise ValueError(problem)
        leads, levels, weights = self.outputs.lead_times_min, self.outputs.quantile_levels, self.loss.lead_weights
        if list(leads) != sorted(set(leads)) or leads[0] < 1:
            msg = f"lead_times_min must be whole minutes in ascending order from 1, not {leads}"
            raise ValueError(msg)
        if leads[-1] > MAX_HORIZON_MIN:
            msg = f"lead_times_min must end with {MAX_HORIZON_MIN} or less, as in a model's card, not {leads[-1]}"
            raise ValueError(msg)
        embargo_min = self.data.embargo_min
        if embargo_min is not None and leads[-1] > embargo_min:
            msg = f"embargo_min must be at least the longest lead time ({leads[-1]} min), not {embargo_min}"
            raise ValueError(msg)
        if levels is not None and (list(levels) != sorted(set(levels)) or not 0 < levels[0] <= levels[-1] < 1):
            msg = f"quantile_levels must rise between 0 and 1, not {levels}"
            raise ValueError(msg)
        if weights is not None and (len(weights) != len(leads) or not sum(weights)):
            msg = f"lead_weights must be one for each of the {len(leads)} lead times and not all 0, not {weights}"
            raise ValueError(msg)
        self.split()  # raises if parts are out of order
        return self

    def split(self) -> MinuteSplit:
        """Return the split by time."""
        data = self.data
        embargo_min = self.outputs.lead_times_min[-1] if data.embargo_min is None else data.embargo_min
        return MinuteSplit(data.train_until, data.validate_until, data.test_until, embargo_min)

    def task(self) -> WindowTask:
        """Return the forecasting task."""
        spec = WindowSpec(self.window.context, self.window.padding)
        return WindowTask(spec, self.outputs.lead_times_min, self.window.features)

    def changed(self, changes: dict[str, Any]) -> Experiment:
        """Return the experiment with other values at dotted keys, as ``descent.epochs``.

        Raises :class:`RunError` for an invalid key or value.
        """
        fields = self.model_dump()
        for key, value in changes.items():
            *path, last = key.split(".")
            section = fields
            for part in path:
                section = section.setdefault(part, {})
                if not isinstance(section, dict):
                    msg = f"{key}: {part} holds no keys"
                    raise RunError(msg)
            section[last] = value
        return parse(fields, f"experiment {self.name}")


def parse(fields: dict[str, Any], where: str) -> Experiment:
    """Return the experiment of ``fields``; :class:`RunError` names the first key that is wrong, and ``where``."""
    try:
        return Experiment.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the experiment"
        msg = f"{where}: {key}: {first['msg'].removeprefix('Value error, ')}"
        raise RunError(msg) from error


def load(path: Path) -> dict[str, Any]:
    """Return the content of the TOML file at ``path``, with ``name`` defaulting to the file's name."""
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})"
        raise RunError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path}: is not TOML: {error}"
        raise RunError(msg) from error
    return {"name": path.name.removesuffix(_TOML), **fields}


def read(path: Path) -> Experiment:
    """Return the experiment in the TOML file at ``path``; its name defaults to the file's."""
    return parse(load(path), str(path))


def shipped_names() -> list[str]:
    """Return the names of the shipped experiments."""
    return sorted(file.name.removesuffix(_TOML) for file in _shipped().iterdir() if file.name.endswith(_TOML))


def find(name_or_path: str) -> Experiment:
    """Return a shipped experiment by its name, or the one in a file.

    Raises :class:`RunError` that lists the names there are.
    """
    if name_or_path in shipped_names():
        with resources.as_file(_shipped() / (name_or_path + _TOML)) as path:
            return read(path)
    if name_or_path.endswith(_TOML):
        return read(Path(name_or_path))
    msg = f"no experiment is called {name_or_path}: there are {', '.join(shipped_names())}, or give a {_TOML} file"
    raise RunError(msg)


def _shipped() -> Any:
    return resources.files("gapcast_trainer") / FOLDER
