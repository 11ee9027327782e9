"""The sections of an experiment, with the defaults of their keys."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
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
    SerializerFunctionWrapHandler,
    model_serializer,
)

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.forecasts.forecast import LOWER, UPPER
from gapcast.core.models.card_types import Name
from gapcast.core.windows.window import MIN_OBSERVED, Padding
from gapcast_trainer.data.windows import DEFAULT_LEAD_TIMES_MIN

#: Maximum context that the card permits, minutes.
_MAX_CONTEXT = 100_000


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
    """The minutes of each split (end times exclusive; see :class:`gapcast_trainer.data.split.MinuteSplit`).

    An end that is None is a share of the file (:mod:`gapcast_trainer.data.split_dates`). ``embargo_min`` None: as
    long as the longest lead time.
    """

    first: Time | None = None
    train_until: Time | None = None
    validate_until: Time | None = None
    test_until: Time | None = None
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

    @property
    def interval_note(self) -> str:
        """What a model with these quantile levels lacks, if they are not those of an interval; else empty."""
        if self.quantile_levels is None or {LOWER, UPPER} <= {*self.quantile_levels}:
            return ""
        levels = ", ".join(map(str, self.quantile_levels))
        lacking = f"the model has no interval of its own, which needs {LOWER} and {UPPER}"
        return f"outputs.quantile_levels: with {levels} {lacking}"


class Loss(ExperimentSection):
    """Squared error of the mean and pinball loss of the quantiles, in scaled units, with their weights.

    ``lead_weights`` are the weights of the lead times (None: equal).
    """

    mean: NonNegativeFloat = 1.0
    quantiles: NonNegativeFloat = 1.0
    lead_weights: tuple[NonNegativeFloat, ...] | None = None


class Descent(ExperimentSection):
    """Settings of gradient descent.

    ``schedule`` is the learning rate schedule from ``learning_rate``: ``constant``; ``cosine``, along half a cosine to
    ``last_learning_rate``; or ``exponential``, by a constant factor per step to it. ``clip_norm`` limits the norm of
    each variable's gradient, ``weight_decay`` is the decay per step as a share of the learning rate (decoupled:
    Loshchilov and Hutter 2019). ``average`` is the momentum of an exponential moving average of the weights, which is
    validated and stored (0: no averaging; Polyak and Juditsky 1992). With ``only_new`` the layers that start with the
    weights of another run keep their weights.
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
    only_new: bool = False

    @model_serializer(mode="wrap")
    def _as_before(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit an unused key, because files from before it existed state the same experiment."""
        fields: dict[str, Any] = serialize(self)
        return fields if self.only_new else {key: fields[key] for key in fields if key != "only_new"}


class Augment(ExperimentSection):
    """Augmentation of the training windows, redrawn for each epoch.

    ``short_share`` of them are shortened, to 2 … context readings, and padded, so that a device's first forecasts are
    good as well; ``short_law`` selects a uniform or a log-uniform distribution of the number of readings.
    ``scaled_share`` of them are multiplied, with their targets, by a factor whose logarithm is normal with
    ``scaled_sigma``, so that the model generalises to houses of other sizes; their loss is divided by the factor (by
    its square, for the mean), so that large windows do not dominate.
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


class House(ExperimentSection):
    """Another house to train on; ``train --house NAME=FILE`` gives the clean file for its name.

    ``source`` names the data, its authors and its licence, for the card; ``weight`` is relative to the others.
    """

    name: Name
    source: Annotated[str, Field(min_length=1, max_length=500)]
    weight: PositiveFloat = 1.0


class Mixing(ExperimentSection):
    """How windows of several houses are mixed in training (:mod:`gapcast_trainer.training_data.house_mix`).

    ``main_weight`` is the weight of the house of the clean file. ``share`` of the windows are mixtures: a window is
    scaled with ``augment.scaled_sigma``; ``second_share`` of the mixtures get a scaled window of another house added,
    and all of them 0, 1, 2 ... simulated loads with the probabilities ``n_loads``, each multiplied by a factor whose
    logarithm is normal with ``load_sigma``; ``base_share`` of them get a constant base load, exponential with the mean
    ``base_kw``. The library of loads has ``n_each`` of each kind, without the kinds ``left_out``. ``n_simulated``
    houses of each family of :mod:`gapcast_trainer.synthetic_houses` are added to the houses of the training part, and
    together have ``simulated_weight``. A training that starts from another run ends with the average of both runs'
    weights, with a share ``start_share`` of the start.
    """

    main_weight: PositiveFloat = 1.0
    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    second_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    n_loads: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)] = (0.15, 0.45, 0.28, 0.12)
    load_sigma: NonNegativeFloat = 0.35
    base_share: Annotated[float, Field(ge=0, le=1)] = 0.3
    base_kw: PositiveFloat = 0.4
    n_each: PositiveInt = 12
    left_out: tuple[str, ...] = ()
    n_simulated: Annotated[int, Field(ge=0)] = 0
    simulated_weight: PositiveFloat = 1.0
    start_share: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_serializer(mode="wrap")
    def _as_before(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit unused keys, because files from before they existed state the same experiment."""
        fields: dict[str, Any] = serialize(self)
        later = () if self.n_simulated else ("n_simulated", "simulated_weight")
        return {key: fields[key] for key in fields if key not in later}


class OutlookRows(ExperimentSection):
    """The windows that an outlook is trained on (:mod:`gapcast_trainer.training.outlook`).

    At most ``main`` windows of the house of the clean file, ``house`` of each other house, ``simulated`` of each of
    ``n_simulated`` houses per family, and ``mixture`` of each of ``n_mixtures`` mixtures; ``mixed_simulated_share`` of
    the mixtures have a simulated house added. The shares are shares of the batches. ``new_share`` of the windows belong
    to a device that began less than a week ago. ``point_weight`` is the weight of the loss of single minutes relative
    to that of means.
    """

    main: PositiveInt = 1_000_000
    house: PositiveInt = 80_000
    simulated: PositiveInt = 8_000
    n_simulated: Annotated[int, Field(ge=0)] = 3
    mixture: PositiveInt = 8_000
    n_mixtures: Annotated[int, Field(ge=0)] = 28
    mixed_simulated_share: Annotated[float, Field(ge=0, le=1)] = 0.4
    main_share: PositiveFloat = 0.5
    house_share: PositiveFloat = 0.25
    simulated_share: PositiveFloat = 0.1
    mixture_share: PositiveFloat = 0.2
    new_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    point_weight: PositiveFloat = 1.0
