"""The prior of many houses: where the online model starts, and when it is not used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapcast.bundled.learning_prior import bundled_prior, read_prior, write_prior
from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.online_model import analog_features, packed_covariance, rls_model
from gapcast.core.learning.online_model.rls_prior import RlsPrior
from gapcast.core.windows.window import WindowSpec
from tests.support.houses import Run, Smooth, ensemble_of, house_kw, stream

CONTEXT = 180


def ensemble(prior: RlsPrior | None, **smooth: Any) -> Ensemble:
    model = Smooth(**{"spec": WindowSpec(CONTEXT), **smooth})
    return Ensemble([model], EnsembleOptions(), prior=prior)


def state_of(one: Ensemble) -> dict[str, np.ndarray[Any, Any]]:
    return {name: one.state.initial(name) for name in rls_model.STATE}


def test_prior_mixes_the_primary_model_with_many_houses() -> None:
    prior, names = bundled_prior(), ensemble(None)._inputs.rls_features.names
    state = state_of(ensemble(prior))
    assert state["coefficients"][0, names.index("smooth mean")] == 0.5
    assert state["coefficients"][1, names.index("smooth median")] == 0.5
    places = [names.index(name) for name in prior.names]
    assert state["coefficients"][:, places] == pytest.approx(prior.coefficients * [[0.5], [0.4]])
    covariance = packed_covariance.to_matrices(state["covariance"][np.newaxis])[0]
    assert np.array_equal(covariance[np.ix_(places, places)], prior.covariance)
    assert covariance[0, 0] == pytest.approx(rls_model.PRIOR)


def test_bundled_prior_is_a_sound_start() -> None:
    """It covers all columns but the newest ones, is no wider than a start without it, and positive definite."""
    prior = bundled_prior()
    columns = ensemble(None)._inputs.rls_features.names
    assert {*columns} - {*prior.names} == {
        *("smooth mean", "smooth median", "phase", *analog_features.MEAN_CHANGE_NAMES)
    }
    variances = np.linalg.eigvalsh(prior.covariance.astype(np.float64))
    assert variances.min() > 0
    assert np.diag(prior.covariance).max() <= rls_model.PRIOR


@pytest.mark.parametrize("other", [{"spec": WindowSpec(40)}, {"lead_times_min": (15,)}])
def test_prior_of_other_columns_or_horizon_is_not_used(other: dict[str, Any]) -> None:
    with_prior, without = state_of(ensemble(bundled_prior(), **other)), state_of(ensemble(None, **other))
    assert all(np.array_equal(with_prior[name], without[name]) for name in rls_model.STATE)


def test_prior_written_and_read_is_equal(tmp_path: Path) -> None:
    write_prior(tmp_path / "prior.npz", bundled_prior())
    read, prior = read_prior(tmp_path / "prior.npz"), bundled_prior()
    assert (read.names, read.horizon_min) == (prior.names, prior.horizon_min)
    assert np.array_equal(read.coefficients, prior.coefficients)
    assert np.array_equal(read.covariance, prior.covariance)


@pytest.mark.parametrize(
    ("coefficients", "covariance"),
    [(np.zeros((2, 1)), np.eye(2)), (np.zeros((2, 2)), np.eye(3)), (np.zeros((2, 2)), np.eye(2) * np.nan)],
)
def test_prior_with_unfit_arrays_is_rejected(coefficients: Any, covariance: Any) -> None:
    with pytest.raises(StateError, match="prior of 2 columns"):
        RlsPrior(("lag 1", "bias"), 5, coefficients, covariance)


@pytest.mark.long
def test_prior_lowers_the_error_of_the_first_day() -> None:
    """In a house that it was not fitted to, with a model that is of no use: the first day of the online model alone."""
    kw = house_kw(1_440, seed=5)

    def first_day_mse(prior: RlsPrior | None) -> float:
        engine = Engine(Smooth(WindowSpec(CONTEXT)), ensemble=ensemble(prior))
        run = Run(engine).process(stream(kw), at_a_time=60)
        learned_kw = run.outcome("members_kw")[:, 0, ensemble_of(engine).members.index("learned")]
        return float(np.mean((learned_kw - run.outcome("actual_kw")) ** 2))

    assert first_day_mse(bundled_prior()) < 0.95 * first_day_mse(None), "measured: 0.90"


def test_prior_of_a_new_column_does_not_mix_with_what_was_learned() -> None:
    """A version with more columns restores older state: an indefinite covariance would let the forecasts diverge."""
    run = Run(Engine(Smooth(WindowSpec(CONTEXT)), ensemble=ensemble(bundled_prior()))).process(stream(house_kw(60)))
    saved = ensemble_of(run.engine).columns([0])
    names = ensemble_of(run.engine)._inputs.rls_features.names
    is_new = np.arange(len(names)) % 4 == 3
    learned = packed_covariance.to_matrices(saved["covariance"])[:, ~is_new][:, :, ~is_new]
    saved |= {
        "columns": np.array(names)[~is_new],
        "coefficients": saved["coefficients"][..., : len(names)][..., ~is_new],
        "covariance": packed_covariance.from_matrices(learned),
    }
    new = ensemble(bundled_prior())
    new.restore_columns(1, saved)
    (covariance,) = packed_covariance.to_matrices(new.state.arrays["covariance"][1:2])
    (initial,) = packed_covariance.to_matrices(new.state.initial("covariance")[np.newaxis])
    assert np.array_equal(covariance[~is_new][:, ~is_new], learned[0])
    assert np.array_equal(covariance[is_new][:, is_new], initial[is_new][:, is_new])
    assert (covariance[is_new][:, ~is_new] == 0).all()
    assert np.linalg.eigvalsh(covariance.astype(np.float64))[0] > 0
