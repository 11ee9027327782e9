"""Selects the minutes of a file that are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gapcast.core.models.card import ModelCard
from gapcast.recordings.formats.clean_file import Clean
from gapcast_trainer.data.split import MinuteSplit
from gapcast_trainer.errors import RunError

_MINUTE = timedelta(minutes=1)
#: Share of the earlier minutes on which peers are fitted, unless a card defines it; the rest is for validation.
_FITTED_SHARE = 0.85


@dataclass(frozen=True, slots=True)
class Span:
    """The scored minutes, as the test part of ``split``, and the models that were fitted to some of them.

    ``why`` describes how they were selected.
    """

    split: MinuteSplit
    why: str
    fitted_to: tuple[str, ...] = ()

    @property
    def first(self) -> datetime:
        """The first observed-at time."""
        return self.split.validate_until

    @property
    def until(self) -> datetime:
        """The end, exclusive."""
        return self.split.test_until

    @property
    def horizon_min(self) -> int:
        """The horizon of the models that are scored, minutes."""
        return self.split.embargo_min

    def fields(self) -> dict[str, Any]:
        """Return the span for a JSON file; times RFC 3339."""
        return {
            "from": f"{self.first:%Y-%m-%dT%H:%M:%SZ}",
            "until": f"{self.until:%Y-%m-%dT%H:%M:%SZ}",
            "chosen": self.why,
            "fitted_to_these_minutes": list(self.fitted_to),
        }

    def sentences(self, windows: str) -> list[str]:
        """Return sentences for a report that say which minutes the scored ``windows`` are of, and how fair that is."""
        found = [f"{windows}, from {self.first:%Y-%m-%d %H:%M} until {self.until:%Y-%m-%d %H:%M} UTC ({self.why})"]
        if self.fitted_to:
            names = ", ".join(self.fitted_to)
            found.append(f"Not a fair test of {names}: fitted to, or chosen on, some of these minutes")
        return found


def common_horizon_min(cards: Sequence[ModelCard]) -> int:
    """Return the horizon of ``cards``; raise :class:`RunError` if they differ: errors would not be comparable."""
    horizons = {card.horizon_min for card in cards}
    if len(horizons) > 1:
        models = ", ".join(f"{card.name} ({card.horizon_min} min)" for card in cards)
        msg = f"models with different horizons cannot be compared: {models}; name those of one horizon"
        raise RunError(msg)
    return horizons.pop()


def is_of(card: ModelCard, clean: Clean) -> bool:
    """Return whether the model was trained on this data: the same text, or another edition of the same set.

    An edition that begins after the model's test part has only minutes that the model has not seen.
    """
    report = clean.report
    is_edition = card.trained_on.source == report.source and card.split.test_until > _time(clean.series.first_minute)
    return card.trained_on.sha256 == report.sha256 or is_edition


def trained_until(card: ModelCard, clean: Clean) -> datetime | None:
    """Return the end, exclusive, of the training minutes of a file that is a further house of the model; else None.

    The minutes after it are those that the model was validated on: a further house has no test part.
    """
    further = card.trained_on.houses or ()
    return next((house.last + _MINUTE for house in further if house.sha256 == clean.report.sha256), None)


def choose_span(
    cards: Sequence[ModelCard], clean: Clean, first: datetime | None = None, until: datetime | None = None
) -> Span:
    """Return the minutes of ``clean`` to score ``cards`` on.

    They are the common test part of all models trained on this data, in a further house of a model the minutes that it
    was not trained on, or the whole file if none was trained on it; ``first`` and ``until`` (aware, exclusive)
    override the ends. Raises :class:`RunError` if no minutes remain.
    """
    own = [card for card in cards if is_of(card, clean)]
    ends = {card.name: trained_until(card, clean) for card in cards}
    further = {name: trained for name, trained in ends.items() if trained is not None}
    known = _time(clean.series.first_minute)
    after = _time(clean.series.last_minute + 1)
    begin, end, why = known, after, "the whole file: no model was trained on it"
    if own:
        begin, end = max(card.split.validate_until for card in own), min(card.split.test_until for card in own)
        why = "the test part on the models' cards"
    if further:
        begin, why = max(begin, *further.values()), "after the minutes that the models were trained on"
    if first is not None or until is not None:
        begin, end, why = first or begin, until or end, "selected by --from or --until"
    if not begin < end:
        msg = (
            f"no minutes to score: they would begin at {_label(begin)} and end before {_label(end)}; the file has "
            f"{_label(known)} to before {_label(after)} (--from, --until)"
        )
        raise RunError(msg)
    stated = [card.split.train_until for card in own if card.split.train_until < begin]
    train_until = min(stated) if stated else known + max(begin - known, timedelta(0)) * _FITTED_SHARE
    split = MinuteSplit(min(train_until, begin - _MINUTE), begin, end, common_horizon_min(cards))
    seen = {card.name for card in own if begin < card.split.validate_until} | further.keys()
    return Span(split, why, tuple(card.name for card in cards if card.name in seen))


def _time(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)


def _label(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%MZ}"
