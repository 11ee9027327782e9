"""The store of a gateway's state, which also stores the gateway's id if that failed at the start."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog

from gapcast.config.files.state_dir import has_gateway_id, store_gateway_id
from gapcast.config.settings import Settings
from gapcast.storage.generations import files_of
from gapcast.storage.store import Store

log = structlog.get_logger(__name__)


def store_of(settings: Settings, gateway: str, state: Path, folder: Path) -> Store | None:
    """Return the store of readings in ``folder``, of the gateway with the id ``gateway``; None without persistence.

    Each checkpoint also tries to store the id under ``state``, unless it is configured or stored. A failure was logged
    at the start, and does not concern the readings.
    """
    if not settings.state.keep:
        return None
    if settings.shards is not None:
        _warn_of_unused_state(state, folder)
    store = Store(folder, holds_shard_lock=settings.shards is not None)
    if not settings.gateway.id:
        store.on_checkpoint = partial(_try_to_store_id, gateway, state)
        if not has_gateway_id(state):
            store.invalidate()
    return store


def _warn_of_unused_state(state: Path, folder: Path) -> None:
    """Log that the new shard of ``folder`` does not use the state of the gateway that ran without shards."""
    before = state / "stream"
    if _has_state(before) and not _has_state(folder):
        fix = f"to continue with it in this shard, stop gapcast, remove {folder}, and move {before} to {folder.parent}"
        log.warning("shard.state_not_used", path=str(before), fix=fix)


def _has_state(folder: Path) -> bool:
    with suppress(OSError):
        return bool(files_of(folder))
    return False


def _try_to_store_id(gateway: str, state: Path) -> None:
    with suppress(OSError):
        store_gateway_id(gateway, state)
