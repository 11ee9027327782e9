"""``[forecast]``, ``[learning]`` and ``[outlook]``: the models, their horizons, and online learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field, ValidationError, field_validator

from gapcast.config.sections.section import SettingsSection, split_list
from gapcast.core.readings.reading import device_id_problem, is_device_id
from gapcast.core.time_grid import WEEK_MIN


class ForecastDeviceSettings(SettingsSection):
    """``[forecast.devices.NAME]``: values for the device of that name that replace the ones in ``[forecast]``."""

    #: Minutes ahead of its forecast: any lead time of a model.
    horizon_min: int = Field(ge=1, le=60)


class ForecastSettings(SettingsSection):
    """``[forecast]``: the models and members of forecasts, and their horizon."""

    #: Name of the primary model; None: the registry's default.
    model: str | None = None
    #: Minutes ahead of the main forecast: any lead time of a model; None: the primary model's longest lead time.
    horizon_min: int | None = Field(default=None, ge=1, le=60)
    #: Devices with their own horizon, by name.
    devices: dict[str, ForecastDeviceSettings] = Field(default_factory=dict)
    #: Whether to publish all minutes up to the horizon, if the model forecasts them.
    path: bool = True
    #: Whether to publish an ensemble, weighted by each member's errors in this household; else the primary model alone.
    blend: bool = True
    #: Other models in the ensemble; None: all that are compatible with the primary model and not optional.
    experts: tuple[str, ...] | None = None
    #: Whether the ensemble includes an online model that learns each household.
    learn: bool = True
    #: Whether the 90 % interval is calibrated by each household's outcomes.
    calibrate: bool = True

    _split_list = field_validator("experts", mode="before")(split_list)

    @field_validator("devices")
    @classmethod
    def _check_devices(cls, devices: dict[str, ForecastDeviceSettings]) -> dict[str, ForecastDeviceSettings]:
        for device in devices:
            if not is_device_id(device):
                raise ValueError(device_id_problem(device))
        return devices

    @property
    def horizons_min(self) -> dict[str, int]:
        """The horizons of devices with their own horizon, minutes."""
        return {device: one.horizon_min for device, one in self.devices.items()}


class LearningSettings(SettingsSection):
    """``[learning]``: online learning from each device's outcomes."""

    #: Maximum number of tracked devices, which are scored and learned from; further ones are forecast as untracked.
    max_devices: int = Field(default=1_500, ge=0)
    #: Forgetting factor of the online model per minute; 1: no forgetting.
    forgetting: float = Field(default=0.99999, ge=0.999, le=1.0)
    #: How often the live scores of a device are published, by the gateway's clock; 0: never.
    report_every_min: float = Field(default=15.0, ge=0, le=WEEK_MIN)
    #: Whether trees are fitted to each household's own minutes at night; ``auto``: where LightGBM is installed and the
    #: service may use two cores and 900 MB of memory.
    refit: Literal["auto"] | bool = "auto"

    @field_validator("refit", mode="wrap")
    @classmethod
    def _check_refit(cls, refit: object, handler: Callable[[object], object]) -> object:
        try:
            return handler(refit)
        except ValidationError as error:
            msg = 'must be true, false or "auto"'
            raise ValueError(msg) from error

    #: Days between two refits of a household.
    refit_every_days: int = Field(default=1, ge=1, le=365)
    #: Number of devices that are refitted, in order of arrival.
    refit_max_devices: int = Field(default=10, ge=0, le=1_000)


class OutlookSettings(SettingsSection):
    """``[outlook]``: each lead time up to an hour, and the means up to it, beside the main forecast."""

    #: Whether outlooks are made, if the model exists.
    enabled: bool = True
    #: Number of devices with an outlook, in order of arrival; 0: none.
    max_devices: int = Field(default=100, ge=0, le=100_000)
    #: Name of the outlook model. If set, the model must exist; if unset and the default model is missing, there are no
    #: outlooks.
    model: str = Field(default="outlook", min_length=1)

    @property
    def is_wanted(self) -> bool:
        """Whether outlooks are made if the model exists."""
        return self.enabled and self.max_devices > 0

    @property
    def is_model_required(self) -> bool:
        """Whether a missing model is an error: outlooks are wanted, and the configuration names the model."""
        return self.is_wanted and "model" in self.model_fields_set
