"""Selects the minutes of a file to score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gapcast.core.models.card import ModelCard
from gapcast.recordings.formats import uci
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.data.split import MinuteSplit
from gapcast_trainer.data.split_dates import time_of
from gapcast_trainer.errors import RunError
from gapcast_trainer.scores.card_windows import has_card_window

_MINUTE = timedelta(minutes=1)
#: Share of the earlier minutes to which peers are fitted, unless a card defines it; the rest is for validation.
_FITTED_SHARE = 0.85
#: Remark on a model in :attr:`Span.overlapping`.
OVERLAP_REMARK = "trained on data of the same time, which may be from this meter; its card does not name this file"


@dataclass(frozen=True, slots=True)
class Span:
    """The scored minutes, as the test part of ``split``, and the models that were fitted to some of them.

    ``why`` describes how they were selected. ``overlapping`` are models that may have been fitted to some of them,
    because their training data are from the same time and their cards do not name the file.
    """

    split: MinuteSplit
    why: str
    fitted_to: tuple[str, ...] = ()
    overlapping: tuple[str, ...] = ()

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
        """The horizon of the scored models, minutes."""
        return self.split.embargo_min

    @property
    def cells(self) -> list[str]:
        """The span in a table: its ends, how it was selected, and the models that it is not new to."""
        names = [*self.fitted_to, *(f"perhaps {name}" for name in self.overlapping)]
        return [time_label(self.first), time_label(self.until), self.why, ", ".join(names)]

    def fields(self) -> dict[str, Any]:
        """Return the span for a JSON file; times RFC 3339."""
        return {
            "from": f"{self.first:%Y-%m-%dT%H:%M:%SZ}",
            "until": f"{self.until:%Y-%m-%dT%H:%M:%SZ}",
            "chosen": self.why,
            "fitted_to_these_minutes": list(self.fitted_to),
            "trained_in_the_same_period": list(self.overlapping),
        }

    def sentences(self, windows: str) -> list[str]:
        """Return sentences for a report: which minutes the ``windows`` cover, and for which models they are not new."""
        found = [f"{windows}, from {self.first:%Y-%m-%d %H:%M} until {self.until:%Y-%m-%d %H:%M} UTC ({self.why})"]
        if self.fitted_to:
            names = ", ".join(self.fitted_to)
            found.append(f"Not out of sample for {names}: fitted to, or chosen on, some of these minutes")
        if self.overlapping:
            names = ", ".join(self.overlapping)
            found.append(f"Possibly not out of sample for {names}: {OVERLAP_REMARK}")
        return found


def common_horizon_min(cards: Sequence[ModelCard]) -> int:
    """Return the horizon of ``cards``; raise :class:`RunError` if they differ: errors would not be comparable."""
    horizons = {card.horizon_min for card in cards}
    if len(horizons) > 1:
        models = ", ".join(f"{card.name} ({card.horizon_min} min)" for card in cards)
        msg = f"models with different horizons cannot be compared: {models}; name those of one horizon"
        raise RunError(msg)
    return horizons.pop()


def is_of(card: ModelCard, clean: CleanFile) -> bool:
    """Return whether the model was trained on this data: the same text or meter, or another edition of UCI's set.

    A file is of the same meter if it has a training window of the card. An edition that begins after the model's test
    part has only minutes that the model has not seen.
    """
    report = clean.report
    if card.trained_on.sha256 == report.sha256:
        return True
    # Other sources are file names: two houses may have the same one.
    is_of_uci = card.trained_on.source == report.source == uci.SOURCE
    is_edition = is_of_uci and card.split.test_until > time_of(clean.series.first_minute)
    return is_edition or has_card_window(card, clean.series)


def trained_until(card: ModelCard, clean: CleanFile) -> datetime | None:
    """Return the end, exclusive, of the training minutes of a file that is a further house of the model; else None.

    The model was validated on the minutes after it: a further house has no test part.
    """
    further = card.trained_on.houses or ()
    return next((house.last + _MINUTE for house in further if house.sha256 == clean.report.sha256), None)


def choose_span(
    cards: Sequence[ModelCard],
    clean: CleanFile,
    first: datetime | None = None,
    until: datetime | None = None,
    fix: str = "--from, --until",
) -> Span:
    """Return the minutes of ``clean`` on which to score ``cards``.

    They are the common test part of all models trained on this data, in a further house of a model the minutes that it
    was not trained on, or the whole file if no card names it. If the test parts have no minute in common, they are all
    minutes from the beginning of the latest one on, which are new to all models too. ``first`` and ``until`` (aware,
    exclusive) override the ends. Minutes that the file does not have are left out. Raises :class:`RunError`, with
    ``fix`` in the message, if no minutes remain.
    """
    own = [card for card in cards if is_of(card, clean)]
    ends = {card.name: trained_until(card, clean) for card in cards}
    further = {name: trained for name, trained in ends.items() if trained is not None}
    known = time_of(clean.series.first_minute)
    after = time_of(clean.series.last_minute + 1)
    begin, end, why = known, after, "the whole file: no model's card names it"
    if own:
        begin, end = max(card.split.validate_until for card in own), min(card.split.test_until for card in own)
        why = _why_common(own, after)
        if end <= begin:  # a later model is tested on minutes after the test part of an earlier one
            earlier = ", ".join(card.name for card in own if card.split.test_until <= begin)
            end, why = after, f"new to all models: after the test part of {earlier}"
    if further:
        begin, why = max(begin, *further.values()), "after the minutes that the models were trained on"
    if first is not None or until is not None:
        begin, end, why = first or begin, until or end, "selected by --from or --until"
    begin, end = max(begin, known), min(end, after)
    if not begin < end:
        msg = (
            f"no minutes to score: they would begin at {time_label(begin)} and end before {time_label(end)}; "
            f"the file has {time_label(known)} to before {time_label(after)} ({fix})"
        )
        raise RunError(msg)
    stated = [card.split.train_until for card in own if card.split.train_until < begin]
    train_until = min(stated) if stated else known + max(begin - known, timedelta(0)) * _FITTED_SHARE
    split = MinuteSplit(min(train_until, begin - _MINUTE), begin, end, common_horizon_min(cards))
    seen = {card.name for card in own if begin < card.split.validate_until} | further.keys()
    named = {card.name for card in own} | further.keys()
    overlapping = (card.name for card in cards if card.name not in named and _has_trained_between(card, begin, end))
    return Span(split, why, tuple(card.name for card in cards if card.name in seen), tuple(overlapping))


def _has_trained_between(card: ModelCard, begin: datetime, end: datetime) -> bool:
    """Return whether the model was fitted to or chosen on any data from ``begin`` until ``end``."""
    main = card.trained_on
    periods = [(main.first, max(main.last + _MINUTE, card.split.validate_until))]
    periods += [(house.first, house.last + _MINUTE) for house in main.houses or ()]
    return any(first < end and begin < until for first, until in periods)


def _why_common(cards: Sequence[ModelCard], after: datetime) -> str:
    """Return a description of the common test part of ``cards`` before ``after``, with the models that limit it."""
    begins = {card.name: card.split.validate_until for card in cards}
    ends = {card.name: min(card.split.test_until, after) for card in cards}
    limits = list[str]()
    for verb, times, limit in (("begin", begins, max(begins.values())), ("end", ends, min(ends.values()))):
        names = [name for name, time in times.items() if time == limit]
        if len(names) < len(times):
            limits.append(f"{', '.join(names)} {verb}{'s' if len(names) == 1 else ''} {limit:%Y-%m-%d}")
    return f"the part common to all cards; {' and '.join(limits)}" if limits else "the test part on the models' cards"


def time_label(time: datetime) -> str:
    """Return a time in UTC, to the minute.

    >>> time_label(datetime(2010, 11, 1, 0, 29))
    '2010-11-01T00:29Z'
    """
    return f"{time:%Y-%m-%dT%H:%MZ}"
