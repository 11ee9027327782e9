"""Loads the models of the models folder, and gives each its role: primary model, ensemble member, outlook."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from gapcast.app.models.ensemble_members import member_names
from gapcast.app.models.installed_models import (
    InstalledModelError,
    default_model,
    error_of,
    model_folders,
    optional_models,
)
from gapcast.app.models.loaded_models import Models
from gapcast.app.models.outlook_model import outlook_model_of, require_outlook_model
from gapcast.app.models.primary_model import primaries_of_devices, primary_for
from gapcast.app.models.shared_trunk import check_shared_trunk
from gapcast.bundled import models_path
from gapcast.config.files.state_dir import state_path
from gapcast.config.settings import Settings
from gapcast.core.errors import ModelError, SettingsError, UnknownModelError
from gapcast.core.forecasts.outcomes import LEARNED, PERSISTENCE, REFIT, SUBMETERED
from gapcast.core.horizons.forecast_builder import BLEND
from gapcast.predictors.models_folder.files import ModelFiles
from gapcast.predictors.models_folder.library import Library
from gapcast.predictors.models_folder.store import check_files
from gapcast.predictors.tflite.runtime import load_interpreter
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.predictors.trials.admission import Admission
from gapcast.predictors.trials.proven_models import ProvenModels

log = structlog.get_logger(__name__)

#: Names in forecasts and scores that do not belong to models.
RESERVED_NAMES = (BLEND, LEARNED, REFIT, SUBMETERED, PERSISTENCE)
#: Subfolder of the state folder for installed models, if ``models.path`` is not set.
_INSTALLED = "models"


def library_of(settings: Settings, environment: Mapping[str, str]) -> Library:
    """Return the models under ``models.path``, else the bundled models and the installed ones, which replace them."""
    if settings.models.path is not None:
        return Library((settings.models.path,))
    bundled = models_path()
    return Library((bundled, state_path(settings.state.path, environment) / _INSTALLED), bundled=bundled)


def admission_of(
    settings: Settings,
    environment: Mapping[str, str],
    is_cancelled: Callable[[], bool] = lambda: False,
    loaded: Mapping[str, TflitePredictor] | None = None,
) -> Admission:
    """Return the admission of models: bundled models without a trial, others after one.

    Passed trials are recorded in the state folder, if there is one. ``loaded`` models, by name, are reused if their
    files have not changed.
    """
    try:
        state = state_path(settings.state.path, environment)
    except SettingsError:
        state = None
    return Admission(models_path(), ProvenModels(state, load_interpreter()[1]), is_cancelled, loaded or {})


def load_usable_models(settings: Settings, library: Library, admission: Admission) -> Models:
    """Load the models like :func:`load_models`, but leave out installed ones that cannot be used.

    A damaged or hostile file among the installed models therefore does not prevent the start. Raises
    :class:`ModelError` if a bundled model cannot be used, or if the settings name a model that is left out.
    """
    while True:
        try:
            return load_models(settings, library, admission)
        except InstalledModelError as error:
            fix = error.describe_fix("fix or remove the model", "gapcast starts without it")
            log.error("models.refused", path=str(error.path), problem=str(error), fix=fix)
            library = library.without(error.path)


def load_models(settings: Settings, library: Library | None = None, admission: Admission | None = None) -> Models:
    """Load and self-test all models; raise :class:`ModelError` if one cannot be used, or a configured one is missing.

    ``library`` and ``admission`` default to the ones of ``settings`` and this process's environment. A model that is
    not bundled is tried in a child process first. Only active models keep their interpreters, which take megabytes each
    for larger models; the others are unloaded, and create their interpreters again when a request names them.
    """
    library = library or library_of(settings, os.environ)
    admission = admission or admission_of(settings, os.environ)
    folders = model_folders(library)
    default = settings.forecast.model or default_model(library, folders)
    _check_names(settings, default, folders, library)
    by_name, primary = _build_all(settings, default, folders, library, admission)
    models = _with_roles(settings, by_name, primary, optional_models(library))
    _warm_up(models)
    for name, model in by_name.items():
        if model not in models.active and model is not admission.loaded.get(name):
            model.unload()
    return models


def _check_names(settings: Settings, default: str, folders: Mapping[str, Path], library: Library) -> None:
    """Raise :class:`ModelError` if a model that the settings name is missing, or one has a reserved name."""
    for name in (default, *(settings.forecast.experts or ())):
        if name not in folders:
            raise UnknownModelError(library.describe_missing(name, folders))
    require_outlook_model(settings.outlook, folders, library)
    reserved = sorted(set(folders) & set(RESERVED_NAMES))
    if reserved:
        msg = f"{folders[reserved[0]]}: the model name {reserved[0]} is reserved; rename the model"
        raise error_of(ModelError(msg), folders[reserved[0]], library)


def _build_all(
    settings: Settings, default: str, folders: Mapping[str, Path], library: Library, admission: Admission
) -> tuple[dict[str, TflitePredictor], TflitePredictor]:
    """Return the predictors of all ``folders`` by name, and the primary one: ``default``, if it has the horizon.

    Raises :class:`ModelError` if a model cannot be used, or if no model has the horizon.
    """
    name = primary = default
    horizon_min = settings.forecast.horizon_min
    by_name: dict[str, TflitePredictor] = {}
    files: dict[str, ModelFiles] = {}
    try:
        for name in sorted(folders):  # try all before loading any: a rejected model costs no memory here
            files[name] = admission.admit(folders[name])
        if horizon_min is not None:
            cards = {name: check_files(found, folders[name]) for name, found in files.items()}
            primary = primary_for(horizon_min, settings.forecast.model, default, cards)
        # Load the primary model last: it reuses the memory freed by the models before it.
        for name in sorted(folders, key=lambda name: (name == primary, name)):
            by_name[name] = admission.build(files.pop(name), folders[name])
            if by_name[name] is not admission.loaded.get(name):  # a model in use keeps its interpreters
                by_name[name].release_interpreters()
    except ModelError as error:
        raise error_of(error, folders[name], library) from error
    return by_name, by_name[primary]


def _with_roles(
    settings: Settings, by_name: dict[str, TflitePredictor], primary: TflitePredictor, optional: frozenset[str]
) -> Models:
    """Return the models ``by_name`` with their roles beside ``primary``: ensemble members, outlook, own horizons.

    Raises :class:`ModelError` if a configured model cannot have its role.
    """
    main_min = settings.forecast.horizon_min or primary.lead_times_min[-1]
    others = tuple(by_name[name] for name in member_names(settings, by_name, primary, optional, main_min))
    is_limited = settings.demand.is_limited
    outlook = outlook_model_of(settings.outlook, by_name, primary, main_min, is_limited=is_limited)
    devices_min = {device: own for device, own in settings.forecast.horizons_min.items() if own != main_min}
    of_horizons = {}
    for own_min, name in primaries_of_devices(devices_min, primary, by_name, outlook).items():
        members = member_names(settings, by_name, by_name[name], optional, own_min, of_devices=True)
        of_horizons[own_min] = tuple(by_name[member] for member in (name, *members))
    return Models(by_name, primary, others, settings.forecast.horizon_min, outlook, devices_min, of_horizons)


def _warm_up(models: Models) -> None:
    """Create the interpreters of the active models; raise :class:`ModelError` if the outlook cannot share a trunk."""
    continued = models.continued
    for model in models.active:
        if model is not continued:
            model.warm_up()
    if continued is not None:
        check_shared_trunk(models.primary, continued)
