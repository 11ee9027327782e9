"""ModelCard: the schema of ``card.json``, the description of a model file."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from gapcast.core.features import UNITS, problem_with
from gapcast.core.window import Padding, WindowSpec

#: Bounds on the values of a card, wide of any real model: a card is read before its model has been tried.
MAX_TOLERANCE_KW = 0.01
MAX_CONTEXT_MIN = 100_000
#: Longest horizon, minutes. Pending forecasts take memory for each minute of it.
MAX_HORIZON_MIN = 60
MAX_MODEL_BYTES = 64 << 20
_MAX_KW, _MAX_LEVELS, _MAX_GOLDEN = 1e9, 99, 1_000
_MAX_COUNT, _MAX_TEXT = 10**12, 1_000
#: Steps of the longest history that the buffer holds: a week of quarter-hours.
MAX_HISTORY_STEPS = 7 * 24 * 4

#: A power of the golden example, or a measured value beside it.
Value = Annotated[float, Field(ge=-_MAX_KW, le=_MAX_KW)]
#: A mean error, kW, or its square.
MeanError = Annotated[float, Field(ge=0, le=_MAX_KW**2)]
Count = Annotated[int, Field(ge=0, le=_MAX_COUNT)]
Text = Annotated[str, Field(max_length=_MAX_TEXT)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(values, allow_nan=False)
    except (TypeError, ValueError) as error:
        msg = f"must hold what JSON can: {error}"
        raise ValueError(msg) from error
    return values


#: Parameters of the training, as JSON.
Made = Annotated[dict[str, Any], AfterValidator(_plain)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class Feature(_Frozen):
    """One column of the input: its name and its physical unit."""

    name: str = Field(max_length=64)
    unit: str = Field(max_length=64)


class TrainedOnHouse(_Frozen):
    """A further house of the training data: source with authors and licence, hash, first and last minute, weight."""

    name: Name
    source: Text
    sha256: Sha256
    first: AwareDatetime
    last: AwareDatetime
    weight: Annotated[float, Field(gt=0, le=_MAX_KW)] = 1.0


class TrainedOn(_Frozen):
    """The training data: source, hash, first and last minute; and further houses, if there are any."""

    source: Text
    sha256: Sha256
    first: AwareDatetime
    last: AwareDatetime
    houses: list[TrainedOnHouse] | None = Field(default=None, max_length=_MAX_GOLDEN)


class DateSplit(_Frozen):
    """Time-ordered parts; each ends before the next begins, with the embargo between them."""

    train_until: AwareDatetime
    validate_until: AwareDatetime
    test_until: AwareDatetime
    embargo_min: Count


class ModelScore(_Frozen):
    """Errors at the horizon over the test windows, kW^2 and kW: ``mse_kw2`` and ``mae_kw`` of the mean.

    Of a model with quantiles also ``mae_median_kw``, of the median, and ``coverage``, the share of
    outcomes within its 90 % interval.
    """

    n: int = Field(gt=0, le=_MAX_COUNT)
    mse_kw2: MeanError
    mae_kw: MeanError
    mae_median_kw: MeanError | None = None
    coverage: float | None = Field(default=None, ge=0, le=1)


class ModelScores(_Frozen):
    """The model's score, and that of persistence on the same windows; skill = 1 - MSE / MSE."""

    model: ModelScore
    persistence: ModelScore
    skill: Annotated[float, Field(le=1)]


class CompactHistory(_Frozen):
    """A model's second input: the means of the newest complete steps of ``step_min`` minutes on the UTC clock."""

    steps: int = Field(ge=1, le=MAX_HISTORY_STEPS)
    step_min: Literal[15] = 15


class Golden(_Frozen):
    """Whole inputs ``[n, context, features]``, derived ones too, and the outputs they must give; replayed at start.

    ``history`` ``[n, steps]`` is the input of a model with a history. ``mean_to`` and ``quantiles_to`` are outputs of a
    model that forecasts the mean of all minutes until each lead time as well.
    """

    window: list[list[list[Value]]] = Field(min_length=1, max_length=_MAX_GOLDEN)
    history: list[list[Value]] | None = Field(default=None, max_length=_MAX_GOLDEN)
    mean: list[list[Value]] = Field(max_length=_MAX_GOLDEN)
    quantiles: list[list[list[Value]]] | None = Field(default=None, max_length=_MAX_GOLDEN)
    mean_to: list[list[Value]] | None = Field(default=None, max_length=_MAX_GOLDEN)
    quantiles_to: list[list[list[Value]]] | None = Field(default=None, max_length=_MAX_GOLDEN)
    tolerance_kw: float = Field(default=1e-4, gt=0, le=MAX_TOLERANCE_KW)


class ModelCard(_Frozen):
    """All that the runtime needs to know about a model, and its provenance."""

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
        description="Digest of the layers that two models share: the one passes their values on, the other continues",
    )
    quantile_levels: list[float] | None = Field(default=None, min_length=1, max_length=_MAX_LEVELS)
    hyper_parameters: Made = Field(default_factory=dict)
    experiment: Made | None = Field(default=None, description="The complete experiment that the model was trained by")
    trained_on: TrainedOn
    split: DateSplit
    scores: ModelScores
    git_commit: Text
    created_at: AwareDatetime
    golden: Golden

    @model_validator(mode="after")
    def _consistent(self) -> ModelCard:
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
        self._check_golden_parts()
        self._check_golden()
        return self

    def _check_features(self) -> None:
        problem = problem_with([feature.name for feature in self.features])
        if problem is not None:
            raise ValueError(f"features: {problem}")
        for feature in self.features:
            if feature.unit != UNITS[feature.name]:
                msg = f"features: {feature.name} is given in {UNITS[feature.name]}, not in {feature.unit}"
                raise ValueError(msg)

    def _check_golden_parts(self) -> None:
        """Raise :class:`ValueError` if the golden example lacks an input or output that the card describes."""
        golden, has_levels = self.golden, self.quantile_levels is not None
        expected = {
            "quantiles must be there exactly where quantile_levels are": (golden.quantiles, has_levels),
            "history must be there exactly where history is": (golden.history, self.history is not None),
            "quantiles_to must be there exactly where mean_to and quantile_levels are": (
                golden.quantiles_to,
                has_levels and self.forecasts_means,
            ),
        }
        for rule, (values, is_expected) in expected.items():
            if (values is not None) != is_expected:
                raise ValueError(f"golden.{rule}")

    def _check_golden(self) -> None:
        n, n_leads, golden = len(self.golden.window), len(self.lead_times_min), self.golden
        of_mean, of_quantiles = (n, n_leads), (n, n_leads, len(self.quantile_levels or []))
        shapes: list[tuple[str, Any, tuple[int, ...]]] = [
            ("window", golden.window, (n, self.context, len(self.features))),
            ("history", golden.history, (n, self.history_steps)),
            ("mean", golden.mean, of_mean),
            ("quantiles", golden.quantiles, of_quantiles),
            ("mean_to", golden.mean_to, of_mean),
            ("quantiles_to", golden.quantiles_to, of_quantiles),
        ]
        for what, values, shape in shapes:
            if values is not None and not _has_shape(values, shape):
                msg = f"golden.{what} must have the shape {list(shape)}"
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
        """Steps of the history that the model takes; 0 if it takes none."""
        return 0 if self.history is None else self.history.steps

    @property
    def forecasts_means(self) -> bool:
        """Whether the model forecasts the mean of all minutes until each lead time too."""
        return self.golden.mean_to is not None

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the file's outputs, which are those of the golden example."""
        names = ("mean", "quantiles", "mean_to", "quantiles_to")
        return tuple(name for name in names if getattr(self.golden, name) is not None)


def _has_shape(values: Any, shape: tuple[int, ...]) -> bool:
    """Return whether nested lists are a full array of ``shape``."""
    if not shape:
        return True
    return len(values) == shape[0] and all(_has_shape(part, shape[1:]) for part in values)
