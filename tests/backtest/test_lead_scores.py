"""Scores by lead time agree with a plain recomputation; outlooks wait for the readings that are their outcomes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from gapcast.backtest.outlooks.house_outlooks import HouseOutlooks
from gapcast.backtest.outlooks.lead_scores import LeadComparison, LeadSums
from gapcast.core.outlook.scores.reference_forecasts import REFERENCES, MinutePower
from gapcast.core.readings.reading import Reading

FIRST = 21_476_160
LEADS = (5, 30, 60)


def test_lead_sums_equal_the_plain_recomputation() -> None:
    draw = np.random.default_rng(2)
    outlooks = np.sort(draw.gamma(1, 1, (400, 2, 4)), axis=2)[:, :, [2, 0, 1, 3]]
    outlooks[:40, :, 2] = math.nan  # no median: the mean replaces it
    outlooks[20:60, :, [1, 3]] = math.nan  # no interval
    actual = draw.gamma(1, 1, (400, 2))
    actual[::7, 0], actual[::3, 1] = math.nan, math.nan
    references = draw.gamma(1, 1, (400, 2, 4))
    references[:300, :, 3] = math.nan
    sums = LeadSums((5, 30))
    for part in (slice(0, 150), slice(150, 400)):
        sums.add(1, outlooks[part], actual[part], references[part])
    none, *_ = sums.scores()
    assert (none.n, none.mse_kw2, none.coverage, none.references["yesterday"].skill) == (0, None, None, None)
    for k, score in enumerate(score for score in sums.scores() if score.lead_min == 30):
        own = [(o[0], o[0] if math.isnan(o[2]) else o[2], o[1], o[3]) for o in outlooks[:, k].tolist()]
        each = [(o, a, r) for o, a, r in zip(own, actual[:, k], references[:, k], strict=True) if not math.isnan(a)]
        assert score.n == len(each)
        assert score.mse_kw2 == pytest.approx(np.mean([(o[0] - a) ** 2 for o, a, _ in each]))
        assert score.mae_kw == pytest.approx(np.mean([abs(o[1] - a) for o, a, _ in each]))
        bounded = [(o, a) for o, a, _ in each if not math.isnan(o[2])]
        assert score.coverage == pytest.approx(np.mean([o[2] <= a <= o[3] for o, a in bounded]))
        assert score.width_kw == pytest.approx(np.mean([o[3] - o[2] for o, _ in bounded]))
        for i, name in enumerate(REFERENCES):
            there = [(o, a, r[i]) for o, a, r in each if not math.isnan(r[i])]
            one = score.references[name]
            assert one.n == len(there)
            mse = np.mean([(r - a) ** 2 for _, a, r in there])
            assert one.mse_kw2 == pytest.approx(mse)
            assert one.skill == pytest.approx(1 - np.mean([(o[0] - a) ** 2 for o, a, _ in there]) / mse)
            mae = np.mean([abs(r - a) for _, a, r in there])
            assert one.mae_kw == pytest.approx(mae)
            assert one.mae_skill == pytest.approx(1 - np.mean([abs(o[1] - a) for o, a, _ in there]) / mae)


@pytest.mark.parametrize(("beyond_kw", "is_inside"), [(0.0, True), (4e-7, True), (2e-6, False)])
@pytest.mark.parametrize("bound", [1, 3])
def test_outcome_at_a_rounded_bound_is_inside(bound: int, beyond_kw: float, is_inside: bool) -> None:
    """As the lowest power of a house, which is the lower bound at the floor."""
    outlook = np.array([[0.4, 0.3, 0.4, 0.5]] * 2)[np.newaxis]
    actual_kw = outlook[:, :, bound] + math.copysign(beyond_kw, bound - 2)
    sums = LeadSums((5,))
    sums.add(0, outlook, actual_kw, np.full((1, 2, len(REFERENCES)), 0.4))
    assert [score.coverage for score in sums.scores()] == [float(is_inside)] * 2


def sums_of(minutes: Sequence[int], filled: frozenset[int] = frozenset()) -> list[LeadComparison]:
    """Score outlooks made at each of ``minutes`` after FIRST, one by one."""
    house = HouseOutlooks(LEADS)
    for minute in minutes:
        house.add_reading(Reading("home", FIRST + minute, kw_of(minute)), is_outcome=minute not in filled)
        house.add_outlook(outlook_of(minute))
    house.finish()
    return house.sums.scores()


def kw_of(minute: int) -> float:
    return 0.3 + (minute * 37 % 101) / 50


def outlook_of(minute: int) -> np.ndarray:
    return np.random.default_rng(abs(minute)).gamma(1, 1, (len(LEADS), 2, 4))


def at_once(minutes: Sequence[int], filled: frozenset[int] = frozenset()) -> list[LeadComparison]:
    """Score the same outlooks from whole arrays."""
    n = minutes[-1] - minutes[0] + 1
    known, measured = np.full(n, math.nan), np.full(n, math.nan)
    for minute in minutes:
        known[minute - minutes[0]] = kw_of(minute)
        measured[minute - minutes[0]] = math.nan if minute in filled else kw_of(minute)
    power, sums = MinutePower(FIRST + minutes[0], known, measured), LeadSums(LEADS)
    observed = np.array(minutes) + FIRST
    outlooks = np.stack([outlook_of(minute) for minute in minutes])
    for i, lead in enumerate(LEADS):
        sums.add(i, outlooks[:, i], power.outcomes_kw(observed, lead), power.references_kw(observed, lead))
    return sums.scores()


def assert_same(one: Sequence[LeadComparison], other: Sequence[LeadComparison]) -> None:
    for each, its in zip(one, other, strict=True):
        left, right = each.document(), its.document()
        assert left["references"].keys() == right["references"].keys()
        for mine, yours in [
            (left, right),
            *zip(left["references"].values(), right["references"].values(), strict=True),
        ]:
            numbers = [key for key, value in mine.items() if isinstance(value, (int, float))]
            assert {key: mine[key] for key in numbers} == pytest.approx({key: yours[key] for key in numbers}, abs=2e-6)


def test_house_outlooks_in_parts_equal_those_at_once() -> None:
    """Over nine days, scored 512 at a time, with gaps and filled minutes."""
    draw = np.random.default_rng(5)
    minutes = [i for i in range(9 * 1_440) if draw.random() > 0.002 and not 3_000 < i < 3_100]
    filled = frozenset(minutes[::211])
    found = sums_of(minutes, filled)
    assert found[0].references["last_week"].n > 2_000
    assert_same(found, at_once(minutes, filled))


def test_house_outlooks_count_only_measured_minutes() -> None:
    """A filled or missing minute is not an outcome, and not part of the mean of one."""
    whole, holed = sums_of(range(200)), sums_of([i for i in range(200) if i != 100], frozenset({150}))
    by_key = {(score.kind, score.lead_min): score.n for score in whole}
    assert by_key == {(kind, lead): 200 - lead for kind in ("point", "mean") for lead in LEADS}
    found = {(score.kind, score.lead_min): score.n for score in holed}
    assert found["point", 5] == 195 - 2 - 1  # two outcomes less, and the outlook at the missing minute
    assert found["mean", 5] == 195 - 2 * 5 - 1


@pytest.mark.parametrize("back_to", [0, 90, -20_000, 40_000])
def test_house_outlooks_survive_time_jumping(back_to: int) -> None:
    """After time went back, or far ahead, earlier outlooks get no more outcomes."""
    first, second = list(range(100)), list(range(back_to, back_to + 100))
    found, alone = sums_of([*first, *second]), (sums_of(first), sums_of(second))
    assert [score.n for score in found] == [sum(each.n for each in both) for both in zip(*alone, strict=True)]


def test_lead_scores_without_outcomes_are_a_document() -> None:
    document = sums_of([0])[0].document()
    assert (document["kind"], document["lead_min"], document["n"], document["mse_kw2"]) == ("point", 5, 0, None)
    assert document["references"]["persistence"]["skill"] is None
