"""The past readings of one device, from one or several files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.documents.message_format import counted
from gapcast.core.errors import SourceError
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.time_grid import minute_label, minute_of
from gapcast.recordings.recording import Recording, read_recording
from gapcast.recordings.text.layout import FileFormat

#: Readings at longer intervals do not show what happens in the next five minutes.
_LONGEST_INTERVAL_S = 300.0
#: How far a file may extend into the future: its last sample holds for a while. A wrong time zone exceeds this.
_AHEAD_MIN = 10


@dataclass(frozen=True, slots=True)
class PastReadings:
    """Minutes ``[T]`` since the epoch, ascending; their mean powers, kW, and whether they are filled, ``[T]`` each.

    ``submeters_kw`` are the powers of submeters, by their keys in :attr:`Reading.measured`, each ``[T]``, NaN where
    unknown.
    """

    minutes: I64
    gap_kw: F64
    is_filled: NDArray[np.bool_]
    submeters_kw: Mapping[str, F64] = field(default_factory=lambda: MappingProxyType({}))

    def __len__(self) -> int:
        """Return the number of readings."""
        return self.minutes.size

    @property
    def first_minute(self) -> int:
        """The minute of the first reading."""
        return int(self.minutes[0])

    @property
    def last_minute(self) -> int:
        """The minute of the last reading."""
        return int(self.minutes[-1])

    def batches(self, device: str, n_at_once: int) -> Iterator[list[Reading]]:
        """Yield the readings of ``device``, in order."""
        for start in range(0, len(self), n_at_once):
            some = slice(start, start + n_at_once)
            yield [
                Reading(device, minute, gap_kw, measured=measured, is_filled=is_filled)
                for minute, gap_kw, measured, is_filled in zip(
                    self.minutes[some].tolist(),
                    self.gap_kw[some].tolist(),
                    self._measured(some),
                    self.is_filled[some].tolist(),
                    strict=True,
                )
            ]

    def _measured(self, some: slice) -> list[dict[str, float] | None]:
        """Return the known powers of submeters for each of ``some`` readings; None for a reading without any."""
        names = list(self.submeters_kw)
        if not names:
            return [None] * len(self.minutes[some])
        columns = zip(*(kw[some].tolist() for kw in self.submeters_kw.values()), strict=True)
        known = ({name: kw for name, kw in zip(names, row, strict=True) if not math.isnan(kw)} for row in columns)
        return [measured or None for measured in known]


@dataclass(frozen=True, slots=True)
class PastFiles:
    """Files of one device, their format, and the first minute to use (None: all)."""

    paths: Sequence[Path]
    form: FileFormat
    zone: tzinfo
    first_minute: int | None = None


def read_past(
    files: PastFiles, limits: Limits, now_ms: int, show: Callable[[str], object], *, progress: bool = False
) -> PastReadings:
    """Read ``files`` in order of time; call ``show`` with a description of each.

    If several files contain a minute, the value of the file that begins first counts. Minutes that are not over at
    ``now_ms`` are left out. Raises :class:`SourceError` for a file that cannot be read, whose readings are too far
    apart, that extends into the future, or that is an export of another series than an earlier one.
    """
    form = files.form
    if form.layout is not None:  # learned from a counter, forecasts would be wrong for weeks
        form = replace(form, layout=replace(form.layout, may_only_rise=False))
    recordings = [read_recording(path, form, limits, progress=progress) for path in files.paths]
    if files.form.entity is None:
        _require_one_series(recordings)
    recordings.sort(key=lambda recording: recording.series.first_minute)
    powers: list[F64] = []
    filled: list[NDArray[np.bool_]] = []
    submeters: list[Mapping[str, F64]] = []
    known: I64 = np.empty(0, dtype=np.int64)
    first_minute, now_minute = files.first_minute or 0, minute_of(now_ms)
    for recording in recordings:
        for line in recording.lines(files.zone):
            show(line)
        _check(recording, now_minute)
        minute, gap_kw, is_filled = _values(recording)
        is_known = np.isin(minute, known)
        if is_known.any():
            show(f"  ignored {counted(int(is_known.sum()), 'reading')} that an earlier file contains")
        is_new = ~is_known & (minute >= first_minute) & (minute < now_minute)
        known = np.concatenate((known, minute[is_new]))
        powers.append(gap_kw[is_new])
        filled.append(is_filled[is_new])
        submeters.append({name: kw[is_new] for name, kw in _submeters_kw(recording).items()})
    if not known.size:
        since = f" from {minute_label(files.first_minute)} on" if files.first_minute is not None else ""
        raise SourceError(recordings[-1].path, f"has no completed minute{since}")
    order = np.argsort(known)
    submeters_kw = {name: np.concatenate([kw[name] for kw in submeters])[order] for name in submeters[0]}
    return PastReadings(known[order], np.concatenate(powers)[order], np.concatenate(filled)[order], submeters_kw)


def _require_one_series(recordings: Sequence[Recording]) -> None:
    """Raise :class:`SourceError` if two exports with comparable labels hold different series."""
    first_of: dict[str, tuple[str, str]] = {}
    for recording in recordings:
        if recording.exported is None:
            continue
        label_kind, label = recording.exported
        first_file, first_label = first_of.setdefault(label_kind, (recording.path.name, label))
        if label != first_label:
            problem = f"is of {label}, but {first_file} of {first_label}"
            fix = "leave out that of the other sensor, or select the series in both by --entity"
            fix += "; if the sensor was renamed, import its files one after the other"
            raise SourceError(recording.path, f"{problem}: {fix}")


def _values(recording: Recording) -> tuple[I64, F64, NDArray[np.bool_]]:
    series = recording.series
    present = np.flatnonzero(~np.isnan(series.gap_kw))
    return present + series.first_minute, series.gap_kw[present], np.isnan(series.outcome_kw[present])


def _submeters_kw(recording: Recording) -> dict[str, F64]:
    """Return the powers of submeters in the minutes of :func:`_values`, by their keys in :attr:`Reading.measured`."""
    series = recording.with_newest_submeters().series
    present = np.flatnonzero(~np.isnan(series.gap_kw))
    return {name: kw[present] for name, kw in series.submeters.items()}


def _check(recording: Recording, now_minute: int) -> None:
    usual_s, last_minute = recording.report.usual_s, recording.series.last_minute
    if usual_s > _LONGEST_INTERVAL_S and not recording.holds_changes:
        problem = f"has a value every {usual_s / 60:g} min, too few to learn the next five minutes"
        fix = "if its meter sends only changes, set --hold MINUTES, the longest time a value stays valid"
        raise SourceError(recording.path, f"{problem}; {fix}")
    if last_minute > now_minute + _AHEAD_MIN:
        problem = f"reaches {minute_label(last_minute)}, after now ({minute_label(now_minute)})"
        raise SourceError(recording.path, f"{problem}: is it another --timezone, or is this machine's clock wrong?")
