"""Refits the archived devices of a running service at night, in a thread that waits for one child process at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from pathlib import Path
from threading import Event, Lock, Thread

import structlog

from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError, StateError
from gapcast.core.learning.forests.forest import Forest
from gapcast.core.readings.reading import Reading
from gapcast.refit.forest_file import RefitResult, decode_result, encode_result
from gapcast.refit.minute_archive import MinuteArchive
from gapcast.refit.schedule import LastRefit, NightWatch, is_due, night_minute, night_of
from gapcast.refit.worker import FitOptions, FormerForest, refit_confined
from gapcast.service.containment import record_internal_error
from gapcast.service.ports.minute_recorder import RefitStatus
from gapcast.service.service import Service

#: The folder of the archive, inside the state folder.
REFIT_FOLDER = "refit"
log = structlog.get_logger(__name__)

_UNUSABLE_FIX = (
    "none needed: new trees are fitted two minutes after the start, or once two days of minutes are archived"
)

#: How often the thread checks the clock, and how often it writes the archive.
_CHECK_S, _FLUSH_S = 1.0, 3_600.0
#: Time from the start of the service to the first check for refits that an earlier night missed.
START_DELAY_S = 120.0


@dataclass(frozen=True, slots=True)
class NightOptions:
    """Refit each device every ``every_days``, at a minute of the night in ``zone`` that follows from ``gateway``."""

    every_days: int = 1
    zone: tzinfo = UTC
    gateway: str = ""


class NightlyRefits:
    """The refits of a running service. Implements :class:`gapcast.service.ports.minute_recorder.MinuteRecorder`."""

    def __init__(
        self,
        folder: Path,
        max_devices: int,
        options: NightOptions | None = None,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        """Archive minutes and forests of at most ``max_devices`` in ``folder``.

        ``clock_s`` returns the time, seconds since the epoch.
        """
        self.archive = MinuteArchive(folder, max_devices)
        options = options or NightOptions()
        self._options = options
        self._clock_s = clock_s
        self._begins_min = night_minute(options.gateway)
        self._results: dict[str, RefitResult] = {}  # results of the forests in use
        self._last: dict[str, LastRefit] = {}
        self._refitting = ""  # the device whose refit is in progress, empty if it was forgotten since
        #: Held to forget a device, begin its refit, store and use trees; taken before the engine's.
        self._lock = Lock()
        self._status = RefitStatus()
        self._watch = NightWatch(options.zone, self._begins_min)
        self._stopping = Event()
        self._thread: Thread | None = None

    # --- the stream's thread; `forget` and `status`: any thread --------------------------------------

    def record(self, readings: Sequence[Reading]) -> None:
        """Collect ``readings`` that entered a window."""
        self.archive.record(readings)

    def forget(self, device: str) -> None:
        """Remove the stored data of ``device``; the caller does not hold the engine's lock."""
        with self._lock:
            if device == self._refitting:
                self._refitting = ""
            self._last.pop(device, None)
            if self._results.pop(device, None) is not None:
                self._status = self._summary(self._status)
            self.archive.forget(device)

    @property
    def status(self) -> RefitStatus:
        """When devices were last refitted, how long it took, and the skill on their newest days."""
        return self._status

    def restore(self, engine: Engine) -> None:
        """Use the stored forests; call this before ``engine`` restores its state, which replays readings with them."""
        self.archive.open()
        for device, content in self.archive.stored_forests().items():
            try:
                result = decode_result(content)
                forests = engine.forecaster_of(device).forests
                if result.forest is None or result.horizon_min != forests.horizon_min:
                    continue
                forests.use(device, result.forest)
            except StateError as error:
                log.warning("refit.forest_unusable", device=device, problem=str(error), fix=_UNUSABLE_FIX)
                continue
            self._results[device] = result
            self._last[device] = LastRefit(self._night(result.ran_at_min * 60), result.n_readings)
        self._status = self._summary(RefitStatus())

    # --- a thread of its own ----------------------------------------------------------------------

    def start(self, service: Service) -> None:
        """Start the thread, which refits the devices of ``service``."""
        self._thread = Thread(target=self._run, args=(service, self._clock_s()), name="refit")
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and a refit in progress, and write the archive."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self.archive.flush()

    def _run(self, service: Service, started_s: float) -> None:
        flushed_s = started_s
        while not self._stopping.wait(_CHECK_S):
            try:
                now_s = self._clock_s()
                if not 0 <= now_s - flushed_s < _FLUSH_S:
                    self.archive.flush()
                    flushed_s = now_s
                if now_s - started_s >= START_DELAY_S and self._watch.begun(int(now_s // 60)):
                    self.refit_due(service)
            except Exception as error:  # a refit may raise any error: the thread must survive for the next night
                record_internal_error(service.statistics, "refit", error)

    def refit_due(self, service: Service) -> None:
        """Refit the devices that are due, one after another."""
        night, began_s = self._night(self._clock_s()), time.monotonic()
        n_used = n_refused = 0
        for device in self.archive.devices:
            with self._lock:
                n_readings = self.archive.n_readings(device)  # 0 if the device was forgotten
                last = self._last.get(device)
                if self._stopping.is_set() or not is_due(night, n_readings, last, self._options.every_days):
                    continue
                self._refitting, self._last[device] = device, LastRefit(night, n_readings)
            is_used = self._refit(service, device, n_readings)
            n_used += is_used is True
            n_refused += is_used is False
        if n_used or n_refused:
            took_s = time.monotonic() - began_s
            with self._lock:
                before = self._status
                self._status = self._summary(
                    replace(
                        before,
                        last_ran_s=self._clock_s(),
                        took_s=took_s,
                        n_used=before.n_used + n_used,
                        n_refused=before.n_refused + n_refused,
                    )
                )

    def _refit(self, service: Service, device: str, n_readings: int) -> bool | None:
        """Refit ``device``; return whether its new trees are in use.

        Returns None, and logs nothing, if the service stops or the device is forgotten before there is a result.
        """
        options = service.queries.read(lambda engine, _: FitOptions.for_device(engine, device, self._options.zone))
        former = self._results.get(device)
        try:
            result = refit_confined(
                self.archive.load(device),
                options,
                FormerForest(former.forest, former.fitted_at_min) if former and former.forest else None,
                self._stopping.is_set,
            )
        except ModelError as error:
            if self._is_abandoned(device):
                return None
            log.warning("refit.failed", device=device, problem=str(error))
            return False
        result = replace(result, n_readings=n_readings, ran_at_min=int(self._clock_s() // 60))
        skills = {} if result.skills is None else {
            "mse_skill": round(result.skills.mse_skill, 4), "mae_skill": round(result.skills.mae_skill, 4),
        }  # fmt: skip
        figures = {"windows": result.n_windows, "took_s": round(result.took_s, 1), "peak_mb": round(result.peak_mb)}
        if result.forest is None:
            if self._is_abandoned(device):
                return None
            log.info("refit.not_used", device=device, problem=result.problem, **figures, **skills)
            return False
        try:
            is_used = self._use_forest(service, device, result, result.forest)
        except (OSError, StateError) as error:
            log.warning("refit.failed", device=device, problem=str(error))
            return False
        if is_used:
            log.info("refit.used", device=device, **figures, **skills)
        return is_used or None

    def _use_forest(self, service: Service, device: str, result: RefitResult, forest: Forest) -> bool:
        """Store ``result``, and use its ``forest``; return False if ``device`` was forgotten since the refit began.

        Raises OSError or :class:`StateError` if that fails.
        """
        content = encode_result(result)
        with self._lock:  # a device forgotten from here on is forgotten with its new trees
            if (
                device != self._refitting
                or not self.archive.store_forest(device, content)
                or not service.use_forest(device, forest)
            ):
                self._last.pop(device, None)
                return False
            self._results[device] = result
            return True

    def _is_abandoned(self, device: str) -> bool:
        """Return whether the service stops, or ``device`` was forgotten since its refit began."""
        with self._lock:
            return self._stopping.is_set() or device != self._refitting

    def _night(self, at_s: float) -> int:
        return night_of(int(at_s // 60), self._options.zone, self._begins_min)

    def _summary(self, status: RefitStatus) -> RefitStatus:
        """Return ``status`` with the number of forests in use and their mean skill on the newest days."""
        skills = [result.skills for result in list(self._results.values()) if result.skills is not None]
        n = len(skills)
        return replace(
            status,
            n_forests=n,
            mse_skill=sum(one.mse_skill for one in skills) / n if n else None,
            mae_skill=sum(one.mae_skill for one in skills) / n if n else None,
        )
