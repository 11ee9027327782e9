"""Scores models and peers on several houses, through the edge's predictors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from gapcast.core.models.predictor import Predictor
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.examples import WHOLE_MIN
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Persistence
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.data.split_dates import time_of
from gapcast_trainer.errors import RunError
from gapcast_trainer.houses.result import HouseScores, HousesEvaluation
from gapcast_trainer.scores.evaluation_data import EvaluationData
from gapcast_trainer.scores.model_outputs import predict_windows
from gapcast_trainer.scores.sheet import record_of
from gapcast_trainer.scores.span import Span, choose_span, common_horizon_min

#: Share of a house's minutes to which the peers of its own history are fitted, unless days are given.
_FIRST_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class HousesOptions:
    """What is scored: ``peers`` or only models; ``fit_days`` are the first days of each house, which are not scored.

    ``fit_days`` None: 60 % of a house with peers, else nothing. Trees are fitted to at most ``fit_rows`` rows in
    ``n_rounds`` rounds, and at most ``scored_rows`` (None: all) of each house scored, evenly spread.
    """

    peers: bool = False
    fit_days: int | None = None
    fit_rows: int = 100_000
    n_rounds: int = 300
    scored_rows: int | None = None


def evaluate_houses(
    models: Sequence[TflitePredictor],
    houses: Mapping[str, CleanFile],
    options: HousesOptions = HousesOptions(),
    show: Callable[[str], object] = lambda _: None,
) -> HousesEvaluation:
    """Score ``models`` on the minutes of each of ``houses`` to which no model was fitted, after the peers' minutes.

    Peers are LightGBM fitted to the first part of the house, and to all of the other houses. ``show`` is called with
    progress messages. Raises :class:`RunError` if a house has no minutes to score or too few to fit to, or if peers of
    the other houses are requested and there are no other houses.
    """
    if options.peers and len(houses) == 1:
        msg = f"--peers fits to the other houses, and {next(iter(houses))} is the only one: give at least two"
        raise RunError(msg)
    horizon_min = common_horizon_min([model.card for model in models])
    data = {name: data_of(name, models, clean, options) for name, clean in houses.items()}
    scored = {}
    for name, of_house in data.items():
        minutes = of_house.minutes
        naive = Persistence(WindowSpec(WHOLE_MIN), (horizon_min,))
        forecasters: tuple[Predictor, ...] = (naive, *models)
        outputs = {model.name: predict_windows(model, of_house.windows(model)) for model in forecasters}
        scored[name] = {model: record_of(found, minutes, horizon_min) for model, found in outputs.items()}
        show(f"{name}: {len(minutes):,} forecasts of each model")
    about: dict[str, str] = {}
    if options.peers:
        from gapcast_trainer.peers.other_houses import descriptions, peer_outputs  # noqa: PLC0415 - needs the peers extra

        for name, outputs_of_peers in peer_outputs(data, options.fit_rows, options.n_rounds, show):
            minutes = data[name].minutes
            scored[name] |= {peer: record_of(found, minutes, horizon_min) for peer, found in outputs_of_peers.items()}
        about = descriptions(options.n_rounds)
    return HousesEvaluation(
        horizon_min,
        tuple(HouseScores(name, of.span, scored[name]) for name, of in data.items()),
        about,
    )


def data_of(name: str, models: Sequence[TflitePredictor], clean: CleanFile, options: HousesOptions) -> EvaluationData:
    """Return the scored minutes of a house: those that end with 30 readings in a row, thinned to ``scored_rows``.

    Raises :class:`RunError` that contains the ``name`` of the house if there are none.
    """
    try:
        data = EvaluationData.from_clean_file(models, clean, _span_of(models, clean, options))
    except RunError as error:
        msg = f"{name}: {error}"
        raise RunError(msg) from error
    whole = np.flatnonzero(data.minutes.whole).astype(np.int64)
    if options.scored_rows is not None:
        whole = whole[:: max(1, -(-whole.size // options.scored_rows))]
    return replace(data, minutes=data.minutes.select(whole))


def _span_of(models: Sequence[TflitePredictor], clean: CleanFile, options: HousesOptions) -> Span:
    cards = [model.card for model in models]
    span = choose_span(cards, clean, fix="leave the house out")
    first = _fitted_until(clean, options)
    if first is None or first <= span.first:
        return span
    span = choose_span(cards, clean, first, span.until, fix="--fit-days")
    return replace(span, why=f"after the first {_fitted_words(options)}")


def _fitted_until(clean: CleanFile, options: HousesOptions) -> datetime | None:
    """Return the end of the first part of a house, or None if it has none."""
    if options.fit_days is not None:
        n_min = options.fit_days * DAY_MIN
    elif options.peers:
        n_min = int(clean.series.gap_kw.size * _FIRST_SHARE)
    else:
        return None
    return time_of(clean.series.first_minute) + timedelta(minutes=n_min)


def _fitted_words(options: HousesOptions) -> str:
    return f"{_FIRST_SHARE:.0%} of its minutes" if options.fit_days is None else f"{options.fit_days} days"
