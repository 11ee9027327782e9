"""Classical forecasters (statsforecast's AutoETS and AutoARIMA), refitted for each forecast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import AutoARIMA, AutoETS

from gapcast.core.windows.window import WindowSpec, cut
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.scores.minutes import Minutes
from gapcast_trainer.scores.model_outputs import ModelOutputs

#: Levels of the quantiles, and the normal intervals that bound them.
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_INTERVALS = (50, 90)


@dataclass(frozen=True, slots=True)
class Method:
    """A method, and the number of minutes before the forecast to which it is fitted."""

    name: str
    context: int

    def model(self) -> Any:
        """Return the statsforecast model, without seasonality, since the context is shorter than a day."""
        return {"auto-ets": AutoETS, "auto-arima": AutoARIMA}[self.name](season_length=1, alias="it")


METHODS = (Method("auto-ets", 180), Method("auto-arima", 120))


def forecast(series: Series, method: Method, minutes: Minutes) -> ModelOutputs:
    """Forecast each minute up to the horizon after each of ``minutes``.

    The input is the available history, with gaps filled by the window contract and without padding.
    """
    windows = cut(series.gap_kw, WindowSpec(method.context))
    rows = np.searchsorted(series.first_minute + windows.origin, minutes.observed_minute)
    kept = np.minimum(minutes.age_min, method.context)
    histories = [window[-n:] for window, n in zip(windows[rows], kept, strict=True)]
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(len(histories)), [h.size for h in histories]),
            "ds": np.concatenate([np.arange(1 - h.size, 1) for h in histories]),
            "y": np.concatenate(histories),
        }
    )
    horizon_min = minutes.horizon_min
    predicted = StatsForecast([method.model()], freq=1, n_jobs=1).forecast(
        df=frame, h=horizon_min, level=list(_INTERVALS)
    )
    predicted = predicted.sort_values(["unique_id", "ds"])
    shape = (len(histories), horizon_min)
    columns = ("it-lo-90", "it-lo-50", "it", "it-hi-50", "it-hi-90")
    quantiles = np.stack([predicted[name].to_numpy(np.float32).reshape(shape) for name in columns], axis=2)
    return ModelOutputs(tuple(range(1, horizon_min + 1)), LEVELS, quantiles[:, :, 2], quantiles)
