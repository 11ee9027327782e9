"""Another engine in place of the one that runs: offered by any thread, taken by the stream's between two batches."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import NamedTuple

from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.predictor import Predictor
from gapcast.core.state_transfer import transfer_state


class EngineOffer(NamedTuple):
    """A new engine and all loaded models; ``taken`` is told how long the stream stood still for it, s."""

    engine: Engine
    models: Mapping[str, Predictor]
    taken: Future[float]


class EngineSwap:
    """Holds the newest offer until the stream takes it."""

    def __init__(self) -> None:
        self._offer: EngineOffer | None = None

    @property
    def is_due(self) -> bool:
        """Whether there is an offer."""
        return self._offer is not None

    def offer(self, engine: Engine, models: Mapping[str, Predictor]) -> Future[float]:
        """Let ``engine``, which must be new, go on where the one that runs stands, with ``models`` to be asked for.

        The future tells of the pause, s, once they are in place, or has the :class:`StateError` for which they
        cannot be.
        """
        taken: Future[float] = Future()
        self._offer = EngineOffer(engine, models, taken)
        return taken

    def accept(self, before: Engine) -> tuple[EngineOffer, float] | None:
        """Put the offered engine where ``before`` stands; return the offer and the pause, s; None where it cannot be.

        Whoever asks holds the lock of the engine's state, and tells :attr:`Offer.taken` when all is in place.
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
        except BaseException as error:  # whoever offered it waits
            offer.taken.set_exception(error)
            raise
        return offer, time.perf_counter() - began_s
