"""The loaded models by their roles: the primary model, the other ensemble members, and the outlook's model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gapcast.app.models.primary_model import SETTING_OF_DEVICES
from gapcast.core.horizons.lead_time_view import at_horizon
from gapcast.core.models.card import ModelCard
from gapcast.core.models.predictor import Predictor, shares_trunk_with
from gapcast.predictors.tflite.tflite import TflitePredictor


@dataclass(frozen=True, slots=True)
class Models:
    """The loaded models: the primary model, the other ensemble members, and the outlook's model.

    ``horizon_min``, the main forecast's, is a lead time of each member; None: the primary model's longest lead time.
    ``outlook`` makes the outlooks (None: no outlooks). ``devices_min`` are the horizons of devices with their own
    horizon, minutes, and ``of_horizons`` the models of each such horizon, the primary model first.
    """

    by_name: dict[str, TflitePredictor]
    primary: TflitePredictor
    others: tuple[TflitePredictor, ...] = ()
    horizon_min: int | None = None
    outlook: TflitePredictor | None = None
    devices_min: Mapping[str, int] = field(default_factory=dict)
    of_horizons: Mapping[int, tuple[TflitePredictor, ...]] = field(default_factory=dict)

    @property
    def main_horizon_min(self) -> int:
        """The horizon of the main forecast, minutes."""
        return self.horizon_min or self.primary.lead_times_min[-1]

    @property
    def members(self) -> tuple[Predictor, ...]:
        """The models of the ensemble at the main forecast's horizon, the primary model first."""
        return tuple(at_horizon(model, self.main_horizon_min) for model in (self.primary, *self.others))

    @property
    def members_of_horizons(self) -> list[tuple[Predictor, ...]]:
        """The models of the ensembles at the horizons of single devices, the primary model first."""
        return [
            tuple(at_horizon(model, horizon_min) for model in models)
            for horizon_min, models in self.of_horizons.items()
        ]

    @property
    def active(self) -> tuple[TflitePredictor, ...]:
        """The models that forecast each reading; the primary model, which is used most, comes last."""
        models = (*self.others, self.primary)
        used = [model for models in self.of_horizons.values() for model in models]
        used += () if self.outlook is None else (self.outlook,)
        more = {model.card.name: model for model in used if model not in models}
        return *more.values(), *models

    @property
    def continued(self) -> TflitePredictor | None:
        """The outlook's model if it continues from the primary model's trunk; None without such a model."""
        if self.outlook is None or self.members[0] is not self.primary:
            return None
        return self.outlook if shares_trunk_with(self.outlook, self.primary) else None

    @property
    def stamps(self) -> dict[str, str]:
        """Version and hash of each active model, by name: equal stamps mean equal forecasts.

        The primary model's stamp contains the main forecast's horizon if it differs from the model's own horizon.
        """
        stamps = {model.card.name: f"{model.card.version} {model.card.sha256}" for model in self.active}
        if self.horizon_min not in (None, self.primary.lead_times_min[-1]):
            card = self.primary.card
            stamps[card.name] = f"{card.version} ({self.horizon_min} min ahead) {card.sha256}"
        if self.devices_min:
            own = (f"{device}: {horizon_min} min" for device, horizon_min in sorted(self.devices_min.items()))
            stamps[SETTING_OF_DEVICES] = ", ".join(own)
        return stamps

    @property
    def cards(self) -> list[ModelCard]:
        """The cards of all models, by name."""
        return [predictor.card for _, predictor in sorted(self.by_name.items())]
