"""A back-test in several processes gives the results of a single process."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from gapcast.backtest import processes
from gapcast.backtest import run as run_module
from gapcast.backtest.demands.demand_tally import DemandRequest
from gapcast.backtest.inputs.houses import FilePart, shares_of, side_by_side
from gapcast.backtest.outlooks.outlook_tally import OutlookRequest
from gapcast.backtest.processes import HouseGroup, SharedProgress, n_processes_for, run_files, split_houses
from gapcast.backtest.request import BacktestRequest
from gapcast.backtest.results.report import document
from gapcast.backtest.results.results import Backtest
from gapcast.config.settings import Settings
from gapcast.core.errors import ModelError, SettingsError
from gapcast.recordings.recording import Minute
from tests.backtest.test_backtest import COLUMNS, FIRST, house, settings


def results(backtest: Backtest) -> dict[str, Any]:
    found = document(backtest)
    del found["took_s"]
    return found


def in_processes(
    files: list[Path], jobs: int, configured: Settings | None = None, request: BacktestRequest | None = None
) -> Backtest:
    return run_files(configured or settings(), files, COLUMNS, FilePart(), request, jobs=jobs)


def test_processes_have_the_results_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "BATCH_READINGS", 48)
    monkeypatch.setattr(run_module, "BATCH_READINGS", 48)
    lengths = {"a": 70, "b": 150, "c": 40}
    files = [house(tmp_path / f"{name}.csv", n, FIRST + i) for i, (name, n) in enumerate(lengths.items())]
    alone, together = in_processes(files, 1), in_processes(files, 2)
    assert [one.name for one in together.houses] == ["a", "b", "c"]
    assert results(together) == results(alone)
    assert together.n_readings == 260


@pytest.mark.long
def test_processes_join_outlooks_and_demands(tmp_path: Path) -> None:
    files = [house(tmp_path / f"{name}.csv", 90) for name in "ba"]
    configured = settings(demand={"limit_kw": 1.0})
    demand = DemandRequest(configured.demand.site_options(configured.site.zone))
    request = BacktestRequest(outlook=OutlookRequest((5, 15)), demand=demand)
    alone = in_processes(files, 1, configured, request)
    together = in_processes(files, 2, configured, request)
    assert together.demands is not None
    assert [*together.demands.houses] == ["b", "a"]
    assert results(together) == results(alone)


@pytest.mark.long
def test_processes_join_houses_with_their_own_horizons(tmp_path: Path) -> None:
    files = [house(tmp_path / f"{name}.csv", 90) for name in "abc"]
    configured = settings(forecast={"model": "lstm", "experts": None, "devices": {"b": {"horizon_min": 15}}})
    alone, together = in_processes(files, 1, configured), in_processes(files, 3, configured)
    assert results(together) == results(alone)
    assert [*together.scored.members] == [*alone.scored.members]
    assert together.scored.members["outlook"] == together.houses[1].scored.members["outlook"]


def test_written_files_are_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "run_groups", None)
    files = [house(tmp_path / f"{name}.csv", 20) for name in "ab"]
    in_processes(files, 2, request=BacktestRequest(out=tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").is_file()


def test_error_of_a_process_is_raised(tmp_path: Path) -> None:
    files = [house(tmp_path / f"{name}.csv", 20) for name in "ab"]
    with pytest.raises(ModelError, match="none-such"):
        in_processes(files, 2, settings(forecast={"model": "none-such"}))


def end_without_result(_group: HouseGroup, _place: int) -> Backtest:
    os._exit(1)


def test_process_without_a_result_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_run_group", end_without_result)
    files = [house(tmp_path / f"{name}.csv", 20) for name in "ab"]
    with pytest.raises(SettingsError, match=r"--jobs 2: a process ended without a result .*: use --jobs 1"):
        in_processes(files, 2)


def blocks_interrupts(_group: HouseGroup, _place: int) -> Backtest:
    is_blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    raise RuntimeError("blocked" if is_blocked else "not blocked")


def test_ctrl_c_does_not_reach_a_process_that_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_run_group", blocks_interrupts)
    files = [house(tmp_path / f"{name}.csv", 20) for name in "ab"]
    with pytest.raises(RuntimeError, match=r"^blocked"):
        in_processes(files, 2)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_processes_share_their_progress_and_the_end() -> None:
    one, other = (SharedProgress(numbers) for numbers in [[0, 0, 0]] * 2)
    assert [one.add(0, 5), other.add(1, 7), one.add(0, 0)] == [5, 12, 12]
    one.stop()
    assert other.is_stopping
    assert other.add(1, 1) == 13
    assert not SharedProgress([0, 0]).is_stopping


def test_number_of_processes_follows_processors_and_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "n_usable_processors", lambda: 4)
    assert n_processes_for(None, [99_999, 99_999]) == 1
    assert n_processes_for(None, [100_000] * 9) == 4
    assert n_processes_for(None, [150_000, 150_000, 1]) == 3
    assert n_processes_for(3, [10, 10, 10, 10]) == 3


def test_houses_are_split_evenly_in_their_order() -> None:
    assert split_houses({"a": 4, "b": 9, "c": 1, "d": 3}, 2) == [["b"], ["a", "c", "d"]]
    assert split_houses({"a": 1, "b": 2}, 3) == [["b"], ["a"], []]


def test_some_houses_are_in_batches_of_the_same_minutes() -> None:
    lengths = {"a": 5, "b": 2, "c": 9, "d": 4}

    def minutes(name: str) -> Any:
        return iter([Minute(FIRST + i, float(i)) for i in range(lengths[name])])

    every = list(side_by_side({name: minutes(name) for name in lengths}, 8))
    shares = shares_of(lengths.values(), 8)
    some = list(side_by_side({name: minutes(name) for name in ("a", "d")}, 8, shares=shares))
    expected = [[one for one in batch if one.device in {"a", "d"}] for batch in every]
    assert some == [batch for batch in expected if batch]
