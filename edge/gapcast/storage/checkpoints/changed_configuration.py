"""Logs which state of a restored checkpoint does not fit the changed configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import structlog

from gapcast.core.demand.state.discarded_state import discarded_state
from gapcast.core.engine import Engine
from gapcast.core.snapshots.discarded_learning import discarded_learning
from gapcast.core.snapshots.snapshot import Snapshot

log = structlog.get_logger(__name__)

#: Maximum number of devices named in a message.
_MAX_NAMED = 5


def log_changed_configuration(
    path: Path, engine: Engine, snapshot: Snapshot, horizons: Mapping[str, tuple[int, int]]
) -> None:
    """Log which state of ``snapshot``, the checkpoint at ``path`` that ``engine`` was restored from, is not used.

    A changed time zone is logged too: what was learned by the local time of day is of other hours.
    ``horizons``: the old and the new horizon of each device whose horizon has changed.
    """
    if horizons:
        changes = [f"{device}: {old_min} to {own_min} min" for device, (old_min, own_min) in horizons.items()]
        log.warning("state.horizon_changed", path=str(path), n_devices=len(changes), devices=changes[:_MAX_NAMED])
    # "Etc/UTC", Debian's name, is the default "UTC".
    previous, current = (zone.removeprefix("Etc/") for zone in (snapshot.time_zone, str(engine.zone)))
    if snapshot.devices and previous not in {"", current}:
        log.warning(
            "state.timezone_changed",
            path=str(path),
            previous=snapshot.time_zone,
            current=str(engine.zone),
            fix="none needed if the current zone is right: usual power and trees are learned again by its hours",
        )
    if not_used := discarded_learning(engine, snapshot):
        log.warning(
            "state.learning_discarded",
            path=str(path),
            n_devices=len(not_used),
            devices=[f"{device}: {reason}" for device, reason in not_used.items()][:_MAX_NAMED],
            fix=(
                "if this was not intended, copy the folder of this checkpoint now, before a stop removes it "
                "(docs/learning.md, Switch parts off)"
            ),
        )
    forecaster = engine.demands.forecaster
    windows = None if forecaster is None else forecaster.windows
    if discarded := discarded_state(windows, snapshot.devices, snapshot.demand):
        log.warning(
            "state.demand_not_used",
            path=str(path),
            n_devices=len(discarded),
            devices=[f"{device}: {reason}" for device, reason in discarded.items()][:_MAX_NAMED],
            fix=(
                "send the month's peak again (docs/demand.md); a device that has no demand now needs its limit in "
                "[demand] first, and then any limit that was set while running, too"
            ),
        )
