"""Thread-safe read access to the newest outlooks."""

from __future__ import annotations

from gapcast.core.engine import Engine
from gapcast.core.learning.scores.summary import Period
from gapcast.core.models.predictor import Predictor
from gapcast.core.outlook.outlook import Outlook
from gapcast.core.outlook.scores.scores import OutlookScores
from gapcast.service.queries.name_page import name_page
from gapcast.service.queries.unknown_device import unknown_device
from gapcast.service.running_engine import RunningEngine

#: Why no device of this gateway has an outlook.
NO_OUTLOOKS = (
    "this gateway computes no outlooks: outlook.enabled is false, outlook.max_devices is 0, or the model that "
    "outlook.model names is not installed"
)


class OutlookQueries:
    """Reads the outlooks of the running engine, from any thread; the stream waits for one device at a time."""

    def __init__(self, running: RunningEngine) -> None:
        self._running = running

    def for_device(self, device: str) -> Outlook | None:
        """Return the newest outlook of ``device``; None if there is none, see :meth:`explain_absence`."""
        with self._running.lock:
            return self._running.engine.outlook_of(device)

    def model_of(self, device: str) -> Predictor | None:
        """Return the outlook model if ``device`` has outlooks, or will have them with its second reading."""
        with self._running.lock:
            engine = self._running.engine
            is_tracked = device in engine.buffers and engine.buffers.row(device) < _n_devices(engine)
            return engine.outlooks.model if is_tracked and engine.outlooks is not None else None

    def page(self, limit: int, after: str = "") -> tuple[list[Outlook], int, str | None]:
        """Return the newest outlooks of ``limit`` devices by name, and the last name if more follow.

        Starts with the first name after ``after``. The number is that of all devices that have an outlook.
        """
        with self._running.lock:
            engine = self._running.engine
            names = engine.buffers.names()[: _n_devices(engine)]
            devices = [name for row, name in enumerate(names) if name and _has_outlook(engine, row, name)]
        page, next_ = name_page(devices, limit, after)
        found = map(self.for_device, page)
        return [outlook for outlook in found if outlook is not None], len(devices), next_

    def live_scores(self) -> dict[Period, OutlookScores]:
        """Return the live scores over all devices by period; empty without outlooks."""
        with self._running.lock:
            return self._running.engine.horizons.overall_outlook_scores()

    def explain_absence(self, device: str) -> str:
        """Return why ``device`` has no outlook, in a sentence that names the key to change, if there is one."""
        with self._running.lock:
            engine = self._running.engine
            n_devices, is_known = _n_devices(engine), device in engine.buffers
            is_tracked = is_known and engine.buffers.row(device) < n_devices
        if not n_devices:
            return NO_OUTLOOKS
        if not is_known:
            return unknown_device(device)
        if not is_tracked:
            return (
                f"device {device!r} has no outlook: only the first {n_devices} devices have one (outlook.max_devices)"
            )
        return f"device {device!r} has no outlook yet: it is computed with the next forecast"


def _n_devices(engine: Engine) -> int:
    """Return how many devices have outlooks."""
    return 0 if engine.outlooks is None else engine.outlooks.options.max_devices


def _has_outlook(engine: Engine, row: int, device: str) -> bool:
    outlooks = engine.forecaster_of(device).outlooks
    return outlooks is not None and outlooks.has_newest(row)
