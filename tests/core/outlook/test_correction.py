"""The correction of outlooks learns by least squares, and is applied to the degree that it helps."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.outlook.correction import correction_model, correction_shares
from gapcast.core.outlook.correction.pending_outlooks import DueOutlooks

N_COLUMNS = 5


def learned(n: int, lead: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return coefficients ``[2, D]`` learned from ``n`` outcomes that arrive ``lead`` steps late, and the data."""
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(n, N_COLUMNS)).astype(np.float32)
    actual = inputs @ np.array([0.5, -1.0, 0.0, 2.0, 0.3]) + draw.normal(0, 0.1, n)
    covariance = correction_model.initial_covariance(N_COLUMNS)[np.newaxis]
    coefficients, inside = np.zeros((1, 1, 2, 2, N_COLUMNS), dtype=np.float32), np.ones((1, 1, 2), dtype=np.float32)
    gains = []
    for now in range(n + lead):
        if now < n:
            gains.append(correction_model.add_inputs(covariance, inputs[now : now + 1]))
        if (at := now - lead) >= 0:
            gain, spread = gains[at]
            nothing = np.zeros((1, 1, 2, 2), dtype=np.float32)
            due = DueOutlooks(
                np.ones((1, 1), dtype=bool), inputs[at][np.newaxis, np.newaxis], gain[np.newaxis], spread[np.newaxis],
                nothing, nothing, np.zeros((1, 1, 2, 4), dtype=np.float32),
            )  # fmt: skip
            outcome = np.full((1, 1, 2, 2), actual[at])
            correction_model.update(coefficients, inside, due, outcome, np.full((1, 1), float(at)))
    return coefficients[0, 0, 0], inputs, actual


def test_delayed_recursion_is_weighted_ridge_regression() -> None:
    n = 400
    found, inputs, actual = learned(n, lead=60)
    weights = correction_model.FORGETTING ** np.arange(n - 1, -1, -1)
    prior = np.eye(N_COLUMNS) / correction_model.PRIOR * correction_model.FORGETTING**n
    wanted = np.linalg.solve(inputs.T @ (inputs * weights[:, np.newaxis]) + prior, inputs.T @ (weights * actual))
    assert found[0] == pytest.approx(wanted, abs=2e-3)


def test_median_coefficients_approach_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correction_model, "PRIOR", 0.01)
    found, _, _ = learned(4_000, lead=5)
    assert found[1] == pytest.approx([0.5, -1.0, 0.0, 2.0, 0.3], abs=0.1)


def test_covariance_stays_symmetric() -> None:
    """A rounding difference would double every 48 days, and exceed the covariance after six years."""
    covariance = correction_model.initial_covariance(N_COLUMNS)[np.newaxis]
    for inputs in np.random.default_rng(5).normal(size=(300, 1, N_COLUMNS)).astype(np.float32):
        correction_model.add_inputs(covariance, inputs)
    assert (covariance == covariance.swapaxes(1, 2)).all()


def test_stored_covariance_becomes_symmetric() -> None:
    covariance = np.array([[[2.0, 1.0], [1.5, 3.0]]])
    assert correction_model.symmetric(covariance).tolist() == [[[2.0, 1.25], [1.25, 3.0]]]
    assert correction_model.symmetric(correction_model.symmetric(covariance)).tolist() == [[[2.0, 1.25], [1.25, 3.0]]]


def test_variance_of_silent_columns_stays_limited() -> None:
    covariance = correction_model.initial_covariance(N_COLUMNS)[np.newaxis]
    inputs = np.zeros((1, N_COLUMNS), dtype=np.float32)
    for _ in range(3_000):
        correction_model.add_inputs(covariance, inputs)
    assert covariance.max() <= correction_model.PRIOR * 1.011


def test_correction_is_clipped_to_the_limit() -> None:
    coefficients = np.full((1, 4, N_COLUMNS), 1e6, dtype=np.float32)
    assert (correction_model.predict(coefficients, np.ones((1, N_COLUMNS), dtype=np.float32)) == 50.0).all()


#: Indices of choices.
SHARE_OF_HALF, SHARE_OF_ONE, LAST_READING = 2, 4, 5


def choices_of(gains: np.ndarray, lead: int = 1) -> np.ndarray:
    return correction_shares.best_choices(gains, np.full(gains.shape[2], lead))


def gains_after(
    n: int, error: float, change: float, moved: float = 9.0, lead: int = 1, gains: np.ndarray | None = None
) -> np.ndarray:
    """Return the gains of one lead time after ``n`` outcomes; by default the last reading is far from them."""
    gains = correction_shares.initial_gains(1)[np.newaxis] if gains is None else gains
    errors, changes = np.full((1, 1, 2, 2), error), np.full((1, 1, 2, 2), change)
    of_last = correction_shares.errors_of_last_reading(errors, np.full((1, 1, 2), moved), np.array([lead]))
    for _ in range(n):
        correction_shares.update(gains, errors, changes, of_last, np.ones((1, 1), dtype=bool))
    return gains


def test_new_device_applies_nothing_of_the_correction() -> None:
    assert (choices_of(correction_shares.initial_gains(3)[np.newaxis]) == 0).all()


def test_share_that_helps_is_applied() -> None:
    assert (choices_of(gains_after(300, 1.0, 1.0)) == SHARE_OF_ONE).all()
    assert (choices_of(gains_after(3_000, 0.5, 1.0)) == SHARE_OF_HALF).all()


def test_correction_that_starts_to_hurt_is_given_up() -> None:
    gains = gains_after(1_000, 0.3, 0.3)
    assert (choices_of(gains_after(2_000, -0.3, 0.3, gains=gains)) == 0).all()


def test_share_of_a_long_lead_time_must_prove_itself_longer() -> None:
    gains = gains_after(40, 1.0, 1.0)
    assert (choices_of(gains, lead=1) == SHARE_OF_ONE).all()
    assert (choices_of(gains, lead=60) == 0).all()


def test_last_reading_that_is_nearer_replaces_the_median_only() -> None:
    choices = choices_of(gains_after(300, 0.3, 0.0, moved=0.1))
    assert (choices[..., 1] == LAST_READING).all()
    assert (choices[..., 0] == 0).all()


def test_last_reading_is_a_choice_in_the_first_minutes() -> None:
    for lead in (1, 3, 4, 60):
        choices = choices_of(gains_after(3_000, 0.3, 0.0, moved=0.1, lead=lead), lead)
        assert (choices[..., 1] == (LAST_READING if lead <= 3 else 0)).all()


def test_last_reading_must_prove_itself_longer_than_a_share() -> None:
    """Of n equal gains, the lower end is above zero from n > deviations squared on."""
    assert (choices_of(gains_after(3, 0.3, 0.3))[..., 1] == SHARE_OF_ONE).all()
    assert (choices_of(gains_after(3, 0.3, 0.0, moved=0.0))[..., 1] == 0).all()
    assert (choices_of(gains_after(8, 0.3, 0.0, moved=0.0))[..., 1] == LAST_READING).all()


def test_choices_apply_a_share_or_the_last_reading() -> None:
    choices = np.array([[[[0, SHARE_OF_HALF], [SHARE_OF_ONE, LAST_READING]]]])
    found = correction_shares.apply(choices, np.full((1, 1, 2, 2), 1.0), np.full((1, 1, 2, 2), 0.4), np.array([0.7]))
    assert found.tolist() == [[[[1.0, 1.2], [1.4, 0.7]]]]


def test_entries_without_an_outcome_keep_their_gains() -> None:
    gains = correction_shares.initial_gains(1)[np.newaxis]
    before, ones = gains.copy(), np.ones((1, 1, 2, 2))
    correction_shares.update(gains, ones, ones, ones, np.zeros((1, 1), dtype=bool))
    assert np.array_equal(gains, before)
