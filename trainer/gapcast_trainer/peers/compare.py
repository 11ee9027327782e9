"""Peers in an evaluation: fitted before the scored minutes, asked about the very same ones."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import numpy as np

from gapcast.core.examples import WHOLE_MIN
from gapcast.core.window import I64, WindowSpec
from gapcast_trainer.errors import RunError
from gapcast_trainer.peers.columns import SHOWN, PeerColumns
from gapcast_trainer.scores.day import day_of
from gapcast_trainer.scores.ground import Ground
from gapcast_trainer.scores.result import Evaluated
from gapcast_trainer.scores.sheet import make_sheet
from gapcast_trainer.split import SplitPart
from gapcast_trainer.windows import WindowTask, examples

#: Fewer windows than these teach nothing.
_LEAST = 1_000


class Peers:
    """The peers of one evaluation."""

    def __init__(self, ground: Ground, n_rows: int | None = None) -> None:
        """Find the minutes before those of ``ground`` to fit to and to stop by: at most ``n_rows`` each (None: all).

        They are evenly spread. Raises :class:`RunError` where there are too few.
        """
        self._ground = ground
        train, validate = (_known(ground, part) for part in (SplitPart.TRAIN, SplitPart.VALIDATE))
        if min(train.size, validate.size) < _LEAST:
            msg = (
                f"peers are fitted to what comes before {ground.span.first:%Y-%m-%dT%H:%MZ}, and there are too few "
                f"windows ({train.size:,} to fit to, {validate.size:,} to stop by; {_LEAST:,} are needed): "
                "score later minutes with --from"
            )
            raise RunError(msg)
        self._train, self._validate = _thinned(train, n_rows), _thinned(validate, n_rows)

    def boosted(self, note: Callable[[str], object] = lambda _: None) -> list[Evaluated]:
        """Fit the boosted trees and score them on all minutes; ``note`` is told how far they are."""
        from gapcast_trainer.peers.boosted import boost  # noqa: PLC0415 - what is refused needs no LightGBM

        minutes, series = self._ground.minutes, self._ground.clean.series
        rows = []
        for shown in SHOWN:
            started = monotonic()
            columns = PeerColumns(series, shown, minutes.horizon_min)
            fitted = boost(columns, self._train, self._validate, minutes.observed_minute, note)
            rounds = " and ".join(str(n) for n in fitted.n_rounds.values())
            note(f"{shown.name}: {rounds} rounds, {monotonic() - started:.0f} s")
            about = f"LightGBM on {shown.about}: mean and median, {rounds} rounds on {self._train.size:,} windows"
            sheets = {minutes.horizon_min: make_sheet(fitted.answers, minutes, minutes.horizon_min)}
            day = day_of(fitted.answers, minutes, self._ground.day)
            rows.append(Evaluated(shown.name, "1", "peer", shown.context, sheets, day=day, about=about))
        return rows

    def sampled(self, note: Callable[[str], object] = lambda _: None) -> tuple[Evaluated, ...]:
        """Score the classical methods on the sample: the headline of each is over that alone."""
        from gapcast_trainer.peers.statistical import METHODS, forecast  # noqa: PLC0415 - takes seconds to import

        minutes = self._ground.minutes
        some = minutes.take(np.flatnonzero(minutes.sampled).astype(np.int64))
        rows = []
        for method in METHODS:
            started = monotonic()
            answers = forecast(self._ground.clean.series, method, some)
            taken_s = monotonic() - started
            note(f"{method.name}: {len(some):,} forecasts, {taken_s:.0f} s")
            each_ms = 1_000 * taken_s / len(some)
            about = f"statsforecast, fitted to the {method.context} min before each forecast in {each_ms:.0f} ms"
            leads = [lead for lead in answers.lead_times_min if lead in some.lead_times_min]
            sheets = {lead: make_sheet(answers, some, lead) for lead in leads}
            rows.append(Evaluated(method.name, "1", "peer", method.context, sheets, about=about))
        return tuple(rows)


def _known(ground: Ground, part: SplitPart) -> I64:
    task = WindowTask(WindowSpec(WHOLE_MIN), (ground.span.horizon_min,))
    return examples(ground.clean.series, task, ground.span.split, part).observed_minute


def _thinned(minutes: I64, n_rows: int | None) -> I64:
    return minutes if n_rows is None else minutes[:: max(1, -(-minutes.size // n_rows))]
