"""The stream of readings to a gateway with everything enabled, whose learning state must survive as well."""

from __future__ import annotations

from bench.faults.stream import MeterStream
from bench.subject import MODELS
from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine

_FORECAST = {"model": "lstm-5-3", "experts": ["linear"]}
#: Configuration keys of the gateway.
KEYS = {
    "forecast__model": "lstm-5-3",
    "forecast__experts": "linear",
    "forecast__blend": "true",
    "forecast__calibrate": "true",
}


class LearningStream(MeterStream):
    """A stream whose forecasts are compared with an engine that learned from every reading exactly once."""

    #: Learning accumulates the rounding differences of many kernel calls.
    same_kw = 1e-5

    def _engine(self) -> Engine:
        settings = Settings.model_validate({"models": {"path": MODELS}, "forecast": _FORECAST})
        return engine_of(settings, load_models(settings))
