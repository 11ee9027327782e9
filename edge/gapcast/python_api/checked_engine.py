"""gapcast as a library: the engine for many houses, which checks each reading before it accepts any."""

from __future__ import annotations

from collections.abc import Sequence

from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.minute_runs import MinuteRun
from gapcast.python_api.arguments import check_reading


class CheckedEngine(Engine):
    """An engine for readings that a program makes itself; those of the gateway are checked when they are decoded.

    ``limits`` are by default those of the ``ensemble``, and without one -100 to 100 kW.

    >>> from gapcast.predictors.baselines import Trend
    >>> CheckedEngine(Trend()).accept([Reading("north", 29_000_000, 310.0)])
    Traceback (most recent call last):
    ValueError: readings[0] of 'north': 310 kW is outside -100 to 100 kW; convert watts to kW
    """

    default_limits = Limits()

    def accept(self, readings: Sequence[Reading]) -> AcceptedBatch:
        """Accept ``readings`` as :meth:`Engine.accept <gapcast.core.engine.Engine.accept>` does.

        Raises :class:`ValueError`, before any reading is accepted, if a power is not a number or out of range, a minute
        is not between 2000 and 2099, or another measured value is not a number.
        """
        for at, reading in enumerate(readings):
            try:
                check_reading(reading, self.limits)
            except ValueError as error:
                msg = f"readings[{at}] of {reading.device!r}: {error}"
                raise ValueError(msg) from error
        return super().accept(readings)

    def accept_runs(self, runs: Sequence[MinuteRun]) -> AcceptedBatch:
        """Accept many minutes of each device, checked as by :meth:`accept`."""
        return self.accept([reading for run in runs for reading in run.readings()])
