"""The means behind the outlooks of devices with submeters, from which demands are computed."""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.engine import Engine
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.models.predictor import Predictor
from gapcast.core.outlook.options import OutlookConfig, OutlookOptions
from gapcast.core.outlook.outlook import MEDIAN, Outlooks
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.submeters import measured_name
from gapcast.predictors.baselines import Trend
from tests.core.outlook.runs import LEADS_MIN, process
from tests.core.outlook.test_engine_outlook import Broken
from tests.support.houses import FIRST, Smooth, house_kw
from tests.support.outlook_model import OutlookModel

N_MINUTES = 70
#: Index of the median among the model's quantiles.
MIDDLE = 2


def engine_with(model: Predictor) -> Engine:
    """Return an engine with outlooks of ``model``; the device `home` has a submeter."""
    models = Smooth(lead_times_min=LEADS_MIN), Trend(lead_times_min=LEADS_MIN)
    ensemble = Ensemble(models, EnsembleOptions(n_submeters=1))
    outlook = OutlookConfig(model, OutlookOptions())
    return Engine(models[0], ensemble=ensemble, submeters={"home": ("heater",)}, outlook=outlook)


def outlooks_of(model: Predictor, *devices: str, known: bool = True, at_a_time: int = 1) -> list[Outlooks]:
    """Return the outlooks of houses whose submeter measures 0.3 of their power, or nothing unless ``known``."""
    readings = [
        Reading(device, FIRST + i, kw, False, {measured_name("heater"): 0.3 * kw} if known else None)
        for i, kw in enumerate(house_kw(N_MINUTES).tolist())
        for device in devices or ("home",)
    ]
    found = [outlooks for _, outlooks in process(engine_with(model), readings, at_a_time)]
    return [one for one in found if one is not None]


def quantiles_kw(outlooks: Outlooks) -> F64:
    """Return the quantiles ``[N, K, Q]`` behind ``outlooks``."""
    assert outlooks.model_means is not None
    return outlooks.model_means.quantiles_kw


def test_quantiles_of_a_device_with_submeters_follow_its_published_medians() -> None:
    measured, unknown = outlooks_of(OutlookModel())[-1], outlooks_of(OutlookModel(), known=False)[-1]
    shift_kw = quantiles_kw(measured) - quantiles_kw(unknown)
    np.testing.assert_allclose(np.ptp(shift_kw, axis=-1), 0.0, atol=1e-12)  # all quantiles alike
    np.testing.assert_allclose(quantiles_kw(measured)[0, :, MIDDLE], measured.mean_kw[0, :, MEDIAN], atol=1e-12)
    assert np.abs(shift_kw).max() > 1e-3


def test_quantiles_of_other_devices_are_the_models() -> None:
    *_, both = outlooks_of(OutlookModel(), "home", "shop", at_a_time=2)
    *_, alone = outlooks_of(OutlookModel(), "shop")
    assert both.devices == ["home", "shop"]
    assert quantiles_kw(both)[1].tolist() == quantiles_kw(alone)[0].tolist()
    assert quantiles_kw(both)[0].tolist() != quantiles_kw(both)[1].tolist()


def test_quantiles_of_a_faulty_prediction_follow_persistence() -> None:
    for one in outlooks_of(Broken()):
        np.testing.assert_allclose(quantiles_kw(one)[0, :, MIDDLE], one.mean_kw[0, :, MEDIAN], atol=1e-12)
