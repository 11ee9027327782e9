"""Peers in an evaluation: fitted to earlier minutes, scored on the same minutes as the models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic

import numpy as np

from gapcast.core.arrays.array_types import I64
from gapcast.core.outlook.scores.reference_forecasts import KINDS, MinutePower
from gapcast.core.windows.examples import WHOLE_MIN
from gapcast.core.windows.window import WindowSpec
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.data.windows import WindowTask, cut_examples
from gapcast_trainer.errors import RunError
from gapcast_trainer.peers.columns import COLUMN_SETS, PeerColumns
from gapcast_trainer.scores.day import day_of
from gapcast_trainer.scores.evaluation_data import EvaluationData
from gapcast_trainer.scores.result import ForecasterScores
from gapcast_trainer.scores.sheet import make_sheet

#: Minimum number of windows for fitting.
_LEAST = 1_000


class Peers:
    """The peers of one evaluation."""

    def __init__(self, data: EvaluationData, n_rows: int | None = None) -> None:
        """Find the minutes before those of ``data`` for fitting and early stopping.

        There are at most ``n_rows`` of each (None: all), evenly spread. Raises the errors of :func:`fitting_minutes`.
        """
        self._data = data
        train, validate = fitting_minutes(data)
        self.train, self.validate = _thinned(train, n_rows), _thinned(validate, n_rows)

    def boosted(self, show: Callable[[str], object] = lambda _: None) -> list[ForecasterScores]:
        """Fit the boosted trees and score them on all minutes; ``show`` is called with progress messages."""
        from gapcast_trainer.peers.boosted import boost  # noqa: PLC0415 - not needed if the data is rejected

        minutes, series = self._data.minutes, self._data.clean.series
        rows = []
        for column_set in COLUMN_SETS:
            started = monotonic()
            columns = PeerColumns(series, column_set, minutes.horizon_min)
            fitted = boost(columns, self.train, self.validate, minutes.observed_minute, show)
            rounds = " and ".join(str(n) for n in fitted.n_rounds.values())
            show(f"{column_set.name}: {rounds} rounds, {monotonic() - started:.0f} s")
            about = f"LightGBM on {column_set.about}: mean and median, {rounds} rounds on {self.train.size:,} windows"
            sheets = {minutes.horizon_min: make_sheet(fitted.outputs, minutes, minutes.horizon_min)}
            day = day_of(fitted.outputs, minutes, self._data.day)
            rows.append(
                ForecasterScores(column_set.name, "1", "peer", column_set.context, sheets, day=day, about=about)
            )
        return rows

    def sampled(self, show: Callable[[str], object] = lambda _: None) -> tuple[ForecasterScores, ...]:
        """Score the classical methods on the sample, which their headline covers."""
        from gapcast_trainer.peers.statistical import METHODS, forecast  # noqa: PLC0415 - takes seconds to import

        minutes = self._data.minutes
        some = minutes.select(np.flatnonzero(minutes.sampled).astype(np.int64))
        rows = []
        for method in METHODS:
            started = monotonic()
            outputs = forecast(self._data.clean.series, method, some)
            taken_s = monotonic() - started
            show(f"{method.name}: {len(some):,} forecasts, {taken_s:.0f} s")
            each_ms = 1_000 * taken_s / len(some)
            about = f"statsforecast, fitted to the {method.context} min before each forecast in {each_ms:.0f} ms"
            leads = [lead for lead in outputs.lead_times_min if lead in some.lead_times_min]
            sheets = {lead: make_sheet(outputs, some, lead) for lead in leads}
            rows.append(ForecasterScores(method.name, "1", "peer", method.context, sheets, about=about))
        return tuple(rows)


def fitting_minutes(data: EvaluationData, house: str = "") -> tuple[I64, I64]:
    """Return the minutes before those of ``data`` for fitting and for early stopping.

    Raises :class:`RunError` if there are too few; ``house`` is the name of the house if there are several.
    """
    train, validate = (_known(data, part) for part in (SplitPart.TRAIN, SplitPart.VALIDATE))
    if min(train.size, validate.size) < _LEAST:
        fix = "give more days by --fit-days, or leave the house out" if house else "score later minutes with --from"
        msg = (
            f"{f'{house}: ' if house else ''}peers are fitted to what comes before "
            f"{data.span.first:%Y-%m-%dT%H:%MZ}, and there are too few windows ({train.size:,} to fit to, "
            f"{validate.size:,} to stop by; {_LEAST:,} are needed): {fix}"
        )
        raise RunError(msg)
    return train, validate


def require_outcomes(data: EvaluationData, lead_times_min: Sequence[int], house: str = "") -> None:
    """Raise :class:`RunError` if too few of the minutes for fitting have an outcome of a kind at a lead time.

    Also raises the errors of :func:`fitting_minutes`.
    """
    parts, series = fitting_minutes(data, house), data.clean.series
    power = MinutePower(series.first_minute, series.gap_kw, series.outcome_kw)
    for lead_min in lead_times_min:
        n_known = [(~np.isnan(power.outcomes_kw(part, lead_min))).sum(axis=0) for part in parts]
        for kind, train, validate in zip(KINDS, *n_known, strict=True):
            if min(train, validate) < _LEAST:
                msg = (
                    f"{f'{house}: ' if house else ''}peers are fitted to what comes before "
                    f"{data.span.first:%Y-%m-%dT%H:%MZ}, and too many minutes are missing there for the {kind} "
                    f"{lead_min} min ahead ({train:,} windows to fit to, {validate:,} to stop by; {_LEAST:,} are "
                    f"needed): leave {lead_min} out of --horizons{', or leave the house out' if house else ''}"
                )
                raise RunError(msg)


def _known(data: EvaluationData, part: SplitPart) -> I64:
    task = WindowTask(WindowSpec(WHOLE_MIN), (data.span.horizon_min,))
    return cut_examples(data.clean.series, task, data.span.split, part).observed_minute


def _thinned(minutes: I64, n_rows: int | None) -> I64:
    return minutes if n_rows is None else minutes[:: max(1, -(-minutes.size // n_rows))]
