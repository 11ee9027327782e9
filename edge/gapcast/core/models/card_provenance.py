"""The provenance of a model on its card: training data, their split by time, and scores."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from gapcast.core.models.card_types import MAX_COUNT, MAX_ITEMS, MAX_KW, CardPart, Count, MeanError, Name, Sha256, Text


class TrainedOnHouse(CardPart):
    """An additional house of the training data: source, authors and licence, hash, first and last minute, weight."""

    name: Name
    source: Text
    sha256: Sha256
    first: AwareDatetime
    last: AwareDatetime
    weight: Annotated[float, Field(gt=0, le=MAX_KW)] = 1.0


class TrainedOn(CardPart):
    """The training data: source, hash, first and last minute; and additional houses, if there are any."""

    source: Text
    sha256: Sha256
    first: AwareDatetime
    last: AwareDatetime
    houses: list[TrainedOnHouse] | None = Field(default=None, max_length=MAX_ITEMS)


class DateSplit(CardPart):
    """Time-ordered parts; each ends before the next begins, with the embargo between them."""

    train_until: AwareDatetime
    validate_until: AwareDatetime
    test_until: AwareDatetime
    embargo_min: Count


class ModelScore(CardPart):
    """Errors at the horizon over the test windows, kW^2 and kW: ``mse_kw2`` and ``mae_kw`` of the mean.

    A model with quantiles also has ``mae_median_kw``, the error of the median, and ``coverage``, the share of outcomes
    within its 90 % interval.
    """

    n: int = Field(gt=0, le=MAX_COUNT)
    mse_kw2: MeanError
    mae_kw: MeanError
    mae_median_kw: MeanError | None = None
    coverage: float | None = Field(default=None, ge=0, le=1)


class ModelScores(CardPart):
    """The scores of the model and of persistence on the same windows; skill = 1 - MSE / MSE of persistence."""

    model: ModelScore
    persistence: ModelScore
    skill: Annotated[float, Field(le=1)]
