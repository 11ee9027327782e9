"""The split by time: train, validate, test, with an embargo between them.

A forecast belongs to a part by its *observed at* minute. The last ``embargo_min`` minutes of every part except the last
belong to no part, so that no target of one part lies in the next, for every horizon up to the embargo.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import I64
from gapcast.core.models import card_provenance
from gapcast_trainer.data.split_dates import label


class SplitPart(Enum):
    """A part of the time line."""

    TRAIN = "train"
    VALIDATE = "validate"
    TEST = "test"


def minute_at(time: datetime) -> int:
    """Return the minute (since the epoch) that an aware time falls in."""
    return int(time.timestamp() // 60)


@dataclass(frozen=True, slots=True)
class MinuteSplit:
    """The end of each part, exclusive; the first part begins with the data."""

    train_until: datetime = datetime(2009, 7, 1, tzinfo=UTC)
    validate_until: datetime = datetime(2010, 1, 1, tzinfo=UTC)
    test_until: datetime = datetime(2011, 1, 1, tzinfo=UTC)
    embargo_min: int = 5

    def __post_init__(self) -> None:
        """Reject parts out of order and a negative embargo."""
        if not self.train_until < self.validate_until < self.test_until or self.embargo_min < 0:
            msg = f"parts must follow each other in time with an embargo of 0 minutes or more, not {self!r}"
            raise ValueError(msg)

    def __str__(self) -> str:
        """Return the ends of the parts."""
        train, validate, test = map(label, (self.train_until, self.validate_until, self.test_until))
        return f"trains until {train}, validates until {validate} and tests until {test} (UTC)"

    def bounds(self, part: SplitPart) -> tuple[int | None, int]:
        """Return the first observed-at minute of a part (None: the data's first) and the minute after its last."""
        train, validate, test = (minute_at(t) for t in (self.train_until, self.validate_until, self.test_until))
        if part is SplitPart.TRAIN:
            return None, train - self.embargo_min
        if part is SplitPart.VALIDATE:
            return train, validate - self.embargo_min
        return validate, test

    def holds(self, part: SplitPart, observed_minute: I64) -> NDArray[np.bool_]:
        """Return which of ``observed_minute`` ``[N]`` (since the epoch) belong to ``part``."""
        first, until = self.bounds(part)
        inside = observed_minute < until
        return inside if first is None else inside & (observed_minute >= first)

    def for_card(self) -> card_provenance.DateSplit:
        """Return the split as a model's card states it."""
        return card_provenance.DateSplit(
            train_until=self.train_until,
            validate_until=self.validate_until,
            test_until=self.test_until,
            embargo_min=self.embargo_min,
        )
