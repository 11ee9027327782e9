"""The prior of many houses: the start of a device's learning state, and when it is not used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapcast.bundled.learning_prior import bundled_prior, encode_prior, read_prior
from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.learning.ensemble import median_calibration
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.learning_prior import CORRECTIONS, TABLES, LearningPrior, no_tables
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.online_model import packed_covariance, phase_table, rls_model
from gapcast.core.learning.online_model.rls_prior import RlsPrior
from gapcast.core.windows.window import WindowSpec
from tests.support.houses import EngineRun, Smooth, ensemble_of, house_kw, stream

CONTEXT = 180


def ensemble(prior: LearningPrior | None, **smooth: Any) -> Ensemble:
    model = Smooth(**{"spec": WindowSpec(CONTEXT), **smooth})
    return Ensemble([model], EnsembleOptions(), prior=prior)


def state_of(one: Ensemble) -> dict[str, np.ndarray[Any, Any]]:
    return {name: one.state.initial(name) for name in (*rls_model.STATE, *TABLES, phase_table.OUTCOMES)}


def test_prior_mixes_the_primary_model_with_many_houses() -> None:
    prior, names = bundled_prior().rls, ensemble(None)._inputs.rls_features.names
    state = state_of(ensemble(bundled_prior()))
    assert state["coefficients"][0, names.index("smooth mean")] == 0.5
    assert state["coefficients"][1, names.index("smooth median")] == 0.5
    places = [names.index(name) for name in prior.names]
    assert state["coefficients"][:, places] == pytest.approx(prior.coefficients * [[0.5], [0.4]])
    covariance = packed_covariance.to_matrices(state["covariance"][np.newaxis])[0]
    assert np.array_equal(covariance[np.ix_(places, places)], prior.covariance)
    assert covariance[0, 0] == pytest.approx(rls_model.PRIOR)


def test_bundled_prior_is_a_sound_start() -> None:
    """It covers all columns except the model's, is no wider than a start without it, and is positive definite."""
    prior = bundled_prior().rls
    columns = ensemble(None)._inputs.rls_features.names
    assert {*columns} - {*prior.names} == {"smooth mean", "smooth median"}
    variances = np.linalg.eigvalsh(prior.covariance.astype(np.float64))
    assert variances.min() > 0
    of_phase = prior.covariance[prior.names.index("phase")]
    assert of_phase[prior.names.index("phase")] == np.float32(rls_model.PRIOR)
    assert np.count_nonzero(of_phase) == 1, "it is as free as without a prior"
    assert np.diag(prior.covariance).max() <= rls_model.PRIOR


@pytest.mark.parametrize("other", [{"spec": WindowSpec(40)}, {"lead_times_min": (15,)}])
def test_prior_of_other_columns_or_horizon_is_not_used(other: dict[str, Any]) -> None:
    with_prior, without = state_of(ensemble(bundled_prior(), **other)), state_of(ensemble(None, **other))
    assert all(np.array_equal(with_prior[name], without[name]) for name in with_prior)


def test_tables_of_the_prior_count_no_outcome() -> None:
    prior, state = bundled_prior(), state_of(ensemble(bundled_prior()))
    assert state[phase_table.SHARES].tolist() == prior.tables[phase_table.SHARES].tolist()
    assert not state[phase_table.OUTCOMES].any()
    for name in CORRECTIONS:
        offsets, n_outcomes = state[name]
        assert np.array_equal(offsets, prior.tables[name])
        assert not n_outcomes.any()


def test_bundled_tables_are_what_is_expected_of_appliances() -> None:
    """A load that switched on is off again sooner than the reverse; where a drop is expected, the median is lowered."""
    tables = bundled_prior().tables
    off, on = tables[phase_table.SHARES].reshape(2, -1)
    assert ((tables[phase_table.SHARES] >= 0) & (tables[phase_table.SHARES] <= 32_767)).all()
    assert on.mean() > 1.5 * off.mean()
    median = tables[median_calibration.STATE]
    assert (median[:16] < 0).all()  # the knots of expected drops
    assert np.abs(median[16]) < 0.02  # that of no change


def test_device_without_tables_in_its_state_gets_those_of_the_prior() -> None:
    """This applies to state of a version without tables; a forgotten device starts with the prior's tables again."""
    run = EngineRun(Engine(Smooth(WindowSpec(CONTEXT)), ensemble=ensemble(bundled_prior()))).process(
        stream(house_kw(60))
    )
    saved = ensemble_of(run.engine).columns([0])
    for name in (*TABLES, phase_table.OUTCOMES):
        del saved[name]
    new = ensemble(bundled_prior())
    new.restore_columns(1, saved)
    initial = state_of(new)
    assert np.array_equal(new.state.arrays["coefficients"][1], saved["coefficients"][0])
    assert all(np.array_equal(new.state.arrays[name][1], initial[name]) for name in TABLES)
    ensemble_of(run.engine).forget(0)
    forgotten = ensemble_of(run.engine).state.arrays
    assert all(np.array_equal(forgotten[name][1], initial[name]) for name in initial)


def test_ensemble_without_learning_does_not_use_the_prior() -> None:
    model = Smooth(WindowSpec(CONTEXT))
    with_prior = Ensemble([model], EnsembleOptions(learns=False), prior=bundled_prior())
    assert not with_prior.state.initial(median_calibration.STATE).any()


def test_model_with_submeters_starts_from_the_coefficients_of_the_prior() -> None:
    submetered = Ensemble(
        [Smooth(WindowSpec(CONTEXT))], EnsembleOptions(n_submeters=1), prior=bundled_prior()
    ).submetered
    assert submetered is not None
    place, rls = submetered.column_names.index("lag 1"), bundled_prior().rls
    mean, _ = submetered.state.initial("coefficients")[:, place]
    assert mean == pytest.approx(0.5 * rls.coefficients[0, rls.names.index("lag 1")])


@pytest.mark.parametrize("share", [-1, 32_768])
def test_prior_with_an_impossible_share_is_rejected(share: int) -> None:
    shares = np.full(phase_table.N_CELLS, share)
    with pytest.raises(StateError, match="prior has shares from"):
        LearningPrior(bundled_prior().rls, {**no_tables(), phase_table.SHARES: shares})


@pytest.mark.parametrize("name", TABLES)
def test_prior_with_an_unfit_table_is_rejected(name: str) -> None:
    rls, tables = bundled_prior().rls, no_tables()
    for table in (tables[name][:-1], np.full(tables[name].shape, np.nan)):
        with pytest.raises(StateError, match="prior has tables of shapes"):
            LearningPrior(rls, {**tables, name: table})
    with pytest.raises(StateError, match="prior has tables of shapes"):
        LearningPrior(rls, {other: table for other, table in tables.items() if other != name})


def test_prior_written_and_read_is_equal(tmp_path: Path) -> None:
    (tmp_path / "prior.npz").write_bytes(encode_prior(bundled_prior()))
    read, prior = read_prior(tmp_path / "prior.npz"), bundled_prior()
    assert (read.rls.names, read.rls.horizon_min) == (prior.rls.names, prior.rls.horizon_min)
    assert np.array_equal(read.rls.coefficients, prior.rls.coefficients)
    assert np.array_equal(read.rls.covariance, prior.rls.covariance)
    assert all(np.array_equal(read.tables[name], prior.tables[name]) for name in TABLES)


@pytest.mark.parametrize(
    ("coefficients", "covariance"),
    [(np.zeros((2, 1)), np.eye(2)), (np.zeros((2, 2)), np.eye(3)), (np.zeros((2, 2)), np.eye(2) * np.nan)],
)
def test_prior_with_unfit_arrays_is_rejected(coefficients: Any, covariance: Any) -> None:
    with pytest.raises(StateError, match="prior of 2 columns"):
        RlsPrior(("lag 1", "bias"), 5, coefficients, covariance)


@pytest.mark.long
def test_prior_lowers_the_error_of_the_first_day() -> None:
    """In a house to which it was not fitted, with a useless model: the first day of only the online model."""
    kw = house_kw(1_440, seed=5)

    def first_day_mse(prior: LearningPrior | None) -> float:
        engine = Engine(Smooth(WindowSpec(CONTEXT)), ensemble=ensemble(prior))
        run = EngineRun(engine).process(stream(kw), at_a_time=60)
        learned_kw = run.outcome("members_kw")[:, 0, ensemble_of(engine).members.index("learned")]
        return float(np.mean((learned_kw - run.outcome("actual_kw")) ** 2))

    assert first_day_mse(bundled_prior()) < 0.95 * first_day_mse(None), "measured: 0.90"


def test_prior_of_a_new_column_does_not_mix_with_what_was_learned() -> None:
    """A version with more columns restores older state: with an indefinite covariance, forecasts would diverge."""
    run = EngineRun(Engine(Smooth(WindowSpec(CONTEXT)), ensemble=ensemble(bundled_prior()))).process(
        stream(house_kw(60))
    )
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
    assert np.array_equal(covariance[~is_new][:, ~is_new], learned[0])
    assert np.array_equal(covariance[is_new][:, is_new], np.eye(is_new.sum(), dtype=np.float32) * rls_model.PRIOR)
    assert (covariance[is_new][:, ~is_new] == 0).all()
    assert np.linalg.eigvalsh(covariance.astype(np.float64))[0] > 0
