"""The engine: readings in, forecasts out, for any number of devices at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.core.buffer import Buffers, Verdict
from edge.core.errors import ModelError, RequestError
from edge.core.features import assemble, measured_in
from edge.core.forecast import DECIMALS, LOWER, MEDIAN, UPPER, Forecast, Forecasts
from edge.core.latest import Latest
from edge.core.predictor import Prediction, Predictor
from edge.core.reading import Reading
from edge.core.window import MAX_FILL_MIN, MIN_OBSERVED

#: What a reading counts as, in metrics.
Result = Literal["accepted", "duplicate", "late", "rejected"]
_RESULT: dict[Verdict, Result] = {
    Verdict.READY: "accepted",
    Verdict.FIRST: "accepted",
    Verdict.DUPLICATE: "duplicate",
    Verdict.LATE: "late",
    Verdict.FULL: "rejected",
    Verdict.LACKING: "rejected",
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a batch of readings, and the windows that are due a forecast.

    ``verdicts[i]`` tells of reading ``i``, ``place[i]`` where its window and forecast stand, or -1.
    ``windows`` is ``[N, context]``, kW, or ``[N, context, C]`` where the model takes C measured features;
    ``devices``, ``rows`` (in :class:`Buffers`), ``minutes`` and ``n_observed`` say whose they are;
    ``first_rows`` are those whose reading was the first of a history, and gives no window.
    ``disproved`` are readings that had been held and proved to be a mistake.
    """

    verdicts: list[Verdict]
    place: list[int]
    windows: NDArray[np.float32]
    devices: list[str]
    rows: list[int]
    first_rows: list[int]
    minutes: list[int]
    n_observed: list[int]
    disproved: list[Reading]
    counts: dict[Result, int]


class Engine:
    """Buffers of many devices and the model that speaks for them. Pure: no clock, no I/O, one caller."""

    def __init__(
        self, model: Predictor, max_devices: int = 100_000, zone: tzinfo = UTC, *, tells_path: bool = True
    ) -> None:
        """Speak with ``model`` for at most ``max_devices`` devices, whose time of day is the clock of ``zone``.

        ``tells_path``: whether forecasts hold the mean of each lead time, where the model has several.
        """
        self.model = model
        self.zone = zone
        self.buffers = Buffers(model.spec, max_devices, measured_in(model.features))
        self.tells_path = tells_path
        self._has_path = tells_path and len(model.lead_times_min) > 1
        #: What was last forecast, by the rows of the buffers.
        self.newest = Latest(len(model.lead_times_min) if self._has_path else 1)

    def accept(self, readings: Sequence[Reading]) -> Accepted:
        """Take ``readings`` in order; several of one device in a batch are as good as one by one."""
        windows = np.empty((len(readings), *self.buffers.shape), dtype=np.float32)
        verdicts: list[Verdict] = []
        place: list[int] = []
        devices: list[str] = []
        minutes: list[int] = []
        n_observed: list[int] = []
        rows: list[int] = []
        first_rows: list[int] = []
        buffers = self.buffers
        for reading in readings:
            verdict = buffers.accept(reading)
            verdicts.append(verdict)
            if verdict is not Verdict.READY:
                place.append(-1)
                if verdict is Verdict.FIRST:
                    first_rows.append(buffers.row(reading.device))
                continue
            place.append(len(devices))
            n_observed.append(buffers.copy_window(reading.device, windows[len(devices)]))
            devices.append(reading.device)
            rows.append(buffers.row(reading.device))
            minutes.append(reading.minute)
        windows = windows[: len(devices)]
        account = self._account(verdicts)
        return Accepted(verdicts, place, windows, devices, rows, first_rows, minutes, n_observed, *account)

    def forecast(self, accepted: Accepted, issued_at_ms: int) -> Forecasts:
        """Forecast what was accepted, in one call of the model, and keep it as each device's latest.

        Raises :class:`ModelError` where the model gives a value that is no number.
        """
        model = self.model
        whose = (accepted.devices, accepted.minutes, accepted.n_observed)
        if not accepted.devices:
            return Forecasts(model, issued_at_ms, *whose, [])
        measured = accepted.windows.reshape(len(accepted.devices), model.spec.context, -1)
        newest_minute = np.asarray(accepted.minutes, dtype=np.int64)
        prediction = model.predict(assemble(measured, newest_minute, model.features, self.zone))
        mean_kw = _rounded(model, prediction.mean)
        median_kw, lower_kw, upper_kw = _quantiles(model, prediction, (MEDIAN, LOWER, UPPER))
        forecasts = Forecasts(
            model,
            issued_at_ms,
            *whose,
            gap_kw=mean_kw[:, -1].tolist(),
            median_kw=median_kw,
            lower_kw=lower_kw,
            upper_kw=upper_kw,
            path_kw=mean_kw.tolist() if self._has_path else None,
        )
        self.newest.keep(accepted.rows, forecasts)
        return forecasts

    def lacking(self, reading: Reading) -> str:
        """Return in a sentence what a reading that proved :attr:`Verdict.LACKING` has not, and the cure."""
        names = " or ".join(reading.lacks(self.buffers.channels))
        cure = f"send {', '.join(self.buffers.channels)} with each reading, or let another model speak"
        return f"the reading has no {names}, which model {self.model.name} needs: {cure}"

    def latest(self) -> list[Forecast]:
        """Return the newest forecast of every device that has one."""
        devices, latest = self.copy_latest()
        return latest.read_all(devices, self.model)

    def copy_latest(self) -> tuple[list[str], Latest]:
        """Return the devices by row ("": forgotten), and a copy of what was last forecast for them."""
        return self.buffers.names(), self.newest.copy()

    def latest_of(self, device: str) -> Forecast | None:
        """Return the device's newest forecast, or None where it is unknown or has none yet."""
        return self.newest.read(self.buffers.row(device), device, self.model) if device in self.buffers else None

    def forget(self, device: str) -> int | None:
        """Know nothing of ``device`` any more; return the row that it had, None where it was unknown."""
        row = self.buffers.forget(device)
        if row is not None:
            self.newest.forget(row)
        return row

    def _account(self, verdicts: list[Verdict]) -> tuple[list[Reading], dict[Result, int]]:
        counts: dict[Result, int] = {}
        for verdict in set(verdicts) - {Verdict.UNCONFIRMED}:  # counted once it is known what it was
            result = _RESULT[verdict]
            counts[result] = counts.get(result, 0) + verdicts.count(verdict)
        buffers = self.buffers
        disproved, buffers.disproved = buffers.disproved, []
        if disproved:
            counts["rejected"] = counts.get("rejected", 0) + len(disproved)
        if buffers.n_confirmed:
            counts["accepted"] = counts.get("accepted", 0) + buffers.n_confirmed
            buffers.n_confirmed = 0
        return disproved, counts


def forecast_series(
    model: Predictor, readings: Sequence[Reading], issued_at_ms: int, zone: tzinfo = UTC, *, tells_path: bool = True
) -> Forecast:
    """Forecast a series that is no device's, oldest first, by the very rules of the stream.

    Raises :class:`RequestError`, naming the reading, where they leave nothing to forecast from.
    """
    if len(readings) < MIN_OBSERVED:
        msg = f"readings: at least {MIN_OBSERVED} are needed, not {len(readings)}"
        raise RequestError(msg)
    engine = Engine(model, 1, zone, tells_path=tells_path)
    before = [engine.buffers.accept(reading) for reading in readings[:-1]]  # their windows serve no one
    newest = engine.accept(readings[-1:])
    for i, verdict in enumerate([*before, *newest.verdicts]):
        if verdict is Verdict.LACKING:
            msg = f"readings[{i}]: {engine.lacking(readings[i])}"
            raise RequestError(msg)
        if verdict not in {Verdict.READY, Verdict.FIRST}:
            msg = f"readings[{i}]: its time does not follow the one before ({verdict.value})"
            raise RequestError(msg)
    if not newest.devices:
        msg = f"readings[{len(readings) - 1}]: more than {MAX_FILL_MIN} minutes are missing before it"
        raise RequestError(msg)
    return replace(engine.forecast(newest, issued_at_ms)[0], device=None)


def _rounded(model: Predictor, power_kw: NDArray[np.float32]) -> NDArray[np.float64]:
    if not np.isfinite(power_kw).all():
        msg = f"model {model.name} gave a value that is not a number"
        raise ModelError(msg)
    return power_kw.astype(np.float64).round(DECIMALS)


def _quantiles(model: Predictor, prediction: Prediction, wanted: Sequence[float]) -> list[list[float] | None]:
    """Return the quantiles at the horizon for each of the levels ``wanted``, None for one that the model has not."""
    levels = model.quantile_levels
    if prediction.quantiles is None or levels is None:
        return [None] * len(wanted)
    columns_kw: list[list[float]] = _rounded(model, prediction.quantiles[:, -1]).T.tolist()
    return [columns_kw[levels.index(level)] if level in levels else None for level in wanted]
