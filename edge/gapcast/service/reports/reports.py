"""Reports of devices: calls the publishers of availability and scores, and logs doubtful limits."""

from __future__ import annotations

import time
from collections.abc import Iterable

import structlog

from gapcast.core.billing.export_warning import EXPORT_FIX
from gapcast.core.billing.registers import Register
from gapcast.core.demand.demand import Demands
from gapcast.core.demand.device_demands import DeviceDemands
from gapcast.core.documents.message_format import listed
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.stream_windows import RestartedStream, SetBackStream
from gapcast.core.time_grid import minute_label
from gapcast.service.containment import Containment, Step
from gapcast.service.ports.broker_link import Link
from gapcast.service.reports.availability import AvailabilityPublisher, ReportOptions
from gapcast.service.reports.event_feed import EventFeed
from gapcast.service.reports.interval_log import IntervalLog
from gapcast.service.reports.score_reports import ScoreReports
from gapcast.service.running_engine import RunningEngine

log = structlog.get_logger(__name__)

#: Maximum number of devices that a log line names, and minimum time between two lines on exports: the log's rate limit.
_MAX_NAMED, _LINE_EVERY_S = 5, 10.0
#: The fix of a register that is too low, and what it adds for the month's peak, which may be too high instead.
_REGISTER_FIX = "check demand.register_unit, the topic of the register, and demand.window_min"
_PEAK_FIX = ". If the register is right and measured_kw is not, correct the month's peak (PUT /demand/month_peak)"


def log_infeasible_limits(demands: DeviceDemands, devices: Iterable[str]) -> None:
    """Log which limits of ``devices`` are below what a device always draws, once per device and limit."""
    for device in devices:
        found = demands.new_infeasible_limit(device)
        if found is not None:
            limit_kw, lowest_kw = round(found.limit_kw, 3), round(found.lowest_kw, 3)
            log.warning("demand.limit_too_low", device=device, limit_kw=limit_kw, lowest_kw=lowest_kw, fix=found.fix)


def log_set_limits(demands: DeviceDemands) -> None:
    """Log which limits were set while running, and are used instead of different configured ones."""
    found = demands.overriding_limits()
    if found:
        limits = [
            f"{device}: {set_kw:.2f} kW, configured {configured}" for device, (set_kw, configured) in found.items()
        ]
        log.info(
            "demand.limit_set",
            n_devices=len(limits),
            devices=limits[:_MAX_NAMED],
            fix="to use the configured limit, send an empty message to gap/{device}/demand/limit, or PUT null",
        )


def log_low_registers(demands: DeviceDemands) -> None:
    """Log which registers of meters are not used because they are far below the measured power, each once."""
    for device, found in demands.take_low_registers():
        log.warning(
            "demand.register_too_low",
            device=device,
            register=found.register.value,
            register_kw=round(found.register_kw, 6),
            measured_kw=round(found.measured_kw, 3),
            fix=_REGISTER_FIX + (_PEAK_FIX if found.register is Register.MONTH_PEAK else ""),
            meanwhile="gapcast uses its own sums",
        )


def log_set_back_streams(streams: Iterable[RestartedStream]) -> None:
    """Log which of ``streams`` continue at an earlier minute: later readings, and peaks of the month, are discarded."""
    for device, from_minute, to_minute in (one for one in streams if isinstance(one, SetBackStream)):
        fix = (
            "after a replay of old readings, ignore this; otherwise check the meter's clock or, if the meter sends no "
            "time, this machine's (timedatectl). Minutes after to_minute are learned again"
        )
        log.warning(
            "device.set_back",
            device=device,
            from_minute=minute_label(from_minute),
            to_minute=minute_label(to_minute),
            fix=fix,
        )


class ExportLog:
    """Logs which devices with a limit export power, each once, unless only imported power counts.

    A line names all new devices since the last line. There is at most one line every ten seconds, the log's rate limit.
    """

    def __init__(self) -> None:
        self._new: dict[str, None] = {}  # as an ordered set
        self._due_s = 0.0

    def record(self, readings: Iterable[Reading], demands: Demands, of_devices: DeviceDemands) -> None:
        """Record which devices of ``demands``, made from the accepted ``readings``, export power."""
        exporting = {reading.device for reading in readings if reading.gap_kw < 0}
        if exporting:
            new = (one for one in demands.devices if one in exporting and of_devices.is_new_export(one))
            self._new.update(dict.fromkeys(new))

    def forget(self, device: str) -> None:
        """Discard ``device``."""
        self._new.pop(device, None)

    def write(self) -> None:
        """Log the new devices, if there are any and a line is due."""
        if not self._new or (now_s := time.monotonic()) < self._due_s:
            return
        self._due_s = now_s + _LINE_EVERY_S
        devices, self._new = list(self._new), {}
        log.warning(
            "demand.export_counts",
            n_devices=len(devices),
            devices=listed(devices, _MAX_NAMED),
            problem="exported power lowers the mean of the billing windows",
            fix=EXPORT_FIX,
        )


class Reports:
    """Publishes due reports after an iteration of the stream, and flushes the link."""

    def __init__(
        self, link: Link, feed: EventFeed, running: RunningEngine, options: ReportOptions, containment: Containment
    ) -> None:
        """Publish on ``link`` and ``feed``, by ``options``."""
        self.feed = feed
        self.availability = AvailabilityPublisher(link, feed, running, options.online_tracker)
        self.exports = ExportLog()
        self.intervals = IntervalLog(link)
        self.scores = ScoreReports(link, feed, running, options.report_every_s, options.clock_s)
        self._containment = containment
        self._steps: tuple[Step[int], ...] = (
            ("publish", lambda _: self.availability.publish_changes()),
            ("publish", self.scores.publish_changes),
            ("publish", lambda _: link.flush()),
            ("demand", lambda _: self.exports.write()),
        )

    def publish(self, n_readings: int) -> None:
        """Publish due reports after an iteration with ``n_readings``; 0: the stream is idle."""
        self._containment.run_steps(self._steps, n_readings)

    def forget(self, device: str, row: int) -> None:
        """Discard the state of ``device``, which had ``row``. The caller holds the engine's lock."""
        self.availability.forget(device, row)
        self.scores.forget(row)
        self.exports.forget(device)
        self.intervals.forget(device)
