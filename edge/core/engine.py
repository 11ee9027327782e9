"""The engine: readings in, forecasts out, for any number of devices at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.core.buffer import Buffers, Verdict
from edge.core.errors import ModelError, RequestError
from edge.core.forecast import LOWER, MEDIAN, UPPER, Forecast, Forecasts
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
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a batch of readings, and the windows that are due a forecast.

    ``verdicts[i]`` tells of reading ``i``, ``place[i]`` where its window and forecast stand, or -1.
    ``windows_kw`` is ``[N, context]``; ``devices``, ``minutes`` and ``n_observed`` say whose they are.
    ``disproved`` are readings that had been held and proved to be a mistake.
    """

    verdicts: list[Verdict]
    place: list[int]
    windows_kw: NDArray[np.float32]
    devices: list[str]
    minutes: list[int]
    n_observed: list[int]
    disproved: list[Reading]
    counts: dict[Result, int]


class Engine:
    """Buffers of many devices and the model that speaks for them. Pure: no clock, no I/O, one caller."""

    def __init__(self, model: Predictor, max_devices: int = 100_000) -> None:
        """Speak with ``model`` for at most ``max_devices`` devices."""
        self.model = model
        self.buffers = Buffers(model.spec, max_devices)
        self._latest = Latest()

    def accept(self, readings: Sequence[Reading]) -> Accepted:
        """Take ``readings`` in order; several of one device in a batch are as good as one by one."""
        windows_kw = np.empty((len(readings), self.model.spec.context), dtype=np.float32)
        verdicts: list[Verdict] = []
        place: list[int] = []
        devices: list[str] = []
        minutes: list[int] = []
        n_observed: list[int] = []
        buffers = self.buffers
        for reading in readings:
            verdict = buffers.accept(reading)
            verdicts.append(verdict)
            if verdict is not Verdict.READY:
                place.append(-1)
                continue
            place.append(len(devices))
            n_observed.append(buffers.copy_window(reading.device, windows_kw[len(devices)]))
            devices.append(reading.device)
            minutes.append(reading.minute)
        windows_kw = windows_kw[: len(devices)]
        return Accepted(verdicts, place, windows_kw, devices, minutes, n_observed, *self._account(verdicts))

    def forecast(self, accepted: Accepted, issued_at_ms: int) -> Forecasts:
        """Forecast what was accepted, in one call of the model, and keep it as each device's latest."""
        forecasts = forecast(
            self.model, accepted.windows_kw, accepted.devices, accepted.minutes, accepted.n_observed, issued_at_ms
        )
        self._latest.keep([self.buffers.row(device) for device in accepted.devices], forecasts)
        return forecasts

    def latest(self) -> list[Forecast]:
        """Return the newest forecast of every device that has one."""
        devices, latest = self.copy_latest()
        return latest.read_all(devices, self.model)

    def copy_latest(self) -> tuple[list[str], Latest]:
        """Return the devices, in the order of their rows, and a copy of what was last forecast for them."""
        return list(self.buffers), self._latest.copy()

    def latest_of(self, device: str) -> Forecast | None:
        """Return the device's newest forecast, or None where it is unknown or has none yet."""
        return self._latest.read(self.buffers.row(device), device, self.model) if device in self.buffers else None

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


def forecast(
    model: Predictor,
    windows_kw: NDArray[np.float32],
    devices: list[str],
    minutes: list[int],
    n_observed: list[int],
    issued_at_ms: int,
) -> Forecasts:
    """Forecast ``windows_kw`` ``[N, context]`` in one call; the lists, of length N, say whose they are.

    Numbers are rounded to 1e-6 kW (a milliwatt), below any model's own precision. Raises
    :class:`ModelError` where the model gives one that is none.
    """
    if not devices:
        return Forecasts(model, issued_at_ms, [], [], [], [])
    prediction = model.predict(windows_kw[:, :, np.newaxis])
    return Forecasts(
        model,
        issued_at_ms,
        devices,
        minutes,
        n_observed,
        _listed(model, prediction.mean[:, -1]),
        *(_quantile(model, prediction, level) for level in (MEDIAN, LOWER, UPPER)),
    )


def forecast_series(model: Predictor, readings: Sequence[Reading], issued_at_ms: int) -> Forecast:
    """Forecast a series that is no device's, oldest first, by the very rules of the stream.

    Raises :class:`RequestError`, naming the reading, where they leave nothing to forecast from.
    """
    if len(readings) < MIN_OBSERVED:
        msg = f"readings: at least {MIN_OBSERVED} are needed, not {len(readings)}"
        raise RequestError(msg)
    engine = Engine(model, max_devices=1)
    accepted = engine.accept(readings)
    for i, verdict in enumerate(accepted.verdicts):
        if verdict not in {Verdict.READY, Verdict.FIRST}:
            msg = f"readings[{i}]: its time does not follow the one before ({verdict.value})"
            raise RequestError(msg)
    if accepted.place[-1] < 0:
        msg = f"readings[{len(readings) - 1}]: more than {MAX_FILL_MIN} minutes are missing before it"
        raise RequestError(msg)
    newest = slice(-1, None)  # the windows before it have served their turn
    last = forecast(
        model,
        accepted.windows_kw[newest],
        accepted.devices[newest],
        accepted.minutes[newest],
        accepted.n_observed[newest],
        issued_at_ms,
    )
    return replace(last[0], device=None)


def _listed(model: Predictor, column_kw: NDArray[np.float32]) -> list[float]:
    if not np.isfinite(column_kw).all():
        msg = f"model {model.name} gave a value that is not a number"
        raise ModelError(msg)
    rounded: list[float] = np.round(column_kw.astype(np.float64), 6).tolist()
    return rounded


def _quantile(model: Predictor, prediction: Prediction, level: float) -> list[float] | None:
    levels = model.quantile_levels
    if prediction.quantiles is None or levels is None or level not in levels:
        return None
    return _listed(model, prediction.quantiles[:, -1, levels.index(level)])
