"""The engine in use, its models, the lock on its state, and its replacement.

Any thread may offer another engine; the stream's thread accepts it between two batches.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.models.predictor import Predictor
from gapcast.core.snapshots.state_transfer import transfer_state
from gapcast.service.ports.minute_recorder import MinuteRecorder, NoMinuteRecorder


@dataclass(slots=True)
class RunningEngine:
    """The state that the stream's thread shares with the threads of REST.

    The stream's thread changes the engine's state while it holds ``lock``; other threads hold it to read more than one
    value, and to forget a device. ``engine`` and ``models`` are replaced together, by the stream's thread.
    """

    engine: Engine
    models: Mapping[str, Predictor]
    lock: Lock = field(default_factory=Lock)
    #: Records readings for the nightly refit.
    recorder: MinuteRecorder = field(default_factory=NoMinuteRecorder)


class EngineOffer(NamedTuple):
    """A new engine and all loaded models; ``taken`` resolves to the pause of the stream, s."""

    engine: Engine
    models: Mapping[str, Predictor]
    taken: Future[float]


class EngineSwap:
    """Holds the newest offer until the stream accepts it."""

    def __init__(self) -> None:
        self._offer: EngineOffer | None = None

    @property
    def is_due(self) -> bool:
        """Whether there is an offer."""
        return self._offer is not None

    def offer(self, engine: Engine, models: Mapping[str, Predictor]) -> Future[float]:
        """Offer ``engine``, which must be new, to continue from the running engine's state, with ``models``.

        The future resolves to the pause, s, once they are in use, or to the :class:`StateError` that prevents it.
        """
        taken: Future[float] = Future()
        self._offer = EngineOffer(engine, models, taken)
        return taken

    def accept(self, before: Engine) -> tuple[EngineOffer, float] | None:
        """Transfer the state of ``before`` to the offered engine; return the offer and the pause, s; None on failure.

        The caller holds the lock of the engine's state and resolves :attr:`EngineOffer.taken` once everything is in
        use.
        """
        offer, self._offer = self._offer, None
        if offer is None:
            return None
        began_s = time.perf_counter()
        try:
            transfer_state(before, offer.engine)
        except StateError as error:
            offer.taken.set_exception(error)
            return None
        except BaseException as error:  # the offering thread waits for the future
            offer.taken.set_exception(error)
            raise
        return offer, time.perf_counter() - began_s
