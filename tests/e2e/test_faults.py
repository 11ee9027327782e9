"""The short form of ``scripts/faults``: each fault a few times, on a real mosquitto.

Reconnecting within five seconds and a takeover within ten are promised on a machine that is not busy with all tests,
and are checked by ``scripts/faults``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults import floods, trials, workers
from bench.faults.learning import LearningStream
from bench.faults.samples import SampledStream
from bench.faults.stage import WAIT_S

pytestmark = pytest.mark.mosquitto
#: Messages a second. A started gateway finds thousands, so that some are in flight at each kill; a faster stream would
#: take CPU time from the gateway, and therefore last longer.
PER_S = 2_000


def test_kill_at_any_moment_loses_no_forecast(tmp_path: Path) -> None:
    trials.kills(tmp_path, n_kills=4, n_devices=100, per_s=PER_S)


def test_kill_during_samples_keeps_every_minute_mean(tmp_path: Path) -> None:
    trials.kills(tmp_path, n_kills=4, n_devices=100, per_s=PER_S, kind=SampledStream)


def test_kill_while_learning_learns_every_reading_once(tmp_path: Path) -> None:
    trials.kills(tmp_path, n_kills=3, n_devices=50, per_s=PER_S, kind=LearningStream)


def test_killed_workers_shards_are_taken_over(tmp_path: Path) -> None:
    row = workers.take_overs(tmp_path, n_kills=2, n_devices=60, per_s=500, within_s=WAIT_S)
    assert row["with median and interval"] == row["readings"] - 60, "each forecast but of a meter's first reading"


def test_broker_restart_reconnects(tmp_path: Path) -> None:
    trials.restarts(tmp_path, n_restarts=2, n_devices=100, per_s=1_000, within_s=WAIT_S)


def test_frozen_broker_is_waited_for(tmp_path: Path) -> None:
    trials.freezes(tmp_path, seconds=6, n_devices=50, per_s=500, within_s=WAIT_S)


def test_silent_connection_is_replaced(tmp_path: Path) -> None:
    trials.silences(tmp_path, seconds=1, within_s=WAIT_S)


def test_devices_over_the_limit_are_rejected_and_counted(tmp_path: Path) -> None:
    floods.crowd(tmp_path, n_devices=4_000, n_at_most=1_000)


def test_backlog_is_processed_in_little_memory(tmp_path: Path) -> None:
    row = floods.backlog(tmp_path, n_messages=30_000, n_devices=50)
    more_mb = row["memory more at most, MB"]
    assert isinstance(more_mb, float)
    assert more_mb < 20


def test_long_stream_leaks_nothing(tmp_path: Path) -> None:
    floods.long_stream(tmp_path, n_hours=15, n_devices=200)
