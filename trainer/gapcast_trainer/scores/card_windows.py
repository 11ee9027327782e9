"""Recognizes the meter of a file by the windows of its readings on a model's card."""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.card import ModelCard
from gapcast.core.windows.examples import WHOLE_MIN
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.data.split import minute_at

#: A window with fewer different readings may occur in two houses by chance.
_MIN_DIFFERENT = 8


def has_card_window(card: ModelCard, series: Series) -> bool:
    """Return whether ``series`` has a window of the card's golden example, in the training part.

    The newest 30 readings must be equal: earlier ones may be filled. Windows of the golden example have the widest
    range of power among a thousand, so that they identify one meter.
    """
    first, until = (minute_at(time) - series.first_minute for time in (card.trained_on.first, card.split.train_until))
    kw = series.gap_kw[max(first, 0) : max(until, 0)].astype(np.float32)
    windows = np.array(card.golden.window, dtype=np.float32)[:, -WHOLE_MIN:, 0]
    return any(_occurs(window, kw) for window in windows if np.unique(window).size >= _MIN_DIFFERENT)


def _occurs(window: F32, kw: F32) -> bool:
    at = np.flatnonzero(kw[: max(kw.size - window.size + 1, 0)] == window[0])
    for k in range(1, window.size):
        at = at[kw[at + k] == window[k]]
    return at.size > 0
