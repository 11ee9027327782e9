"""Forecasters in the streaming validation: models, persistence, lines, and the study's own network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gapcast.core.arrays.array_types import F32
from gapcast.core.windows.features import GAP, measured_in
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.models_folder.store import load_model, model_names
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast_trainer.study.line import Line
from gapcast_trainer.study.network_training import forecast
from gapcast_trainer.study.networks import MODEL_1, build
from gapcast_trainer.study.settings import HORIZON_MIN


@dataclass(frozen=True, slots=True)
class Contender:
    """A forecaster of windows: ``forecast`` turns ``[N, context, features]`` into ``[N]``, kW."""

    name: str
    spec: WindowSpec
    features: tuple[str, ...]
    forecast: Callable[[F32], F32]


@dataclass(frozen=True, slots=True)
class LineContender:
    """A forecaster of readings without padding: the line through the available readings."""

    name: str
    window_min: int
    forgetting: float

    def start(self) -> Line:
        """Return the line of a device without readings."""
        return Line(self.window_min, self.forgetting)


def load_models(models: Path) -> tuple[list[TflitePredictor], list[str]]:
    """Return the models under ``models`` that the study can use, and the names of the others.

    A usable model needs no measurement except power, and has the study's horizon. Raises
    :class:`~gapcast.core.errors.ModelError` if a model fails its self-test.
    """
    loaded = [load_model(models / name) for name in model_names(models)]
    usable = [
        model for model in loaded if measured_in(model.features) == (GAP,) and model.lead_times_min[-1] == HORIZON_MIN
    ]
    return usable, [model.name for model in loaded if model not in usable]


def of_model(model: TflitePredictor) -> Contender:
    """Return a shipped model as a contender; it is scored at its horizon."""
    return Contender(model.name, model.spec, model.features, lambda windows: model.predict(windows).mean[:, -1])


def persistence() -> Contender:
    """Return persistence as a contender."""
    return Contender("persistence", WindowSpec(), (GAP,), lambda windows: windows[:, -1, 0])


def study_network(weights: Path) -> Contender:
    """Return the study's model 1 with its trained weights, padded with zeros as in the study."""
    network = build(MODEL_1)
    network.load_weights(str(weights))
    return Contender(
        "study's model 1", WindowSpec(MODEL_1.context, "zero"), (GAP,), lambda windows: forecast(network, windows)
    )
