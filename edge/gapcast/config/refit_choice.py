"""Whether this installation and machine refit at night: ``learning.refit``."""

from __future__ import annotations

import os
from importlib.util import find_spec

from gapcast.config.memory_limit import read_memory_limit
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError

#: With ``learning.refit = "auto"``, a machine with less memory or fewer cores does not refit.
LEAST_BYTES, LEAST_CORES = 900 << 20, 2


def is_lightgbm_installed() -> bool:
    """Return whether LightGBM is installed; it is not loaded."""
    return find_spec("lightgbm") is not None


def refits(settings: Settings, *, on_any_machine: bool = False) -> bool:
    """Return whether ``learning.refit`` asks for refits and they are possible.

    ``on_any_machine``: leave memory and cores out of account, as in a back-test. Raises :class:`SettingsError` if it is
    ``true`` and LightGBM is not installed, or the ensemble does not learn.
    """
    wanted, learns = settings.learning.refit, settings.forecast.blend and settings.forecast.learn
    if wanted is False or (wanted == "auto" and not learns):
        return False
    if not learns:
        msg = (
            "learning.refit = true needs forecast.blend and forecast.learn: set them to true, or learning.refit to auto"
        )
        raise SettingsError(msg)
    if not is_lightgbm_installed():
        if wanted == "auto":
            return False
        msg = (
            "learning.refit = true: LightGBM is not installed: run pip install 'gapcast[refit]', or set learning.refit "
            'to "auto" or false'
        )
        raise SettingsError(msg)
    return wanted is True or on_any_machine or _is_large_enough()


def _is_large_enough() -> bool:
    limit = read_memory_limit()
    has_memory = limit is None or limit.n_bytes >= LEAST_BYTES
    return has_memory and (os.cpu_count() or 1) >= LEAST_CORES
