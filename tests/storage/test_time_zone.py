"""A start with another time zone than that of the persisted state is logged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from structlog.testing import capture_logs

from gapcast.core.engine import Engine
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.predictors.baselines import Trend
from gapcast.storage.generations import write_checkpoint
from gapcast.storage.store import Store
from tests.support.houses import stream

PARIS = ZoneInfo("Europe/Paris")


def changes_of_restart(folder: Path, zone: tzinfo) -> list[tuple[str, str]]:
    """Return the previous and the current zone of each warning of a start in ``zone``."""
    store = Store(folder)
    engine = Engine(Trend(), zone=zone)
    with capture_logs() as logs:
        store.restore(engine)
    store.append_batch(stream([1.0]), 7)
    store.close(capture_snapshot(engine))
    return [(one["previous"], one["current"]) for one in logs if one["event"] == "state.timezone_changed"]


@pytest.mark.parametrize("n_readings", [3, 0])
def test_changed_time_zone_is_logged_once_if_there_is_state(tmp_path: Path, n_readings: int) -> None:
    engine = Engine(Trend(), zone=PARIS)
    engine.accept(stream([1.0] * n_readings))
    write_checkpoint(tmp_path, 1, capture_snapshot(engine), 0)
    assert changes_of_restart(tmp_path, PARIS) == []
    assert changes_of_restart(tmp_path, UTC) == [("Europe/Paris", "UTC")] * bool(n_readings)
    assert changes_of_restart(tmp_path, UTC) == []


def test_unknown_time_zone_of_an_older_checkpoint_is_not_logged(tmp_path: Path) -> None:
    engine = Engine(Trend(), zone=PARIS)
    engine.accept(stream([1.0]))
    write_checkpoint(tmp_path, 1, replace(capture_snapshot(engine), time_zone=""), 0)
    assert changes_of_restart(tmp_path, UTC) == []
