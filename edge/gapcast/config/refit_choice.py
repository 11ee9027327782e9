"""Decides whether this installation and machine refit at night (``learning.refit``)."""

from __future__ import annotations

from importlib.util import find_spec

from gapcast.config.machine.memory_limit import read_memory_limit
from gapcast.config.machine.processors import n_usable_processors
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError

#: With ``learning.refit = "auto"``, a service that may use less memory or fewer cores does not refit.
LEAST_BYTES, LEAST_CORES = 900 << 20, 2


def is_lightgbm_installed() -> bool:
    """Return whether LightGBM is installed, without loading it."""
    return find_spec("lightgbm") is not None


def refits(settings: Settings) -> bool:
    """Return whether this gateway refits at night.

    Raises :class:`SettingsError` if ``learning.refit`` is ``true`` and LightGBM is not installed, the ensemble does
    not learn, or no state is persisted.
    """
    problem = _problem(settings)
    if not problem and not settings.state.keep:
        problem = "it needs state.keep = true, to store the minutes of each household"
    return _decide(settings, problem, is_possible=_is_large_enough())


def refits_in_backtest(settings: Settings) -> bool:
    """Return whether a back-test refits: like :func:`refits`, but on a machine of any size, and without a state."""
    return _decide(settings, _problem(settings), is_possible=True)


def _decide(settings: Settings, problem: str, *, is_possible: bool) -> bool:
    wanted = settings.learning.refit
    if wanted is True and problem:
        msg = f'learning.refit = true: {problem}; or set learning.refit to "auto" or false'
        raise SettingsError(msg)
    return wanted is True or (wanted == "auto" and not problem and is_possible)


def _problem(settings: Settings) -> str:
    """Return why refits are not possible, with the fix; empty if they are."""
    if not (settings.forecast.blend and settings.forecast.learn):
        return "it needs forecast.blend = true and forecast.learn = true"
    if not is_lightgbm_installed():
        return "LightGBM is not installed: install gapcast with its extra 'refit', as described in docs/refit.md"
    return ""


def _is_large_enough() -> bool:
    limit = read_memory_limit()
    has_memory = limit is None or limit.n_bytes >= LEAST_BYTES
    return has_memory and n_usable_processors() >= LEAST_CORES
