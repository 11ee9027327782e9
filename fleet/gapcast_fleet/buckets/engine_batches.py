"""Batches of a bucket's engine, and their replay from a journal after restoring a snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.storage.journals import journal


class EngineBatch(NamedTuple):
    """Readings that the engine processed in one call, and when their forecasts were issued."""

    readings: Sequence[Reading]
    issued_at_ms: int

    def line(self) -> bytes:
        """Return the batch as a line of a gateway's journal."""
        return journal.encode(journal.PersistedBatch(self.issued_at_ms, self.readings))


def process_batch(engine: Engine, batch: EngineBatch) -> tuple[AcceptedBatch, Forecasts]:
    """Run a batch with ``engine``: accept its readings, forecast, and learn."""
    accepted = engine.accept(batch.readings)
    accepted.raise_failure()
    forecasts = engine.forecast(accepted, batch.issued_at_ms)
    engine.learn()
    return accepted, forecasts


def replay_batches(engine: Engine, lines: Iterable[bytes], what: Path) -> None:
    """Replay the batches of a journal, in the same calls, so that the engine's state is restored bit for bit.

    Raises :class:`StateError`, which names ``what``, if a line is damaged.
    """
    for line in lines:
        entry = journal.decode(line)
        if not isinstance(entry, journal.PersistedBatch):
            msg = f"{what}: the journal in Spark's state store is damaged: use a new checkpoint"
            raise StateError(msg)
        process_batch(engine, EngineBatch(entry.readings, entry.issued_at_ms))
