"""Errors of forecasts at the horizon, as stated on a card."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gapcast.core.documents.figures import skill_or_none
from gapcast.core.models import card_provenance
from gapcast.core.models.predictor import Predictor
from gapcast_trainer.data.windows import Examples
from gapcast_trainer.errors import RunError
from gapcast_trainer.scores.measures import measure
from gapcast_trainer.scores.model_outputs import predict_windows
from gapcast_trainer.scores.record import record

_DECIMALS = 6
_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True)
class EvaluationScore:
    """Errors over ``n`` forecasts at the horizon: kW^2 for MSE, kW for the others.

    ``mae_median_kw`` and ``coverage`` (of the 90 % interval) are None if the model has no quantiles.
    """

    n: int
    mse_kw2: float
    mae_kw: float
    mae_median_kw: float | None = None
    coverage: float | None = None

    def skill(self, persistence: EvaluationScore) -> float:
        """Return 1 - MSE / MSE of persistence on the same forecasts; raise the errors of :func:`card_skill`."""
        return card_skill(self.mse_kw2, persistence.mse_kw2)

    def for_card(self) -> card_provenance.ModelScore:
        """Return the score as a model's card states it."""
        return card_provenance.ModelScore(
            n=self.n,
            mse_kw2=round(self.mse_kw2, _DECIMALS),
            mae_kw=round(self.mae_kw, _DECIMALS),
            mae_median_kw=None if self.mae_median_kw is None else round(self.mae_median_kw, _DECIMALS),
            coverage=None if self.coverage is None else round(self.coverage, _DECIMALS),
        )


def card_skill(mse_kw2: float, persistence_mse_kw2: float) -> float:
    """Return 1 - MSE / MSE of persistence for a card; raise :class:`RunError` if that is next to zero."""
    skill = skill_or_none(mse_kw2, persistence_mse_kw2)
    if skill is None:
        msg = (
            "the power does not change in the test part, so that there is no skill to state: choose a test part with "
            "changes by data.validate_until and data.test_until, and train again"
        )
        raise RunError(msg)
    return skill


def score(
    predictor: Predictor,
    found: Examples,
    *,
    n_kept: int | None = None,
) -> EvaluationScore:
    """Score ``predictor`` on ``found`` (at least one window), at its longest lead time.

    With ``n_kept`` every window is shortened to its newest ``n_kept`` readings and padded.
    """
    outputs = predict_windows(predictor, found, n_kept=n_kept)
    mean, quantiles = outputs.at(outputs.lead_times_min[-1])
    places = range(0, len(found), _ROWS_AT_ONCE)
    last_kw = np.concatenate([found.measured_at(np.s_[at : at + _ROWS_AT_ONCE])[:, -1, 0] for at in places])
    got = record(measure(mean, quantiles, outputs.levels, found.target_kw[:, -1], last_kw))
    return EvaluationScore(got.n, got.mse_kw2, got.mae_kw, got.median_mae_kw, got.coverage)
