"""The parts of an engine: forecasters, buffers, demands, history and plans, and how they are joined."""

from __future__ import annotations

from datetime import UTC, tzinfo

from gapcast.core.buffer import Buffers
from gapcast.core.demand.engine_part import DemandPart
from gapcast.core.demand.options import DemandPlan
from gapcast.core.forecast_range import WIDEST, ForecastRange
from gapcast.core.history import History
from gapcast.core.horizon_forecaster import DeviceHorizons, HorizonForecaster, HorizonModels, OutlookMaker
from gapcast.core.horizons import Horizons
from gapcast.core.latest import Latest
from gapcast.core.learning.drift import Drift
from gapcast.core.learning.ensemble import Ensemble
from gapcast.core.learning.house_forests import HouseForests
from gapcast.core.learning.scores import Scores
from gapcast.core.outlook.engine_part import OutlookPart
from gapcast.core.outlook.options import OutlookOptions
from gapcast.core.outlook.week import WeekHistory
from gapcast.core.predictor import ModelIdentity, Predictor, history_steps_of
from gapcast.core.reading import Limits
from gapcast.core.submeters import Submeters
from gapcast.core.window import WindowSpec


class EngineParts:
    """Builds the parts of an engine and holds them; those of the main horizon are its attributes."""

    def __init__(  # noqa: PLR0913 - each has a default
        self,
        model: Predictor,
        max_devices: int = 100_000,
        zone: tzinfo = UTC,
        *,
        includes_path: bool = True,
        ensemble: Ensemble | None = None,
        history: History | None = None,
        limits: Limits = WIDEST,
        submeters: Submeters | None = None,
        outlook_model: Predictor | None = None,
        outlook: OutlookOptions | None = None,
        demand: DemandPlan | None = None,
        horizons: DeviceHorizons | None = None,
    ) -> None:
        """Forecast at most ``max_devices`` devices with ``model``; the time of day is that of ``zone``.

        ``includes_path``: whether forecasts hold the mean of each lead time, if the model has several. ``ensemble``,
        whose first model is ``model``, makes the published forecast and learns from outcomes (None: ``model`` alone).
        ``history`` stores readings and forecasts (None: nothing is stored). ``limits`` are those of readings; they
        determine the range of forecasts. With an ``ensemble`` its options hold the limits. ``outlook_model`` makes the
        outlooks by the options ``outlook`` (None: the defaults); without one there are none. ``demand`` has the limits
        of billing windows (None: there are none), which need outlooks. ``horizons`` are those that single devices have
        of their own, with their models (None: all devices have that of ``model``).
        """
        self.zone = zone
        #: Limits of readings, and the range of forecasts.
        self.limits = limits = limits if ensemble is None else ensemble.limits
        self.forecast_range = ForecastRange.of(limits)
        self.includes_path = includes_path
        maker = None if outlook_model is None else OutlookMaker(outlook_model, outlook or OutlookOptions())

        def forecaster(models: HorizonModels) -> HorizonForecaster:
            return HorizonForecaster(models, zone, limits, maker, includes_path=includes_path)

        own = horizons or DeviceHorizons({}, ())
        #: The forecasters of all horizons.
        self.horizons = found = Horizons(
            forecaster(HorizonModels(model, ensemble)), own.of_devices, [*map(forecaster, own.models)]
        )
        self.buffers = Buffers(
            WindowSpec(found.context, model.spec.padding),
            max_devices,
            found.main.panel.channels,
            n_counted=found.n_counted,
            submeters=submeters,
            week=self._week(max_devices, maker),
        )
        for one in found.all:
            one.use_submeters(self.buffers.submeters)
        #: The demand of billing windows; None without a limit or outlook.
        self.demands: DemandPart | None = None
        if demand is not None and demand.is_limited and self.outlooks is not None:
            self.demands = DemandPart(
                demand, self.outlooks.model, self.outlooks.options.max_devices, self.limits.max_kw
            )
            self.buffers.billing = self.demands.windows
        self.history = history or History()
        #: Announced loads.
        self.plans = found.plans(has_outcomes=ensemble is not None)

    def _week(self, max_devices: int, maker: OutlookMaker | None) -> WeekHistory | None:
        """Return the quarter-hours of as many devices as the models take them for; None if none does."""
        n_rows, ensemble = 0, self.ensemble
        if self.horizons.takes_history:
            n_rows = max_devices if ensemble is None else ensemble.options.max_devices
        if maker is not None and history_steps_of(maker.model):
            n_rows = max(n_rows, min(maker.options.max_devices, max_devices))
        return WeekHistory(n_rows) if n_rows else None

    @property
    def model(self) -> Predictor:
        """The primary model."""
        return self.horizons.main.model

    @property
    def ensemble(self) -> Ensemble | None:
        """The ensemble of the main forecaster, None without one."""
        return self.horizons.main.ensemble

    @property
    def published_model(self) -> ModelIdentity:
        """The model identity that forecasts of the main horizon are published under."""
        return self.horizons.main.published_model

    @property
    def outlooks(self) -> OutlookPart | None:
        """The outlook of the main forecaster; None without one, and then no device has one."""
        return self.horizons.main.outlooks

    @property
    def scores(self) -> Scores:
        """Forecast accuracy at the main horizon, by row of the buffers."""
        return self.horizons.main.scores

    @property
    def drift(self) -> Drift:
        """Drift at the main horizon, by row of the buffers."""
        return self.horizons.main.drift

    @property
    def forests(self) -> HouseForests:
        """The trees of the night's refit at the main horizon, by device."""
        return self.horizons.main.forests

    @property
    def newest(self) -> Latest:
        """The newest forecasts of the main horizon, by row of the buffers."""
        return self.horizons.main.newest

    def forecaster_of(self, device: str) -> HorizonForecaster:
        """Return the forecaster of ``device``, which may be unknown yet."""
        return self.horizons.of(device)

    def horizon_of(self, device: str) -> int:
        """Return the horizon of ``device``, minutes."""
        return self.horizons.of(device).horizon_min
