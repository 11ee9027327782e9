"""The engine in use, its models, and the lock on its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from gapcast.core.engine import Engine
from gapcast.core.models.predictor import Predictor
from gapcast.service.ports.minute_recorder import MinuteRecorder, NoMinuteRecorder


@dataclass(slots=True)
class RunningEngine:
    """What the stream's thread and those of REST share.

    The stream's thread changes the engine's state while it holds ``lock``; other threads hold it to read more than one
    value, and to forget a device. ``engine`` and ``models`` are replaced together, by the stream's thread.
    """

    engine: Engine
    models: Mapping[str, Predictor]
    lock: Lock = field(default_factory=Lock)
    #: Records readings for the nightly refit.
    recorder: MinuteRecorder = field(default_factory=NoMinuteRecorder)
