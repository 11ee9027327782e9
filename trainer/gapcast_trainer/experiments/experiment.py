"""An experiment: everything that defines a model.

Omitted keys have the defaults of :mod:`gapcast_trainer.experiments.sections`; unknown keys are errors.
:mod:`gapcast_trainer.experiments.experiment_files` reads experiments from files.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from gapcast.core.models.card_types import MAX_HORIZON_MIN, Name
from gapcast.core.windows.features import problem_with
from gapcast.core.windows.window import WindowSpec
from gapcast.recordings.formats import uci
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.data.split import MinuteSplit, minute_at
from gapcast_trainer.data.split_dates import DEFAULTS, ENDS, default_ends, label, order_problem, time_of
from gapcast_trainer.data.windows import WindowTask
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.sections import (
    Augment,
    Data,
    Descent,
    ExperimentSection,
    House,
    Loss,
    Mixing,
    OutlookRows,
    Outputs,
    Window,
)
from gapcast_trainer.experiments.unknown_keys import first_error, key_problem

#: The family whose training the section ``outlook`` describes.
OUTLOOK = "outlook"
#: End of the error message about a key that is not similar to any other.
_OTHER_KEYS = "the keys of a model family are below hyper, as hyper.units"
#: Range of NumPy's seeds.
_N_SEEDS = 2**32
#: Origin of the dates of a shipped experiment, which are for UCI's household set.
_SHIPPED_DATES = "the shipped experiment"


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
    houses: tuple[House, ...] = ()
    mixing: Mixing = Mixing()
    outlook: OutlookRows = OutlookRows()
    #: Origin of each stated end of a part, by key, for messages.
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _check_consistency(self) -> Experiment:
        problem = problem_with(self.window.features)
        if problem:
            raise ValueError(problem)
        leads, levels, weights = self.outputs.lead_times_min, self.outputs.quantile_levels, self.loss.lead_weights
        if list(leads) != sorted(set(leads)) or leads[0] < 1:
            msg = f"outputs.lead_times_min must be whole minutes in ascending order from 1, not {leads}"
            raise ValueError(msg)
        if leads[-1] > MAX_HORIZON_MIN:
            msg = (
                f"outputs.lead_times_min must end with {MAX_HORIZON_MIN} or less, as in a model's card, not {leads[-1]}"
            )
            raise ValueError(msg)
        embargo_min = self.data.embargo_min
        if embargo_min is not None and leads[-1] > embargo_min:
            msg = f"data.embargo_min must be at least the longest lead time ({leads[-1]} min), not {embargo_min}"
            raise ValueError(msg)
        if levels is not None and (list(levels) != sorted(set(levels)) or not 0 < levels[0] <= levels[-1] < 1):
            msg = f"outputs.quantile_levels must rise between 0 and 1, not {levels}"
            raise ValueError(msg)
        if weights is not None and (len(weights) != len(leads) or not sum(weights)):
            msg = f"loss.lead_weights must be one for each of the {len(leads)} lead times and not all 0, not {weights}"
            raise ValueError(msg)
        return self

    @model_serializer(mode="wrap")
    def _without_unused_sections(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        if self.family != OUTLOOK:
            fields.pop("outlook", None)
        if not self.mixes and self.family != OUTLOOK:
            fields.pop("houses", None)
            if self.mixing == Mixing():  # else it has the settings for training from another run, or a later change
                fields.pop("mixing", None)
        return fields

    @property
    def mixes(self) -> bool:
        """Whether the model is trained on several houses or on mixtures."""
        return bool(self.houses) or self.mixing.share > 0

    def split(self) -> MinuteSplit:
        """Return the split by time; raise :class:`ValueError` if an end is missing (see :meth:`with_dates`)."""
        data = self.data
        if data.train_until is None or data.validate_until is None or data.test_until is None:
            msg = f"experiment {self.name} does not state all of {', '.join(ENDS)}: they depend on the file"
            raise ValueError(msg)
        return MinuteSplit(data.train_until, data.validate_until, data.test_until, self.embargo_min)

    @property
    def embargo_min(self) -> int:
        """The minutes at the end of a part that belong to no part."""
        return self.outputs.lead_times_min[-1] if self.data.embargo_min is None else self.data.embargo_min

    def with_dates(self, clean: CleanFile) -> Experiment:
        """Return the experiment with all ends of its parts for ``clean``: shares of the file for ends that it omits.

        The dates of a shipped experiment apply only to UCI's household set. Raises :class:`RunError` if the ends are
        not in order, or the file ends before the first minute.
        """
        stated = {key: end for key in ENDS if (end := getattr(self.data, key)) is not None}
        if clean.report.source != uci.SOURCE:
            stated = {key: end for key, end in stated.items() if self._origins.get(key) != _SHIPPED_DATES}
        series, first = clean.series, self.data.first
        first_minute = series.first_minute if first is None else max(series.first_minute, minute_at(first))
        if first is not None and first_minute > series.last_minute:
            end = label(time_of(series.last_minute + 1))
            msg = f"experiment {self.name}: data.first ({label(first)}) must be before the end of the file ({end})"
            raise RunError(msg)
        ends = default_ends(first_minute, series.last_minute + 1) | stated
        origins = {key: self._origins.get(key, "stated") for key in stated}
        problem = order_problem(ends, {**DEFAULTS, **origins})
        if problem:
            msg = f"experiment {self.name}: {problem}"
            raise RunError(msg)
        return self.with_data(self.data.model_copy(update=ends))

    def check_start(self, *, has_start: bool) -> None:
        """Raise :class:`RunError` if the layers of another run are to stay unchanged, but there is no such run."""
        if self.descent.only_new and not has_start:
            msg = (
                f"experiment {self.name}: is the last of several steps (docs/models.md, Recipe): descent.only_new "
                "keeps the layers of another run: give its folder by --start. lstm-5-3 is a plain LSTM to begin with"
            )
            raise RunError(msg)

    def with_data(self, data: Data) -> Experiment:
        """Return the experiment with the section ``data``, which states all ends."""
        dated = self.model_copy(update={"data": data})
        dated._origins = {}
        return dated

    def as_shipped(self) -> Experiment:
        """Return the experiment as a shipped one, whose dates apply only to UCI's household set."""
        shipped = self.model_copy()
        shipped._origins = dict.fromkeys(self._origins, _SHIPPED_DATES)
        return shipped

    def task(self) -> WindowTask:
        """Return the forecasting task."""
        spec = WindowSpec(self.window.context, self.window.padding)
        return WindowTask(spec, self.outputs.lead_times_min, self.window.features)

    def changed(self, changes: dict[str, Any], origin: str = "--set") -> Experiment:
        """Return the experiment with other values at dotted keys such as ``descent.epochs``; they come from ``origin``.

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
        new = {key: origin for key in ENDS if f"data.{key}" in changes}
        return parse_experiment(fields, f"experiment {self.name}", self._origins | new)


#: Top-level keys whose value is a text.
TEXT_KEYS = frozenset(name for name, field in Experiment.model_fields.items() if field.annotation is str)
#: Top-level keys whose value is a section.
SECTION_KEYS = frozenset(
    name for name, field in Experiment.model_fields.items() if isinstance(field.default, ExperimentSection)
)


def parse_experiment(fields: dict[str, Any], where: str, origins: dict[str, str] | None = None) -> Experiment:
    """Return the experiment of ``fields``; raise :class:`RunError` that names the first invalid key, and ``where``.

    ``origins`` are the origins of the ends of the parts, by key (default: ``where``).
    """
    try:
        experiment = Experiment.model_validate(fields)
    except ValidationError as error:
        msg = f"{where}: {key_problem(first_error(error), Experiment, 'the experiment', _OTHER_KEYS)}"
        raise RunError(msg) from error
    stated = {key: end for key in ENDS if (end := getattr(experiment.data, key)) is not None}
    experiment._origins = {key: (origins or {}).get(key, where) for key in stated}
    applicable = {key: end for key, end in stated.items() if experiment._origins[key] != _SHIPPED_DATES}
    if problem := order_problem(applicable, experiment._origins):
        msg = f"{where}: {problem}"
        raise RunError(msg)
    return experiment
