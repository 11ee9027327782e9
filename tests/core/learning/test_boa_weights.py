"""Ensemble weights: no member is excluded for good, a situation's best member gains weight, regret is bounded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F64
from gapcast.core.learning.ensemble import boa_weights, situations
from gapcast.core.learning.ensemble.boa_weights import BoaWeights
from gapcast.core.time_grid import DAY_MIN
from tests.support.examples import examples

SCALE_KW = 0.2
QUIET, BUSY = np.array([[0.0, 0.0, 0.0]]), np.array([[2.5, 3.0, 2.5]])


class WeightedDevice:
    """The weights of one device in one situation, over members with random errors."""

    def __init__(self, n_members: int, seed: int = 0, *, heavy: bool = False, horizon_min: int = 5) -> None:
        self.memory = boa_weights.initial_state(n_members)[np.newaxis].copy()
        self._rule = BoaWeights(n_members, horizon_min)
        self.levels = QUIET
        self.loss, self.losses = np.zeros(2), np.zeros((2, n_members))
        self.shares: list[F64] = []
        self._draw, self._heavy = np.random.default_rng(seed), heavy

    def learn_random(self, n: int, sizes: Sequence[float]) -> None:
        """Learn ``n`` forecasts of members with errors of ``sizes``, in units of the scale."""
        for _ in range(n):
            actual_kw = SCALE_KW * (self._draw.standard_t(2.5) if self._heavy else self._draw.normal())
            members_kw = actual_kw + SCALE_KW * self._draw.normal(size=(2, len(sizes))) * sizes
            self.learn(members_kw, actual_kw)

    def learn(self, members_kw: F64, actual_kw: float) -> None:
        shares = self.weights()
        published_kw = (shares * members_kw).sum(-1)
        self._rule.update(
            self.memory,
            members_kw[np.newaxis],
            published_kw[np.newaxis],
            np.array([actual_kw]),
            np.array([SCALE_KW]),
            situations.memberships(self.levels),
        )
        self.shares.append(shares)
        for loss, kw in ((self.loss, published_kw), (self.losses, members_kw)):
            loss[0] += (kw[0] - actual_kw) ** 2
            loss[1] += np.abs(kw[1] - actual_kw)

    def weights(self) -> F64:
        specialists = self._rule.specialists_of(self.memory)
        (weights,) = boa_weights.weights_of(specialists, situations.memberships(self.levels))
        return np.asarray(weights)


class WeightedDevices:
    """The weights of several devices in one situation, each over members with random errors of its own sizes.

    ``sizes`` is ``[N, E]``; outcomes of devices in ``heavy`` ``[N]`` have heavy tails.
    """

    def __init__(self, sizes: Sequence[Sequence[float]], heavy: Sequence[bool]) -> None:
        n, n_members = np.shape(sizes)
        self.sizes, self._heavy = np.array(sizes)[:, np.newaxis], np.array(heavy)
        self._memory = np.repeat(boa_weights.initial_state(n_members)[np.newaxis], n, axis=0)
        self._rule = BoaWeights(n_members, horizon_min=5)
        self._memberships = np.repeat(situations.memberships(QUIET), n, axis=0)
        self._scale_kw, self._draw = np.full(n, SCALE_KW), np.random.default_rng(0)
        self.loss, self.losses = np.zeros((n, 2)), np.zeros((n, 2, n_members))

    def learn_random(self, n: int) -> None:
        """Learn ``n`` forecasts of each device."""
        for _ in range(n):
            draw, shape = self._draw, self._heavy.shape
            actual_kw = SCALE_KW * np.where(self._heavy, draw.standard_t(2.5, shape), draw.normal(size=shape))
            off_kw = SCALE_KW * draw.normal(size=self.losses.shape) * self.sizes
            members_kw = actual_kw[:, np.newaxis, np.newaxis] + off_kw
            published_kw = (self.weights() * members_kw).sum(-1)
            self._rule.update(self._memory, members_kw, published_kw, actual_kw, self._scale_kw, self._memberships)
            self.loss += _losses(published_kw - actual_kw[:, np.newaxis])
            self.losses += _losses(off_kw)

    def weights(self) -> F64:
        return boa_weights.weights_of(self._rule.specialists_of(self._memory), self._memberships)


def _losses(error_kw: F64) -> F64:
    """Squared error of the mean and absolute error of the median, along the second axis."""
    return np.stack((error_kw[:, 0] ** 2, np.abs(error_kw[:, 1])), axis=1)


def test_weights_without_outcomes_are_the_priors() -> None:
    expected = 0.999 * boa_weights.prior_weights(5, horizon_min=5) + 0.001 / 5
    assert WeightedDevice(5).weights() == pytest.approx(np.stack([expected] * 2))


def test_prior_weights_of_one_and_two_members_leave_out_the_others() -> None:
    assert boa_weights.prior_weights(1, horizon_min=60).tolist() == [1.0]
    assert boa_weights.prior_weights(2, horizon_min=5).tolist() == [0.5, 0.5]
    assert boa_weights.prior_weights(2, horizon_min=10).tolist() == [0.75, 0.25]


@given(n_members=st.integers(2, 8), horizon_min=st.integers(1, 60))
def test_prior_weight_of_persistence_falls_with_the_horizon(n_members: int, horizon_min: int) -> None:
    """It is half of the total up to five minutes ahead; beyond, the primary model gains what persistence loses."""
    weights = boa_weights.prior_weights(n_members, horizon_min)
    nearest = boa_weights.prior_weights(n_members, horizon_min=5)
    assert weights[-1] == 0.5 * min(5 / horizon_min, 1.0)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[0] - nearest[0] == pytest.approx(nearest[-1] - weights[-1])
    assert weights[1:-1].tolist() == nearest[1:-1].tolist()


def test_weights_far_ahead_change_more_slowly() -> None:
    """Overlapping regrets count the same mistake several times."""
    near, far = WeightedDevice(3, horizon_min=5), WeightedDevice(3, horizon_min=30)
    for device in (near, far):
        before = device.weights()
        device.learn_random(40, [0.5, 1.0, 2.0])
        device.shares = [before, device.weights()]
    moved = [np.abs(np.log(last / first)[:, 0]) for first, last in (near.shares, far.shares)]
    assert (moved[1] < moved[0]).all()


LARGE = st.one_of(st.floats(-1, 1), st.floats(-1e6, 1e6), st.just(0.0))


LEVELS = st.lists(st.floats(0, 3), min_size=3, max_size=3).map(lambda levels: np.array([levels]))


@examples(60)
@given(
    st.integers(2, 7).flatmap(
        lambda n: st.lists(st.tuples(st.lists(LARGE, min_size=2 * n, max_size=2 * n), LARGE, LEVELS))
    )
)
def test_weights_sum_to_one_and_none_gets_stuck(outcomes: list[tuple[list[float], float, F64]]) -> None:
    n_members = len(outcomes[0][0]) // 2 if outcomes else 2
    listener = WeightedDevice(n_members)
    for members_kw, actual_kw, levels in outcomes:
        listener.levels = levels
        listener.learn(np.array(members_kw).reshape(2, n_members), actual_kw)
        shares = listener.weights()
        assert shares.sum(-1) == pytest.approx([1, 1])
        assert shares.min() >= 0.99 * boa_weights.SHARE / n_members
        assert shares.max() <= 1 - 0.99 * boa_weights.SHARE * (n_members - 1) / n_members


@pytest.mark.long
def test_weights_favour_a_new_best_member_after_two_days() -> None:
    """Measured: after 21 hours of the mean, 33 hours of the median; with and without heavy tails.

    The members' errors are independent. If members react to the same signal, it takes many days.
    """
    devices = WeightedDevices([(1, 1, 1, 1, 3, 1)] * 2, heavy=[False, True])
    devices.learn_random(28 * DAY_MIN)
    assert (devices.weights()[..., 4] < 0.05).all()
    devices.sizes = np.array([3, 1.5, 1.5, 1.5, 0.5, 1.5])
    devices.learn_random(2 * DAY_MIN)
    assert (devices.weights()[..., 4] > 0.5).all()


@pytest.mark.long
def test_regret_stays_within_the_theoretical_order() -> None:
    """At most twice sqrt(T log E) gradients of a common size above the best member in hindsight, of 1 and of 8 days.

    If members' errors are independent, as here, their mixture is better than any member.
    """
    sizes = [(1, 1, 1, 1, 0.9, 1), (1, 2, 3, 4, 5, 6), (6, 5, 4, 3, 2, 1)]
    devices = WeightedDevices(sizes * 2, heavy=[False] * 3 + [True] * 3)
    for days, more in ((1, 1), (8, 7)):
        devices.learn_random(more * DAY_MIN)
        order = np.sqrt(days * DAY_MIN * np.log(6)) * np.array([2 * SCALE_KW**2, SCALE_KW])
        regret = devices.loss - devices.losses.min(-1)
        assert (regret <= 2 * order).all(), (days, regret)


@pytest.mark.long
def test_regret_is_bounded_for_equally_wrong_members() -> None:
    """No mixture helps in 1 or in 8 days: all members have the same error at different scales."""
    draw, listener = np.random.default_rng(4), WeightedDevice(4)
    sizes = np.array([1.0, 0.9, 1.1, 2.0])
    for days, more in ((1, 1), (8, 7)):
        for _ in range(more * DAY_MIN):
            listener.learn(np.stack([SCALE_KW * draw.normal() * sizes] * 2), 0.0)
        order = np.sqrt(days * DAY_MIN * np.log(4)) * np.array([2 * SCALE_KW**2, SCALE_KW])
        assert (listener.loss - listener.losses.min(-1) <= 2 * order).all()
        assert (listener.loss <= 1.2 * listener.losses.min(-1)).all()


@pytest.mark.parametrize("n_jumps", [1, 5])
def test_weights_keep_adapting_after_a_jump(n_jumps: int) -> None:
    """100 kW in the first hours, half of which one member forecasts: no member gains, and the best one is found."""
    listener = WeightedDevice(6)
    listener.learn_random(100, (1, 1, 1, 1, 0.7, 1))
    members_kw = np.zeros((2, 6))
    members_kw[:, 0] = 50.0
    before = listener.weights()
    for _ in range(n_jumps):
        listener.learn(members_kw, 100.0)
    assert listener.weights() == pytest.approx(before, abs=1e-3)
    best = (5, 3, 3, 3, 0.5, 3)
    listener.learn_random(DAY_MIN, best)
    assert (listener.weights()[:, 4] > 0.5).all()


def test_ensemble_after_one_jump_matches_the_best_member() -> None:
    sizes = (1, 1, 1, 1, 0.7, 1)
    listener = WeightedDevice(6)
    listener.learn_random(100, sizes)
    members_kw = np.zeros((2, 6))
    members_kw[:, 0] = 50.0
    listener.learn(members_kw, 100.0)
    listener.loss[:], listener.losses[:] = 0, 0
    listener.learn_random(2 * DAY_MIN, sizes)
    assert (listener.loss <= 1.05 * listener.losses.min(-1)).all()


@pytest.mark.parametrize("heavy", [False, True])
def test_weights_in_each_situation_find_its_best_member(heavy: bool) -> None:
    """One member is best while power is constant, another in busy hours, alternating."""
    listener, sizes = WeightedDevice(4, heavy=heavy), ((0.5, 1.5, 1, 1), (1.5, 0.5, 1, 1))
    for _ in range(24):
        for listener.levels, size in ((QUIET, sizes[0]), (BUSY, sizes[1])):
            listener.learn_random(60, size)
    for listener.levels, best in ((QUIET, 0), (BUSY, 1)):
        assert (listener.weights()[:, best] > 0.5).all()
    losses, best_losses = listener.loss, listener.losses.min(-1)
    assert (losses < 0.75 * best_losses).all(), "far better than any member is over all"


@pytest.mark.long
def test_weights_after_a_member_improves_follow_within_a_day() -> None:
    """A member repeats another one for a week, and is the best one from then on."""
    draw, listener = np.random.default_rng(3), WeightedDevice(4)
    for minute in range(8 * DAY_MIN):
        actual_kw = SCALE_KW * draw.standard_t(2.5)
        members_kw = actual_kw + SCALE_KW * draw.normal(size=(2, 4)) * (1, 0.8, 0.8, 1.2)
        members_kw[:, 2] = (
            actual_kw + 0.6 * (members_kw[:, 1] - actual_kw) if minute >= 7 * DAY_MIN else members_kw[:, 1]
        )
        listener.learn(members_kw, actual_kw)
    assert (listener.weights()[:, 2] > 0.5).all()


@examples(20)
@given(st.permutations(range(1, 5)), st.integers(0, 100))
def test_weights_of_members_in_another_order_are_the_same(middle: list[int], seed: int) -> None:
    """The first and the last member have their own priors; the members between them are equal."""
    order = [0, *middle, 5]
    draw, both = np.random.default_rng(seed), (WeightedDevice(6), WeightedDevice(6))
    for _ in range(50):
        actual_kw = float(draw.normal())
        members_kw = actual_kw + draw.normal(size=(2, 6)) * (1, 2, 3, 1, 0.5, 1)
        both[0].learn(members_kw, actual_kw)
        both[1].learn(members_kw[:, order], actual_kw)
    assert both[1].weights() == pytest.approx(both[0].weights()[:, order], rel=1e-3)


def test_weights_ignore_the_unit_of_power() -> None:
    """A flat and a farm with a hundred times its power learn alike."""
    draw, memories = np.random.default_rng(2), [boa_weights.initial_state(3)[np.newaxis] for _ in range(2)]
    for _ in range(200):
        actual_kw, members_kw = draw.normal(size=1), draw.normal(size=(1, 2, 3))
        for memory, size in zip(memories, (0.1, 10.0), strict=True):
            BoaWeights(3, horizon_min=5).update(
                memory,
                size * members_kw,
                size * members_kw.mean(-1),
                size * actual_kw,
                np.array([size]),
                situations.memberships(BUSY),
            )
    assert memories[0] == pytest.approx(memories[1], rel=1e-4, abs=1e-4)


def test_memory_saved_without_situations_gives_every_situation_its_weights() -> None:
    before = np.zeros((1, 4, 2, 3))
    before[0, 0] = [[0.4, 0.0, -0.4], [2.0, 0.0, -2.0]]  # regret: kW^2 for the mean, kW for the median
    before[0, 1] = [[0.01, 0.01, 0.01], [1.0, 1.0, 1.0]]
    before[0, 2:] = 0.1
    scale_kw = np.array([SCALE_KW])
    memory = boa_weights.state_before_situations(before, scale_kw)
    assert memory.shape == (1, *boa_weights.initial_state(3).shape)
    assert memory[0, :, 0, :, 0] == pytest.approx(
        np.repeat([[0.4 / SCALE_KW**2], [0.01 / SCALE_KW**4], [0.1 / SCALE_KW**2]], situations.N_SITUATIONS, axis=1)
    )
    specialists = BoaWeights(3, horizon_min=5).specialists_of(memory)
    quiet, busy = (boa_weights.weights_of(specialists, situations.memberships(levels)) for levels in (QUIET, BUSY))
    assert quiet == pytest.approx(busy)
    assert (np.diff(quiet[0], axis=-1) < 0).all(), "in the order of their regrets"
