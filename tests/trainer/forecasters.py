"""Small forecasters for tests, with a model card."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.card import ModelCard
from gapcast.core.models.card_provenance import TrainedOnHouse
from gapcast.core.models.predictor import Prediction
from gapcast.core.windows.features import GAP, UNITS
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast_trainer.data.split import MinuteSplit
from tests.trainer.cards import card_for
from tests.trainer.synthetic import SPLIT

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
LEADS = (1, 2, 3, 4, 5)


def stand_ins(*models: Spread | TflitePredictor) -> list[Any]:
    """Return ``models`` typed as shipped models, for code that reads only their cards and forecasts."""
    return list(models)


@dataclass(frozen=True, slots=True)
class Spread:
    """Forecasts the last reading, with quantiles as far from it as the window's quantiles are from its mean.

    ``off_kw`` is added to all of it. ``trained_on`` is the SHA-256 of the data that its card names, ``houses`` are the
    further houses there.
    """

    name: str = "spread"
    version: str = "1"
    spec: WindowSpec = WindowSpec()
    features: tuple[str, ...] = (GAP,)
    lead_times_min: tuple[int, ...] = LEADS
    quantile_levels: tuple[float, ...] | None = LEVELS
    off_kw: float = 0.0
    split: MinuteSplit = SPLIT
    trained_on: str = "0" * 64
    houses: tuple[TrainedOnHouse, ...] = ()
    experiment: dict[str, Any] | None = field(default=None)

    def predict(self, windows: F32) -> Prediction:
        power = windows[:, :, 0]
        last = power[:, -1:] + np.float32(self.off_kw)
        mean = np.repeat(last, len(self.lead_times_min), axis=1)
        if self.quantile_levels is None:
            return Prediction(mean)
        around = np.quantile(power, self.quantile_levels, axis=1).T - np.median(power, axis=1, keepdims=True)
        wider = np.sqrt(np.asarray(self.lead_times_min, dtype=np.float32) / self.lead_times_min[-1])
        quantiles = last[:, :, np.newaxis] + wider[:, np.newaxis] * around[:, np.newaxis, :]
        return Prediction(mean, quantiles.astype(np.float32))

    @property
    def card(self) -> ModelCard:
        card = card_for(b"x", name=self.name)
        trained = card.trained_on.model_copy(update={"sha256": self.trained_on, "houses": list(self.houses) or None})
        return card.model_copy(
            update={
                "split": self.split.for_card(),
                "trained_on": trained,
                "experiment": self.experiment,
                "lead_times_min": list(self.lead_times_min),
                "features": [card.features[0].model_copy(update={"name": n, "unit": UNITS[n]}) for n in self.features],
            }
        )
