"""The search space of a sweep: an experiment, and a range or a list for some of its keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from gapcast.core.documents.field_problem import value_problem
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import OUTLOOK, SECTION_KEYS, Experiment, parse_experiment
from gapcast_trainer.experiments.experiment_files import find_experiment, read_toml
from gapcast_trainer.sweep.fixed_keys import problem_with_search

if TYPE_CHECKING:
    import optuna

_SEARCH, _BASE, _FAMILY, _HYPER = "search", "base", "family", "hyper"
_MISSING = "missing"


class Between(BaseModel):
    """A number between ``low`` and ``high``, an integer if both are integers; log-uniform with ``log``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _check_order(self) -> Between:
        if self.low >= self.high or (self.log and self.low <= 0):
            msg = f"low must be below high, and above 0 with log, not {self.low} and {self.high}"
            raise ValueError(msg)
        return self

    @property
    def values(self) -> list[Any]:
        """The lowest and the highest value."""
        return [self.low, self.high]

    def suggest(self, trial: optuna.Trial, key: str) -> int | float:
        """Return the trial's value for ``key``."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return int(trial.suggest_int(key, self.low, self.high, log=self.log))
        return float(trial.suggest_float(key, self.low, self.high, log=self.log))


class OneOf(BaseModel):
    """One of ``choices``, of any type."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    choices: list[Any] = Field(min_length=1)

    @property
    def values(self) -> list[Any]:
        """All choices."""
        return self.choices

    def suggest(self, trial: optuna.Trial, key: str) -> Any:
        """Return the trial's value for ``key``."""
        return self.choices[trial.suggest_categorical(key, list(range(len(self.choices))))]


_SPACE: TypeAdapter[dict[str, Between | OneOf]] = TypeAdapter(dict[str, Between | OneOf])


@dataclass(frozen=True, slots=True)
class Space:
    """An experiment and, by dotted key, the range of each searched value."""

    experiment: Experiment
    ranges: dict[str, Between | OneOf]

    def first_trial(self) -> Experiment:
        """Return the experiment with the first value of every key; raise :class:`RunError` if it is invalid."""
        return self.experiment.changed(self._first_values())

    def families(self) -> list[str]:
        """Return the families of the trials."""
        what = self.ranges.get(_FAMILY)
        return [self.experiment.family] if what is None else what.values

    def hyper_tables(self) -> list[dict[str, Any]]:
        """Return the hyper-parameters of the first trial, or one table for each choice if ``hyper`` is searched whole.

        Raises :class:`RunError` if a choice is not a table.
        """
        what = self.ranges.get(_HYPER)
        if what is None:
            return [self.first_trial().hyper]
        return [self.experiment.changed(self._first_values() | {_HYPER: table}).hyper for table in what.values]

    def _first_values(self) -> dict[str, Any]:
        return {key: what.values[0] for key, what in self.ranges.items()}

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return the trial's value of every key."""
        return {key: what.suggest(trial, key) for key, what in self.ranges.items()}

    def identity(self) -> dict[str, Any]:
        """Return the inputs of a trial's loss and stored parameters: the experiment, and the kind of each range."""
        kinds = {
            key: what.choices if isinstance(what, OneOf) else [isinstance(what.low + what.high, int), what.log]
            for key, what in self.ranges.items()
        }
        return {"experiment": self.experiment.model_dump(mode="json"), "search": kinds}

    def shown(self, key: str, stored: Any) -> str:
        """Format a stored parameter: the choice, not its index."""
        what = self.ranges.get(key)
        if isinstance(what, OneOf):
            return str(what.choices[stored])
        return f"{stored:.4g}" if isinstance(stored, float) else str(stored)


def read_space(path: Path) -> Space:
    """Return the space in the TOML file at ``path``.

    It is an experiment (or names one as ``base``, with the keys that differ) with a table ``[search]`` of dotted keys:
    ``"descent.learning_rate" = {low = 1e-3, high = 1e-2, log = true}``, ``"hyper.units" = {choices = [[5, 3], [8,
    4]]}``. Raises :class:`RunError` for invalid content, except hyper-parameters and the name of a family: these need
    TensorFlow, and :func:`gapcast_trainer.sweep.search.search` checks them.
    """
    fields = read_toml(path)
    search, base = fields.pop(_SEARCH, {}), fields.pop(_BASE, None)
    if not search:
        msg = f"{path}: has no [{_SEARCH}] table with the keys to search"
        raise RunError(msg)
    if base is None:
        experiment = parse_experiment(fields, str(path))
    else:
        experiment = find_experiment(str(base)).changed(_dotted(fields), str(path))
    try:
        ranges = _SPACE.validate_python(search)
    except ValidationError as error:
        first = error.errors()[0]
        key, *_, last = first["loc"]
        problem = f"{last} {value_problem(first)}" if first["type"] == _MISSING else value_problem(first)
        msg = f"{path}: {_SEARCH}.{key}: {problem}: give low and high (and log), or choices"
        raise RunError(msg) from error
    space = Space(experiment, ranges)
    try:
        space.first_trial()
    except RunError as error:
        msg = f"{path}: in [{_SEARCH}]: {error}"
        raise RunError(msg) from error
    values = _values(ranges)
    refused = problem_with_search(values, experiment) or _section_problem(space) or _start_problem(space, values)
    if refused is not None:
        msg = f"{path}: {refused}"
        raise RunError(msg)
    return space


def _section_problem(space: Space) -> str | None:
    """Return that a choice of ``space`` is a whole section, whose other keys would have their defaults, or None."""
    whole = next((key for key in space.ranges if key in SECTION_KEYS), None)
    if whole is None:
        return None
    return f"search.{whole}: a choice replaces the whole section, with the keys that it omits: search {whole}.KEY"


def _start_problem(space: Space, values: dict[str, list[Any]]) -> str | None:
    """Return why the trials of ``space`` need another run or model to start from, or None."""
    if OUTLOOK in space.families():
        return f"family {OUTLOOK} is built around a model, and a search has no --start: search another family"
    if space.experiment.descent.only_new or True in values.get("descent.only_new", []):
        return (
            "descent.only_new keeps the layers of another run, and a search has no --start: set it to false, or search "
            "the first of several steps, such as lstm-uci"
        )
    return None


def _values(ranges: dict[str, Between | OneOf]) -> dict[str, list[Any]]:
    """Return the values of every key; if a choice is a table, of the keys in it."""
    found = dict[str, list[Any]]()
    for key, what in ranges.items():
        for value in what.values:
            for one, each in _dotted({key: value}).items():
                found.setdefault(one, []).append(each)
    return found


def _dotted(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in fields.items():
        found |= _dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found
