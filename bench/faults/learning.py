"""The same stream at a gateway with everything on: what it learnt must survive, too."""

from __future__ import annotations

from bench.faults.stream import Stream
from bench.subject import MODELS
from gapcast.app.models import engine_of, load_models
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine

_FORECAST = {"model": "lstm-5-3", "experts": ["linear"]}
#: The gateway's keys for it.
KEYS = {
    "forecast__model": "lstm-5-3",
    "forecast__experts": "linear",
    "forecast__blend": "true",
    "forecast__calibrate": "true",
}


class LearningStream(Stream):
    """Is judged by an engine that has learnt from every reading, once each."""

    #: What is learnt carries the last bits of many kernels' calls on.
    same_kw = 1e-5

    def _engine(self) -> Engine:
        settings = Settings.model_validate({"models": {"path": MODELS}, "forecast": _FORECAST})
        return engine_of(settings, load_models(settings))
