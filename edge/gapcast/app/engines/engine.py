"""Creates an engine with loaded models from the settings, and the interpreters that the stream will need."""

from __future__ import annotations

from collections.abc import Iterable

from gapcast.app.models.loaded_models import Models
from gapcast.app.models.shared_trunk import warm_up_head
from gapcast.bundled.learning_prior import bundled_prior
from gapcast.config.sections.submeters import names_of
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine
from gapcast.core.horizons.horizon_forecaster import DeviceHorizons, HorizonModels
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.models.predictor import Predictor
from gapcast.core.outlook.options import OutlookConfig, OutlookOptions
from gapcast.core.readings.submeters import Submeters, channels_of
from gapcast.core.streams.history import History


def engine_of(
    settings: Settings, models: Models, submeters: Submeters | None = None, *, refits: bool = False
) -> Engine:
    """Return a new engine with ``models``, configured by ``settings``.

    ``submeters`` are the submeters of the devices (None: from the settings). ``refits``: the ensemble has a member
    ``refit``.
    """
    submeters = names_of(settings.submeters) if submeters is None else submeters
    forecast, learning, zone = settings.forecast, settings.learning, settings.site.zone
    history = History(settings.history.minutes, settings.history.max_devices)
    limits = settings.reading_limits

    def with_ensemble(members: tuple[Predictor, ...]) -> HorizonModels:
        if not (forecast.blend or forecast.calibrate or learning.max_devices):
            return HorizonModels(members[0])
        options = EnsembleOptions(
            combines=forecast.blend,
            learns=forecast.learn and forecast.blend,
            refits=refits,
            calibrates=forecast.calibrate,
            max_devices=learning.max_devices,
            forgetting=learning.forgetting,
            min_kw=limits.min_kw,
            max_kw=limits.max_kw,
            n_submeters=len(channels_of(submeters)),
        )
        return HorizonModels(members[0], Ensemble(members, options, zone, prior=bundled_prior()))

    model, ensemble = with_ensemble(models.members)
    outlook_options = OutlookOptions(
        max_devices=settings.outlook.max_devices, learns=forecast.learn, calibrates=forecast.calibrate
    )
    return Engine(
        model,
        settings.devices.max,
        zone,
        includes_path=forecast.path,
        ensemble=ensemble,
        history=history,
        limits=limits,
        submeters=submeters,
        outlook=None if models.outlook is None else OutlookConfig(models.outlook, outlook_options),
        demand=settings.demand.site_options(zone),
        horizons=DeviceHorizons(models.devices_min, [*map(with_ensemble, models.members_of_horizons)]),
    )


def warm_up_like(models: Models, in_use: Iterable[Predictor]) -> None:
    """Create the interpreters of ``models`` for the batch sizes of the models ``in_use``.

    If the outlook's model continues from the primary model's trunk, only its head runs.
    """
    sizes: set[int] = set()
    head_sizes: set[int] = set()
    for model in in_use:
        sizes.update(getattr(model, "sizes", ()))
        head_sizes.update(getattr(model, "head_sizes", ()))
    continued = models.continued
    for model in models.active:
        if model is not continued:
            model.warm_up(sorted(sizes))
    if continued is not None:
        warm_up_head(models.primary, continued, sorted(head_sizes))
