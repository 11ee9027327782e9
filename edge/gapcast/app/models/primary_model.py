"""The main forecast's horizon: chooses the primary model and decides which models can be combined with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from gapcast.core.errors import ModelChoiceError
from gapcast.core.models.predictor import Predictor
from gapcast.core.windows.features import measured_in

SETTING = "forecast.horizon_min"


class _HasLeadTimes(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def lead_times_min(self) -> Iterable[int]: ...


def lead_times_text(leads_min: Iterable[int]) -> str:
    """Return rising lead times as text, with runs of minutes abbreviated.

    >>> lead_times_text((1, 2, 3, 4, 5, 10, 15))
    '1-5, 10, 15'
    """
    runs: list[list[int]] = []
    for lead_min in leads_min:
        if runs and runs[-1][-1] == lead_min - 1:
            runs[-1].append(lead_min)
        else:
            runs.append([lead_min])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def possible_horizons(models: Iterable[_HasLeadTimes]) -> str:
    """Return the lead times of ``models``, each set of lead times with the models that have it.

    >>> from gapcast.predictors.baselines import Persistence, Trend
    >>> possible_horizons([Trend(), Persistence(lead_times_min=(1, 2, 3))])
    '1-3 (persistence); 5 (trend)'
    """
    names: dict[tuple[int, ...], list[str]] = {}
    for model in models:
        names.setdefault(tuple(model.lead_times_min), []).append(model.name)
    return "; ".join(f"{lead_times_text(leads)} ({', '.join(sorted(found))})" for leads, found in sorted(names.items()))


#: Key of the horizons of single devices.
SETTING_OF_DEVICES = "forecast.devices"


def setting_of(device: str) -> str:
    """Return the configuration key of the horizon of ``device``."""
    return f"{SETTING_OF_DEVICES}.{device}.horizon_min"


def primary_for(
    horizon_min: int, wanted: str | None, default: str, models: Mapping[str, _HasLeadTimes], setting: str = SETTING
) -> str:
    """Return the name of the primary model for ``horizon_min``: ``wanted``, else the default, else the first by name.

    Raises :class:`ModelChoiceError` that names the ``setting`` and lists the possible horizons if ``wanted``, or every
    one of ``models``, lacks this lead time.
    """
    if wanted is not None:
        leads_min = [*models[wanted].lead_times_min]
        if horizon_min not in leads_min:
            possible = lead_times_text(leads_min)
            msg = f"{setting}: model {wanted} does not forecast {horizon_min} min ahead; possible are {possible}"
            raise ModelChoiceError(msg)
        return wanted
    for name in (default, *sorted(models)):
        if name in models and horizon_min in models[name].lead_times_min:
            return name
    msg = f"{setting}: no model forecasts {horizon_min} min ahead; possible are {possible_horizons(models.values())}"
    raise ModelChoiceError(msg)


def primaries_of_devices(
    devices_min: Mapping[str, int], primary: Predictor, models: Mapping[str, Predictor], outlook: Predictor | None
) -> dict[int, str]:
    """Return the name of the primary model of each horizon in ``devices_min``, the horizons of single devices.

    This is the main horizon's primary model if it has the lead time, else the first model by name that reads the same
    inputs. Raises :class:`ModelChoiceError` that lists the possible horizons if no model has the lead time, or if
    ``outlook``, which makes the outlooks of all devices, lacks it.
    """
    usable = {name: model for name, model in models.items() if not _mismatch(model, primary)}
    names: dict[int, str] = {}
    for device, horizon_min in devices_min.items():
        names[horizon_min] = primary_for(horizon_min, None, primary.name, usable, setting_of(device))
        if outlook is not None and horizon_min not in outlook.lead_times_min:
            possible = lead_times_text(outlook.lead_times_min)
            msg = (
                f"{setting_of(device)}: the outlook model {outlook.name} does not forecast {horizon_min} min ahead; "
                f"possible are {possible}, or others with outlook.enabled = false"
            )
            raise ModelChoiceError(msg)
    return names


def incompatibility(model: Predictor, primary: Predictor, horizon_min: int) -> str:
    """Return why ``model`` cannot be a member of the ensemble of ``primary`` at ``horizon_min``; empty if it can."""
    if horizon_min not in model.lead_times_min:
        return f"it forecasts {lead_times_text(model.lead_times_min)} min ahead, not {horizon_min}"
    return _mismatch(model, primary)


def _mismatch(model: Predictor, primary: Predictor) -> str:
    """Return why ``model`` cannot forecast the windows of ``primary``; empty if it can."""
    if model.spec.padding != primary.spec.padding:
        return f"it pads short windows by {model.spec.padding}, not by {primary.spec.padding}"
    channels, own = measured_in(primary.features), measured_in(model.features)
    return "" if own == channels[: len(own)] else f"it takes {', '.join(own)}, not {', '.join(channels)}"
