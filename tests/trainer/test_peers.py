"""Peers: their inputs without future values, and their scores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.recordings.formats.clean_file import CleanFile
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.errors import RunError
from gapcast_trainer.evaluation.evaluate import evaluate
from gapcast_trainer.peers.columns import COLUMN_SETS, ColumnSet, PeerColumns
from gapcast_trainer.scores.minutes import Minutes, minutes_at
from gapcast_trainer.scores.options import EvaluationOptions, PeerOptions
from gapcast_trainer.scores.result import Evaluation
from gapcast_trainer.scores.table import lines
from tests.support.uci_files import START, household
from tests.trainer.forecasters import LEADS, Spread, stand_ins
from tests.trainer.synthetic import SPLIT

ALL = COLUMN_SETS[-1]
DAY, WEEK = 1_440, 7 * 1_440


def at(*minutes: int) -> np.ndarray:
    return np.array(minutes, dtype=np.int64)


@pytest.mark.parametrize("shown", COLUMN_SETS, ids=lambda shown: shown.name)
def test_peer_columns_have_no_future_values(shown: ColumnSet) -> None:
    kw = household(12_000)
    changed = kw.copy()
    changed[11_001:] += 5
    before, after = (PeerColumns(Series(0, values), shown, 5).at(at(10_500, 11_000)) for values in (kw, changed))
    np.testing.assert_array_equal(before, after)
    assert not np.isnan(before).any()


def test_peer_columns_are_lags_time_of_day_and_other_days() -> None:
    kw = np.arange(12_000, dtype=np.float64)
    found = PeerColumns(Series(0, kw), ALL, 5).at(at(11_000))[0]
    last, lags, older, clock, seasons = np.split(found, [1, 60, 84, 86])
    assert last.tolist() == [11_000]
    assert lags.tolist() == list(range(-59, 0))
    assert older.tolist() == [-177 + 5 * k for k in range(24)]  # the middles of five minutes each
    assert clock.tolist() == [11_005 % DAY, 11_005 // DAY % 7]
    assert seasons.tolist() == [11_005 - DAY] * 3 + [11_005 - WEEK] * 3
    plain = PeerColumns(Series(0, kw), COLUMN_SETS[0], 5).at(at(11_000))
    assert plain[0].tolist() == [11_000, *range(-29, 0)]


def test_peer_columns_have_the_clock_of_the_house() -> None:
    """As the features of a model have: in Berlin the clocks went forward on Sunday 2024-03-31 at 1 o'clock UTC."""
    sunday = int(datetime(2024, 3, 31, tzinfo=UTC).timestamp()) // 60
    series = Series(sunday - DAY, np.ones(2 * DAY), zone=ZoneInfo("Europe/Berlin"))
    observed = sunday + np.array([30, 90, 23 * 60]) - 5
    clock = PeerColumns(series, COLUMN_SETS[1], 5).at(observed)[:, -2:]
    assert clock[:, 0].tolist() == [90, 3 * 60 + 30, 60]  # 1:30, 3:30, and 1:00 of Monday
    assert clock[2, 1] == (clock[0, 1] + 1) % 7


def test_peer_columns_of_yesterday_with_gaps() -> None:
    kw = np.ones(12_000)
    target = 11_005
    kw[target - DAY - 15 : target - DAY + 16] = np.nan
    kw[target - DAY + 20] = 5
    seasons = PeerColumns(Series(0, kw), ALL, 5).at(at(11_000))[0][-6:]
    assert np.isnan(seasons[:2]).all()
    assert seasons[2] == pytest.approx((90 - 1 + 5) / 90)  # 121 minutes around, 31 of them missing
    assert seasons[3:].tolist() == [1, 1, 1]
    early = PeerColumns(Series(0, kw), ALL, 5).at(at(2_000))[0][-6:]
    assert not np.isnan(early[:3]).any()
    assert np.isnan(early[3:]).all()  # before the file begins


def minutes_of(series: Series, *observed: int) -> Minutes:
    return minutes_at(series, at(*observed), LEADS)


@pytest.mark.parametrize("name", ["auto-ets", "auto-arima"])
def test_classical_method_extrapolates_a_line(name: str) -> None:
    """It uses no values after the window, nor before a restart."""
    from gapcast_trainer.peers.statistical import METHODS, forecast

    (method,) = (method for method in METHODS if method.name == name)
    kw = np.full(400, 50.0)
    kw[240:250] = np.nan
    kw[250:] = 1 + 0.1 * np.arange(150)
    noise = 0.01 * np.random.default_rng(1).standard_normal(400)
    series = Series(0, kw + noise)
    found = forecast(series, method, minutes_of(series, 330, 340))
    assert found.mean.shape == (2, 5)
    np.testing.assert_allclose(found.mean[:, 4], [1 + 8.5, 1 + 9.5], atol=0.15)
    assert found.quantiles is not None
    assert found.crossed_ratio == 0
    assert (found.quantiles[:, :, 2] == found.mean).all()
    spoilt = Series(0, np.where(np.arange(400) > 340, 99.0, series.gap_kw))
    again = forecast(spoilt, method, minutes_of(spoilt, 330, 340))
    np.testing.assert_array_equal(again.mean, found.mean)


@pytest.fixture(scope="module")
def found(small: CleanFile) -> tuple[Evaluation, list[str]]:
    said: list[str] = []
    model = Spread(trained_on=small.report.sha256)
    until = SPLIT.validate_until + timedelta(minutes=600)
    options = EvaluationOptions(until=until, peers=PeerOptions(n_rows=1_500, n_sampled=12), brief=True)
    return evaluate(stand_ins(model), small, options, show=said.append), said


@pytest.mark.long
def test_peers_are_scored_on_the_models_minutes(found: tuple[Evaluation, list[str]]) -> None:
    evaluation, _ = found
    assert [row.name for row in evaluation.rows[3:]] == ["lightgbm-30", "lightgbm-60", "lightgbm-180"]
    assert len({(row.sheets[5].headline.n, row.sheets[5].stream.n) for row in evaluation.rows}) == 1
    for row in evaluation.rows[3:]:
        assert row.sheets[5].headline.skill > 0.05, row.name
        assert row.sheets[5].headline.median_mae_kw is not None
        assert row.sheets[5].headline.best_mae_kw < row.sheets[5].headline.mae_kw


def test_slow_peers_are_scored_on_a_sample(found: tuple[Evaluation, list[str]]) -> None:
    evaluation, _ = found
    naive = evaluation.rows[0].sheets[5].sample
    assert naive is not None
    assert naive.n == 12
    assert [row.name for row in evaluation.sampled] == ["auto-ets", "auto-arima"]
    for row in evaluation.sampled:
        assert tuple(row.sheets) == LEADS
        assert row.sheets[5].headline.n == naive.n
        assert row.sheets[5].headline.persistence_mse_kw2 == pytest.approx(naive.mse_kw2)
        assert row.sheets[5].headline.coverage is not None
    text = lines(evaluation)
    place = text.index("On a sample of 12 of these windows, for peers that are slow to compute")
    assert [line.split()[0] for line in text[place + 2 : place + 10]] == [
        "persistence", "trend", "spread", "lightgbm-30", "lightgbm-60", "lightgbm-180", "auto-ets", "auto-arima",
    ]  # fmt: skip


def test_peers_report_their_durations(found: tuple[Evaluation, list[str]]) -> None:
    evaluation, said = found
    assert any(line.startswith("lightgbm-180: ") and line.endswith(" s") for line in said)
    assert any(line.startswith("auto-arima: 12 forecasts, ") for line in said)
    about = {row.name: row.about for row in (*evaluation.rows, *evaluation.sampled)}
    assert "180 min, time of day, yesterday, last week" in about["lightgbm-180"]


def test_peers_without_training_data_are_rejected_first(small: CleanFile) -> None:
    with pytest.raises(RunError, match=r"too few windows .* score later minutes with --from"):
        evaluate(stand_ins(Spread()), small, EvaluationOptions(peers=PeerOptions()))
    later = EvaluationOptions(START + timedelta(minutes=1_500), peers=PeerOptions())
    with pytest.raises(RunError, match="too few windows"):
        evaluate(stand_ins(Spread()), small, later)
