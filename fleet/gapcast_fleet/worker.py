"""One Python worker of Spark: its models, loaded once, and the engines of the buckets that it has seen last."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gapcast.app.models import Models, engine_of, load_models
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.snapshot import capture_snapshot, restore_snapshot
from gapcast.storage import checkpoint
from gapcast_fleet.identity import check_same, identity_of, read_identity


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """What each worker is told: ``settings`` as JSON, the driver's ``identity``, and how much it takes at a time.

    ``query`` names the checkpoint. ``most_per_device`` readings of one device are taken from a micro-batch; engines
    for ``cached_devices`` devices are kept between two.
    """

    query: str
    settings: str
    identity: str
    most_per_device: int
    cached_devices: int


@lru_cache(maxsize=4)
def settings_of(text: str) -> Settings:
    """Return the settings that the driver wrote."""
    return Settings.model_validate_json(text)


@lru_cache(maxsize=4)
def models_of(settings_text: str, identity: str) -> Models:
    """Return this worker's models, loaded when they are first asked for.

    Raises :class:`~gapcast.core.errors.ModelError` where they are not those of ``identity``, the driver's.
    """
    settings = settings_of(settings_text)
    models = load_models(settings)
    check_same(identity_of(settings, models), read_identity(identity))
    return models


def new_engine(task: WorkerTask) -> Engine:
    """Return an engine that knows no device yet."""
    return engine_of(settings_of(task.settings), models_of(task.settings, task.identity))


def place_of(task: WorkerTask, bucket: int) -> Path:
    """Return by what name a bucket's state is told of."""
    return Path(task.query) / f"bucket {bucket}"


def encode(engine: Engine) -> bytes:
    """Return the state of ``engine`` in the form of a gateway's checkpoint."""
    return checkpoint.encode(capture_snapshot(engine))


def decode(task: WorkerTask, bucket: int, content: bytes) -> Engine:
    """Return an engine that goes on from ``content``; raise :class:`StateError` where that cannot be."""
    what = place_of(task, bucket)
    try:
        snapshot = checkpoint.decode(what, content)
    except checkpoint.DamagedError as error:
        msg = f"{what}: the state that Spark kept is damaged ({error}): begin a new checkpoint"
        raise StateError(msg) from error
    engine = new_engine(task)
    unused = restore_snapshot(engine, snapshot)
    if unused.learning or unused.devices:
        problem = unused.learning or f"values of {len(unused.devices)} devices are out of range"
        msg = f"{what}: what was learnt cannot be used ({problem}): begin a new checkpoint"
        raise StateError(msg)
    return engine


class EngineCache:
    """Engines as they stood after a micro-batch, each with the stamp that was written to the state store with it.

    One whose stamp is not the store's any more is of no use: its bucket went on elsewhere, or its batch failed.
    """

    def __init__(self) -> None:
        self._engines: OrderedDict[tuple[str, int], tuple[str, Engine]] = OrderedDict()

    def take(self, query: str, bucket: int, stamp: str) -> Engine | None:
        """Return the engine of that bucket and stamp, and keep it no longer; None where there is none."""
        its_stamp, engine = self._engines.pop((query, bucket), ("", None))
        return engine if its_stamp == stamp else None

    def put(self, query: str, bucket: int, stamp: str, engine: Engine, most_devices: int) -> None:
        """Keep ``engine``; forget those not used for longest while there are more than ``most_devices`` devices."""
        self._engines[query, bucket] = stamp, engine
        n_devices = sum(len(engine.buffers) for _, engine in self._engines.values())
        while n_devices > most_devices and self._engines:
            _, (_, oldest) = self._engines.popitem(last=False)
            n_devices -= len(oldest.buffers)


#: This process's.
CACHE = EngineCache()
