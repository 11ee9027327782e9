"""The identity of forecasts: the models and settings on which they depend, stored with the state."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from gapcast.app.models.loaded_models import Models
from gapcast.config.settings import Settings
from gapcast.core.errors import ModelError, StateError

#: Version of the state in Spark's state store and beside it.
VERSION = 2


#: The field of the primary model in state files.
_STORED_PRIMARY_MODEL = "speaking"
#: Settings that checkpoints of earlier versions do not have.
_LATER_SETTINGS = frozenset({"max_kw"})


@dataclass(frozen=True, slots=True)
class Identity:
    """The models, by version and file hash, and the settings of online learning.

    Two machines with the same identity, and the same version of gapcast, give the same forecasts.
    """

    version: int
    primary_model: str
    models: dict[str, str]
    learning: dict[str, Any]
    timezone: str

    def text(self) -> str:
        """Return the identity as JSON, the same text for the same identity."""
        fields = asdict(self)
        fields[_STORED_PRIMARY_MODEL] = fields.pop("primary_model")
        return json.dumps(fields, sort_keys=True)

    def unlike(self, other: Identity) -> str:
        """Return a description of the differences from ``other``, "" if there are none; own values come first.

        Settings that earlier versions did not store are not compared if ``other`` lacks them.
        """
        mine, others = asdict(self), asdict(other)
        for name in _LATER_SETTINGS & mine["learning"].keys():
            others["learning"].setdefault(name, mine["learning"][name])
        return "; ".join(
            f"{name.replace('_', ' ')}: {mine[name]} here, {others[name]} there"
            for name in mine
            if mine[name] != others[name]
        )


def identity_of(settings: Settings, models: Models) -> Identity:
    """Return the identity of ``models`` with ``settings``."""
    forecast, horizon_min = settings.forecast, models.members[0].lead_times_min[-1]
    return Identity(
        VERSION,
        models.primary.name,
        {model.name: f"{model.version} {model.card.sha256}" for model in models.active},
        {
            "blend": forecast.blend,
            "learn": forecast.learn,
            "calibrate": forecast.calibrate,
            "forgetting": settings.learning.forgetting,
            "max_devices": settings.learning.max_devices,
            "min_kw": settings.limits.min_kw,
            "max_kw": settings.limits.max_kw,
        }
        # Without the primary model's own trunk, so that checkpoints of earlier versions can be continued.
        | ({"horizon_min": horizon_min} if horizon_min != models.primary.lead_times_min[-1] else {})
        | ({"devices_min": dict(models.devices_min)} if models.devices_min else {}),
        settings.site.timezone,
    )


def read_identity(text: str) -> Identity:
    """Return the identity written by :meth:`Identity.text`; raise :class:`StateError` if it cannot be read."""
    try:
        found = json.loads(text)
        version = found["version"]
        if version == VERSION:
            return Identity(primary_model=found.pop(_STORED_PRIMARY_MODEL), **found)
    except (ValueError, LookupError, TypeError) as error:
        msg = f"the checkpoint's identity cannot be read: {error}"
        raise StateError(msg) from error
    msg = f"the checkpoint has version {version}, and this gapcast-fleet reads version {VERSION}: use a new checkpoint"
    raise StateError(msg)


def check_same(here: Identity, driver: Identity) -> None:
    """Raise :class:`ModelError` if a worker's models differ from the driver's."""
    if problem := here.unlike(driver):
        msg = f"this worker's models differ from the driver's ({problem}): use the same models folder on all machines"
        raise ModelError(msg)
