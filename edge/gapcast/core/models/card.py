"""ModelCard: the schema of ``card.json``, the description of a model file."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field, model_validator

from gapcast.core.models.card_provenance import DateSplit, ModelScores, TrainedOn
from gapcast.core.models.card_types import (
    MAX_CONTEXT_MIN,
    MAX_HORIZON_MIN,
    MAX_LEVELS,
    MAX_MODEL_BYTES,
    CardPart,
    Count,
    JsonObject,
    Name,
    Sha256,
    Text,
)
from gapcast.core.models.golden_example import Golden
from gapcast.core.windows.features import UNITS, problem_with
from gapcast.core.windows.window import Padding, WindowSpec

#: Steps of the longest history that the buffer holds: a week of quarter-hours.
MAX_HISTORY_STEPS = 7 * 24 * 4


class Feature(CardPart):
    """One column of the input: its name and its physical unit."""

    name: str = Field(max_length=64)
    unit: str = Field(max_length=64)


class CompactHistory(CardPart):
    """A model's second input: the means of the newest complete steps of ``step_min`` minutes on the UTC clock."""

    steps: int = Field(ge=1, le=MAX_HISTORY_STEPS)
    step_min: Literal[15] = 15


class ModelCard(CardPart):
    """Everything that the runtime needs to know about a model, and its provenance."""

    schema_version: Literal[1] = 1
    name: Name
    version: str = Field(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_.+-]+$")
    family: Text
    sha256: Sha256
    bytes: int = Field(gt=0, le=MAX_MODEL_BYTES)
    parameters: Count
    context: int = Field(ge=2, le=MAX_CONTEXT_MIN)
    padding: Padding
    lead_times_min: list[int] = Field(min_length=1, max_length=MAX_HORIZON_MIN)
    features: list[Feature] = Field(min_length=1, max_length=len(UNITS))
    history: CompactHistory | None = None
    body: Sha256 | None = Field(
        default=None,
        description="Digest of the layers that two models share: one computes them, the other continues after them",
    )
    quantile_levels: list[float] | None = Field(default=None, min_length=1, max_length=MAX_LEVELS)
    hyper_parameters: JsonObject = Field(default_factory=dict)
    experiment: JsonObject | None = Field(
        default=None, description="The complete experiment that the model was trained by"
    )
    trained_on: TrainedOn
    split: DateSplit
    scores: ModelScores
    git_commit: Text
    created_at: AwareDatetime
    golden: Golden

    @model_validator(mode="after")
    def _check_consistency(self) -> ModelCard:
        self._check_features()
        leads = self.lead_times_min
        if leads != sorted(set(leads)) or leads[0] < 1:
            msg = f"lead_times_min must rise from 1 or more, not {leads}"
            raise ValueError(msg)
        if leads[-1] > MAX_HORIZON_MIN:
            msg = f"lead_times_min must end with {MAX_HORIZON_MIN} or less, not {leads[-1]}"
            raise ValueError(msg)
        levels = self.quantile_levels
        if levels is not None and (levels != sorted(set(levels)) or not 0 < levels[0] <= levels[-1] < 1):
            msg = f"quantile_levels must rise between 0 and 1, not {levels}"
            raise ValueError(msg)
        n_levels = 0 if levels is None else len(levels)
        self.golden.check(self.context, len(self.features), self.history_steps, len(leads), n_levels)
        return self

    def _check_features(self) -> None:
        problem = problem_with([feature.name for feature in self.features])
        if problem is not None:
            raise ValueError(f"features: {problem}")
        for feature in self.features:
            if feature.unit != UNITS[feature.name]:
                msg = f"features: {feature.name} is given in {UNITS[feature.name]}, not in {feature.unit}"
                raise ValueError(msg)

    @property
    def spec(self) -> WindowSpec:
        """The window that the model takes."""
        return WindowSpec(self.context, self.padding)

    @property
    def horizon_min(self) -> int:
        """The longest lead time, minutes."""
        return self.lead_times_min[-1]

    @property
    def history_steps(self) -> int:
        """Number of steps of the history that the model takes; 0 without a history."""
        return 0 if self.history is None else self.history.steps

    @property
    def forecasts_means(self) -> bool:
        """Whether the model also forecasts the mean of all minutes until each lead time."""
        return self.golden.mean_to is not None

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the file's outputs, equal to the outputs of the golden example."""
        names = ("mean", "quantiles", "mean_to", "quantiles_to")
        return tuple(name for name in names if getattr(self.golden, name) is not None)
