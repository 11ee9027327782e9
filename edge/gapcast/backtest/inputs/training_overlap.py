"""Notes on models whose training data may include the scored minutes."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from datetime import datetime

from gapcast.core.models.card import ModelCard
from gapcast.core.time_grid import epoch_ms_of, minute_label, minute_of


def training_notes(
    cards: Sequence[ModelCard], scored: Container[str], spans: Sequence[tuple[int, int]], scored_from: int | None
) -> tuple[str, ...]:
    """Return a sentence for each model of ``scored`` that was trained on data of the time of the scored minutes.

    ``spans`` are the first and the last minute of each house. The cards do not tell whether the data are of the same
    meter: they have the hash of a file of which a back-test may read another export.
    """
    notes = []
    for card in cards:
        ends = [
            end
            for first, end in _trained_spans(card)
            if any(first <= last and end > max(begin, scored_from or begin) for begin, last in spans)
        ]
        if ends and card.name in scored:
            notes.append(
                f"note: {card.name} was trained or selected on data until {minute_label(max(ends))}, possibly of this "
                "meter; if so, only later minutes are new to it (--score-from)"
            )
    return tuple(notes)


def _trained_spans(card: ModelCard) -> Iterator[tuple[int, int]]:
    """Yield first minute and end of each part of the data that the model was fitted to or selected on."""
    data = card.trained_on
    yield _minute(data.first), max(_minute(data.last) + 1, _minute(card.split.validate_until))
    for house in data.houses or ():
        yield _minute(house.first), _minute(house.last) + 1


def _minute(when: datetime) -> int:
    return minute_of(epoch_ms_of(when))
