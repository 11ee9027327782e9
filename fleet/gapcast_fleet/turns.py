"""Turns of a bucket's engine, and the same turns again: from a snapshot on, by the journal of what came after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from gapcast.core.engine import Accepted, Engine
from gapcast.core.errors import StateError
from gapcast.core.forecast import Forecasts
from gapcast.core.reading import Reading
from gapcast.storage import journal


class Turn(NamedTuple):
    """Readings that the engine took in one call, and when their forecasts were issued."""

    readings: Sequence[Reading]
    issued_at_ms: int

    def line(self) -> bytes:
        """Return it as a line of a gateway's journal."""
        return journal.encode(self.readings, self.issued_at_ms)


def run_turn(engine: Engine, turn: Turn) -> tuple[Accepted, Forecasts]:
    """Take a turn with ``engine``: its readings in, their forecasts out, and what is to be learnt of them."""
    accepted = engine.accept(turn.readings)
    accepted.raise_failure()
    forecasts = engine.forecast(accepted, turn.issued_at_ms)
    engine.learn()
    return accepted, forecasts


def replay_turns(engine: Engine, lines: Iterable[bytes], what: Path) -> None:
    """Take the turns of a journal again, in the same calls, so that the engine stands where it stood, bit for bit.

    Raises :class:`StateError`, which names ``what``, where a line is damaged.
    """
    for line in lines:
        entry = journal.decode(line)
        if not isinstance(entry, journal.Entry):
            msg = f"{what}: the journal that Spark kept is damaged: begin a new checkpoint"
            raise StateError(msg)
        run_turn(engine, Turn(entry.readings, entry.issued_at_ms))
