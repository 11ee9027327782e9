"""A Python worker of Spark: its models, loaded once, and a cache of engines of recent buckets."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.loaded_models import Models
from gapcast.app.models.models import load_models
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.storage.checkpoints import checkpoint
from gapcast_fleet.engine.identity import check_same, identity_of, read_identity


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """The task of each worker: ``settings`` as JSON, the driver's ``identity``, and limits.

    ``query`` names the checkpoint. At most ``most_per_device`` readings of one device are processed per micro-batch;
    engines of ``cached_devices`` devices are cached between micro-batches.
    """

    query: str
    settings: str
    identity: str
    most_per_device: int
    cached_devices: int


@lru_cache(maxsize=4)
def settings_of(text: str) -> Settings:
    """Return the settings from the driver."""
    return Settings.model_validate_json(text)


@lru_cache(maxsize=4)
def models_of(settings_text: str, identity: str) -> Models:
    """Return this worker's models, loaded on first use.

    Raises :class:`~gapcast.core.errors.ModelError` if they differ from ``identity``, the driver's.
    """
    settings = settings_of(settings_text)
    models = load_models(settings)
    check_same(identity_of(settings, models), read_identity(identity))
    return models


def new_engine(task: WorkerTask) -> Engine:
    """Return a new engine without devices."""
    return engine_of(settings_of(task.settings), models_of(task.settings, task.identity))


def state_label(task: WorkerTask, bucket: int) -> Path:
    """Return the label of a bucket's state in messages."""
    return Path(task.query) / f"bucket {bucket}"


def encode(engine: Engine) -> bytes:
    """Return the state of ``engine`` in the format of a gateway's checkpoint."""
    return checkpoint.encode(capture_snapshot(engine))


def decode(task: WorkerTask, bucket: int, content: bytes) -> Engine:
    """Return an engine restored from ``content``; raise :class:`StateError` if that fails."""
    what = state_label(task, bucket)
    try:
        snapshot = checkpoint.decode(what, content)
    except checkpoint.DamagedError as error:
        msg = f"{what}: the state in Spark's state store is damaged ({error}): use a new checkpoint"
        raise StateError(msg) from error
    engine = new_engine(task)
    unused = restore_snapshot(engine, snapshot)
    if unused.learning or unused.devices:
        problem = unused.learning or f"values of {len(unused.devices)} devices are out of range"
        msg = f"{what}: the learning state cannot be used ({problem}): use a new checkpoint"
        raise StateError(msg)
    return engine


class EngineCache:
    """Engines after their last micro-batch, each with the stamp that was written to the state store.

    An engine whose stamp differs from the store's is outdated: its bucket was processed elsewhere, or its batch failed.
    """

    def __init__(self) -> None:
        self._engines: OrderedDict[tuple[str, int], tuple[str, Engine]] = OrderedDict()

    def pop(self, query: str, bucket: int, stamp: str) -> Engine | None:
        """Remove and return the engine of the bucket with this stamp; None if there is none."""
        its_stamp, engine = self._engines.pop((query, bucket), ("", None))
        return engine if its_stamp == stamp else None

    def put(self, query: str, bucket: int, stamp: str, engine: Engine, most_devices: int) -> None:
        """Store ``engine``; evict the least recently used ones while there are more than ``most_devices`` devices."""
        self._engines[query, bucket] = stamp, engine
        n_devices = sum(len(engine.buffers) for _, engine in self._engines.values())
        while n_devices > most_devices and self._engines:
            _, (_, oldest) = self._engines.popitem(last=False)
            n_devices -= len(oldest.buffers)


#: The cache of this process.
CACHE = EngineCache()
