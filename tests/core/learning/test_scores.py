"""Live scores, compared with a slow reference that stores every outcome."""

from __future__ import annotations

import json
import math
from dataclasses import astuple
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.learning.scores.score_sums import PUBLISHED
from gapcast.core.learning.scores.scores import Scores
from gapcast.core.learning.scores.summary import ALL_TIME, LAST_DAY, LAST_WEEK, MIN_OUTCOMES, Period, Summary, summarize
from tests.core.learning.outcomes import MEMBERS, NAN, START, outcomes, streams
from tests.support.library_choice import build

FEW = 5  # tracked devices: rows 0 to 4


class PlainScores:
    """Stores every outcome, and sums on request. Buckets are as coarse as documented."""

    def __init__(self) -> None:
        self.kept: dict[int, list[tuple[int, Outcomes, int]]] = {}

    def add(self, batch: Outcomes) -> None:
        for i, row in enumerate(batch.rows.tolist()):
            self.kept.setdefault(row, []).append((int(batch.minutes[i]), batch, i))

    def of(self, row: int, period: Period) -> list[tuple[Outcomes, int]]:
        kept = self.kept.get(row, [])
        if period is ALL_TIME or not kept:
            return [(batch, i) for _, batch, i in kept]
        length, n = {LAST_DAY: (180, 9), LAST_WEEK: (1440, 8)}[period]
        holder: dict[int, tuple[int, list[tuple[Outcomes, int]]]] = {}
        for minute, batch, i in kept:
            bucket = minute // length
            if holder.get(bucket % n, (None, []))[0] != bucket:
                holder[bucket % n] = (bucket, [])
            holder[bucket % n][1].append((batch, i))
        newest = kept[-1][0] // length
        return [one for bucket, ones in holder.values() if newest - n < bucket <= newest for one in ones]


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def skill(error: float | None, persistence: float | None) -> float | None:
    """Return the skill; None for a baseline with an error close to zero."""
    return None if error is None or persistence is None or persistence < 1e-9 else 1 - error / persistence


def check(found: Summary, ones: list[tuple[Outcomes, int]]) -> None:
    def close(value: float | None, expected: float | None) -> None:
        assert (value is None) == (expected is None)
        assert value == (None if expected is None else pytest.approx(expected, rel=2e-5, abs=1e-5))

    def error(kw: float, fallback: float, actual: float) -> float:
        return (fallback if math.isnan(kw) else kw) - actual

    published = [(b.published_kw[i], b.actual_kw[i], b.last_kw[i]) for b, i in ones]
    assert found.n == len(ones)
    close(found.mse_kw2, mean([(t[0] - c) ** 2 for t, c, _ in published]))
    assert found.bias_kw == (
        pytest.approx(mean([t[0] - c for t, c, _ in published]), rel=2e-5, abs=1) if published else None
    )
    close(found.skill, skill(found.mse_kw2, found.persistence_mse_kw2))
    close(found.mae_skill, skill(found.mae_kw, found.persistence_mae_kw))
    close(found.mae_kw, mean([abs(error(t[1], t[0], c)) for t, c, _ in published]))
    close(found.persistence_mse_kw2, mean([(last - c) ** 2 for _, c, last in published]))
    close(found.persistence_mae_kw, mean([abs(last - c) for _, c, last in published]))
    within = [(t, c) for t, c, _ in published if not math.isnan(t[2] + t[3])]
    close(found.coverage, mean([float(t[2] <= c <= t[3]) for t, c in within]))
    close(found.width_kw, mean([t[3] - t[2] for t, _ in within]))
    losses = []
    for t, c in within:
        quantiles = ((0.05, t[2]), (0.5, t[0] if math.isnan(t[1]) else t[1]), (0.95, t[3]))
        losses.append(sum(max(level * (c - q), (level - 1) * (c - q)) for level, q in quantiles) / 3)
    close(found.pinball_kw, mean(losses))
    for e, name in enumerate(MEMBERS[:2]):
        pairs = [(b.members_kw[i, :, e], b.actual_kw[i]) for b, i in ones if not math.isnan(b.members_kw[i, 0, e])]
        close(found.members[name].mse_kw2, mean([(kw[0] - c) ** 2 for kw, c in pairs]))
        close(found.members[name].mae_kw, mean([abs(kw[1] - c) for kw, c in pairs]))
        base = [b.last_kw[i] - b.actual_kw[i] for b, i in ones if not math.isnan(b.members_kw[i, 0, e])]
        close(found.members[name].persistence_mse_kw2, mean([error**2 for error in base]))
        close(found.members[name].persistence_mae_kw, mean([abs(error) for error in base]))
    assert found.members["persistence"].mse_kw2 == found.persistence_mse_kw2


@pytest.mark.long
@given(streams())
def test_scores_match_the_slow_reference(compiled: bool, batches: list[Outcomes]) -> None:
    scores, slow = build(Scores, MEMBERS, FEW, compiled=compiled), PlainScores()
    for batch in batches:
        scores.add(batch)
        slow.add(batch)
        for row in range(FEW):
            for period, found in scores.for_row(row).items():
                check(found, slow.of(row, period))
    for period, found in scores.overall().items():
        assert found.n == sum(len(slow.of(row, period)) for row in range(FEW))


@pytest.mark.long
@given(streams(huge=1e30))
def test_scores_are_finite_for_any_stream(compiled: bool, batches: list[Outcomes]) -> None:
    scores = build(Scores, MEMBERS, FEW, compiled=compiled)
    for batch in batches * 3:
        scores.add(batch)
    for found in [*(scores.for_row(row) for row in range(FEW)), scores.overall()]:
        for summary in found.values():
            json.dumps(summary.document(), allow_nan=False)


def test_skill_is_none_when_persistence_has_almost_no_error() -> None:
    no_bounds = dict.fromkeys(("bias", "bounds_n", "pinball", "hits", "width"), 0.0)
    wild, still = (1.0, 1e60, 1e30), (1.0, 1e-320, 1e-160)
    found = summarize(no_bounds, wild, still, {"linear": (wild, still)})
    assert (found.skill, found.members["linear"].skill) == (None, None)
    json.dumps(found.document(), allow_nan=False)


@pytest.mark.long
@given(streams(), st.integers(0, 25))
def test_scores_restored_continue_exactly(compiled: bool, batches: list[Outcomes], at: int) -> None:
    one, before = build(Scores, MEMBERS, FEW, compiled=compiled), build(Scores, MEMBERS, FEW, compiled=compiled)
    for batch in batches[:at]:
        before.add(batch)
    after = build(Scores, MEMBERS, FEW, compiled=compiled)
    after.restore_columns(before.columns(range(FEW)))
    for batch in batches[at:]:
        after.add(batch)
    for batch in batches:
        one.add(batch)
    expected = one.columns(range(FEW))
    found = after.columns(range(FEW))
    assert found.keys() == expected.keys()
    assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)


def test_scores_match_a_hand_calculation(compiled: bool) -> None:
    scores = build(Scores, MEMBERS, 10, compiled=compiled)
    scores.add(outcomes([3], START, 2.0, (1.0, 1.5, 0.0, 1.8), 0.0, [[3.0, 2.5, 0.0], [2.0, NAN, 0.0]]))
    found = scores.for_row(3)[LAST_DAY]
    assert found.document() == {
        "n": 1, "sufficient": False, "enough": False, "mse_kw2": 1.0, "mae_kw": 0.5, "bias_kw": -1.0,
        "skill": 0.75, "mae_skill": 0.75, "coverage": 0.0, "width_kw": 1.8,
        "pinball_kw": round((0.25 + 0.1 + 0.19) / 3, 6),
        "persistence": {"mse_kw2": 4.0, "mae_kw": 2.0},
        "experts": {
            "lstm": {"n": 1, "mse_kw2": 1.0, "mae_kw": 0.0, "skill": 0.75},
            "linear": {"n": 1, "mse_kw2": 0.25, "mae_kw": 0.5, "skill": 0.9375},
            "persistence": {"n": 1, "mse_kw2": 4.0, "mae_kw": 2.0, "skill": 0.0},
        },
    }  # fmt: skip
    assert scores.for_row(3)[ALL_TIME].document() == found.document() == scores.overall()[LAST_WEEK].document()


def half_errors(minute: int, persistence_error_kw: float, *, has_linear: bool = True) -> Outcomes:
    """Return an outcome for which ``linear``, unless it is missing, has half the error of persistence."""
    linear_kw = 1.0 + persistence_error_kw / 2 if has_linear else NAN
    actual_kw = 1.0 + persistence_error_kw
    return outcomes([0], START + minute, actual_kw, members_kw=[[1.0, linear_kw, 1.0]] * 2)


def test_member_that_joins_is_compared_over_its_minutes(compiled: bool) -> None:
    """The member has half the error of persistence in each of its minutes, which are calmer than those before."""
    scores = build(Scores, MEMBERS, 10, compiled=compiled)
    for minute in range(0, 2_000, 10):
        scores.add(half_errors(minute, 4.0 if minute < 1_500 else 0.5, has_linear=minute >= 1_500))
    for summaries in (scores.for_row(0), scores.overall()):
        for found in summaries.values():
            member = found.members["linear"]
            assert (member.skill, member.mse_kw2, member.mae_kw) == (0.75, 0.0625, 0.25)
            assert (member.persistence_mse_kw2, member.persistence_mae_kw) == (0.25, 0.5)
            assert found.members["persistence"].mse_kw2 != member.persistence_mse_kw2
            assert member.n == 50
        assert summaries[ALL_TIME].n == 200


def test_member_without_some_minutes_keeps_its_skill(compiled: bool) -> None:
    """In each bucket a member lacks the minutes with the largest errors."""
    scores = build(Scores, MEMBERS, 10, compiled=compiled)
    for minute in range(0, 12 * 1440, 20):
        scores.add(half_errors(minute, 1.0 if minute % 180 else 9.0, has_linear=bool(minute % 180)))
    for found in scores.for_row(0).values():
        assert (found.members["linear"].skill, found.members["linear"].persistence_mse_kw2) == (0.75, 1.0)


def test_member_of_some_devices_is_compared_with_its_devices(compiled: bool) -> None:
    scores = build(Scores, MEMBERS, 10, compiled=compiled)
    scores.add(half_errors(0, 2.0))
    scores.add(outcomes([1], START, 9.0, members_kw=[[1.0, NAN, 1.0]] * 2))
    for found in scores.overall().values():
        assert (found.members["linear"].skill, found.members["lstm"].skill) == (0.75, 0.0)


def without_references(scores: Scores) -> dict[str, NDArray[np.generic]]:
    """Return the columns that earlier versions stored."""
    return {name: column for name, column in scores.columns(range(1)).items() if not name.startswith("reference")}


def test_scores_of_an_earlier_version_get_references(compiled: bool) -> None:
    before, after = (build(Scores, MEMBERS, 10, compiled=compiled) for _ in range(2))
    for minute in range(0, 3_000, 10):
        before.add(half_errors(minute, 1.0 + minute % 7))
    columns = without_references(before)
    after.restore_columns(columns)
    assert after.for_row(0) == before.for_row(0)
    expected = before.columns(range(1))
    assert all((column == expected[name]).all() for name, column in after.columns(range(1)).items())


def test_scores_of_an_earlier_version_restart_for_a_new_member(compiled: bool) -> None:
    """The member lacked the first of three days, and afterwards one outcome in 144."""
    before, after = (build(Scores, MEMBERS, 10, compiled=compiled) for _ in range(2))
    for minute in range(0, 3 * 1440, 10):
        before.add(half_errors(minute, 4.0 if minute < 1440 else 0.5, has_linear=minute > 1440))
    after.restore_columns(without_references(before))
    found = after.for_row(0)
    assert found[LAST_WEEK].members["linear"].skill == pytest.approx(0.75)
    assert found[ALL_TIME].members["linear"].skill is None
    after.add(half_errors(3 * 1440, 0.5))
    assert after.for_row(0)[ALL_TIME].members["linear"].skill == 0.75


def test_scores_of_an_unknown_device_are_empty(compiled: bool) -> None:
    scores = build(Scores, MEMBERS, 10, compiled=compiled)
    for row in (0, 5, 1_000, -1):
        assert [found.n for found in scores.for_row(row).values()] == [0, 0, 0]
        assert set(astuple(scores.for_row(row)[ALL_TIME])[1:-1]) == {None}
    scores.add(outcomes([], START, []))
    scores.add(outcomes([10, 11], START, 1.0))
    assert scores.overall()[ALL_TIME].n == 0


def test_skill_is_none_when_persistence_has_no_error(compiled: bool) -> None:
    scores = build(Scores, ("lstm",), 10, compiled=compiled)  # persistence is scored where it is no member, too
    batch = outcomes([0], START, 1.0, (2.0, 2.0, 0.0, 3.0))
    scores.add(
        Outcomes(
            batch.rows, batch.minutes, batch.actual_kw, batch.last_kw, batch.members_kw[:, :, :1], batch.published_kw
        )
    )
    found = scores.for_row(0)[ALL_TIME]
    assert (found.skill, found.mae_skill, found.members["lstm"].skill) == (None, None, None)
    assert (found.persistence_mse_kw2, list(found.members)) == (0.0, ["lstm"])


def test_scores_need_half_a_day_of_outcomes(compiled: bool) -> None:
    scores = build(Scores, MEMBERS, 10, compiled=compiled)
    for minute in range(MIN_OUTCOMES):
        assert not scores.for_row(0)[LAST_DAY].is_sufficient
        scores.add(outcomes([0], START + minute, 1.0))
    assert scores.for_row(0)[LAST_DAY].is_sufficient


def test_scores_drop_later_buckets_when_time_goes_back(compiled: bool) -> None:
    scores = build(Scores, MEMBERS, 10, compiled=compiled)
    for minute in range(0, 20 * 1440, 60):
        scores.add(outcomes([0], START + minute, 1.0))
    assert [found.n for found in scores.for_row(0).values()] == [27, 192, 480]
    scores.add(outcomes([0], START, 1.0))
    assert [found.n for found in scores.for_row(0).values()] == [1, 1, 481]


def test_scores_forget_resets_one_device(compiled: bool) -> None:
    scores = build(Scores, MEMBERS, 10, compiled=compiled)
    scores.add(outcomes([0, 1], START, 1.5))
    scores.forget(1)
    scores.forget(1_000)
    assert [scores.for_row(row)[LAST_DAY].n for row in (0, 1)] == [1, 0]
    assert scores.for_row(1)[ALL_TIME].n == 0


def test_scores_of_a_device_with_damaged_sums_are_removed(compiled: bool) -> None:
    scores = build(Scores, MEMBERS, 10, compiled=compiled)
    scores.add(outcomes([0, 1, 2], START, 1.5))
    for row, damage in ((1, NAN), (2, 1e31)):
        columns = scores.columns(range(3))
        columns[f"{PUBLISHED} ever"][row, 1] = damage
        scores.restore_columns(columns)
    assert scores.overall()[ALL_TIME].n == 1
    assert [scores.for_row(row)[LAST_DAY].n for row in range(3)] == [1, 0, 0]


def test_scores_with_other_members_keep_common_columns(compiled: bool) -> None:
    before = build(Scores, MEMBERS, 100, compiled=compiled)
    after = build(Scores, ("new", "lstm", "persistence"), 100, compiled=compiled)
    batch = outcomes(range(40), START, 1.5, members_kw=[[1.0, 2.0, 1.0]] * 2)
    before.add(batch)
    after.restore_columns(before.columns(range(40)))
    old, new = before.for_row(39)[ALL_TIME], after.for_row(39)[ALL_TIME]
    assert new.members["lstm"] == old.members["lstm"]
    assert new.members["new"].mse_kw2 is None
    assert (new.n, new.coverage, new.persistence_mse_kw2) == (old.n, old.coverage, old.persistence_mse_kw2)
    fewer = build(Scores, MEMBERS, 2, compiled=compiled)
    fewer.restore_columns(before.columns(range(40)))
    assert fewer.overall()[ALL_TIME].n == 2


def test_scores_columns_are_views_only_without_copies(compiled: bool) -> None:
    scores = build(Scores, MEMBERS, 10, compiled=compiled)
    scores.add(outcomes(range(3), START, 1.5))
    views, copies = scores.columns(range(3), copies=False), scores.columns(range(3))
    scores.add(outcomes(range(3), START + 1, 1.5))
    again = scores.columns(range(3))
    for name, column in views.items():
        np.testing.assert_array_equal(column, again[name])
    assert (again["interval ever"] != copies["interval ever"]).any()


def fail_to_grow(scores: Scores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let memory be too short for the second of the arrays, which have views."""
    with monkeypatch.context() as patch:
        patch.setattr(np, "empty", Mock(side_effect=[np.empty(99, np.int64), MemoryError]))
        with pytest.raises(MemoryError):
            scores._sums.grow(99)


def test_score_sums_that_grow_without_memory_keep_their_rows(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    scores, complete = (build(Scores, MEMBERS, 100, compiled=compiled) for _ in range(2))
    scores.add(outcomes(range(3), START, 1.5))
    view = scores.columns(range(3), copies=False)  # so that the arrays are copied to grow
    fail_to_grow(scores, monkeypatch)
    complete.add(outcomes(range(3), START, 1.5))
    for rows in (range(3), range(60)):
        for one in (scores, complete):
            one.add(outcomes(rows, START + len(rows), 1.5))
    assert len(view["newest_minute"]) == 3
    for name, column in complete.columns(range(60)).items():
        np.testing.assert_array_equal(scores.columns(range(60))[name], column)


def test_damaged_score_sums_after_a_failed_growth_are_forgotten(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = build(Scores, MEMBERS, 100, compiled=compiled)
    scores.add(outcomes(range(3), START, 1.5))
    view = scores.columns(range(3), copies=False)
    fail_to_grow(scores, monkeypatch)
    scores._sums.arrays["all_time"][1, 1] = np.nan
    assert scores.overall()[ALL_TIME].n == 2
    assert len(view["newest_minute"]) == 3


def test_scores_restore_rejects_bad_columns() -> None:
    scores = Scores(MEMBERS, 10)
    columns = scores.columns(range(3))
    with pytest.raises(ValueError, match=rf"'{PUBLISHED} ever' is of shape \(3, 1\), not \(3, 3\)"):
        scores.restore_columns({**columns, f"{PUBLISHED} ever": np.zeros((3, 1))})
    del columns["bucket_ids"]
    with pytest.raises(ValueError, match="column 'bucket_ids' is missing"):
        scores.restore_columns(columns)


def test_scores_columns_are_a_copy(compiled: bool) -> None:
    scores = build(Scores, MEMBERS, 10, compiled=compiled)
    scores.add(outcomes([0], START, 1.5))
    columns = scores.columns(range(1))
    scores.add(outcomes([0], START + 1, 1.5))
    assert scores.for_row(0)[ALL_TIME].n == 2
    assert columns[f"{PUBLISHED} ever"][0, 0] == 1
