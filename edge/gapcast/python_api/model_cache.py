"""The models of the library's functions, loaded and self-tested once."""

from __future__ import annotations

import os
from functools import lru_cache

from gapcast.app.models.loaded_models import Models
from gapcast.app.models.models import load_models
from gapcast.config.sections.forecast import ForecastSettings, OutlookSettings
from gapcast.config.settings import ModelSettings, Settings
from gapcast.predictors.models_folder.library import Library, Stamp


@lru_cache(maxsize=4)
def cached_models(library: Library, _stamp: Stamp, *, has_ensemble: bool) -> Models:
    """Return the models of ``library``, loaded once while its files do not change.

    ``has_ensemble``: with the members of the ensemble, not the primary model alone. Models have no state, and admit one
    thread at a time: houses share them.
    """
    settings = Settings(
        forecast=ForecastSettings(blend=has_ensemble),
        outlook=OutlookSettings(enabled=False),
        models=ModelSettings(path=library.own),
    )
    return load_models(settings, library)


# The copy of a model in a forked process is unusable if a thread of its parent runs the model: its lock stays locked.
os.register_at_fork(after_in_child=cached_models.cache_clear)
