"""The replacements in a batch of forecasts, and the windows with values that no reading can have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gapcast.core.arrays.array_types import F32, Flags
from gapcast.core.forecasts.forecast_range import ForecastRange, ForecastReplacements, Replacement
from gapcast.core.horizons.model_set import UnusablePredictions
from gapcast.core.models.predictor import ModelIdentity
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.buffer import Buffers

#: Forecasts replaced because of the learning state: the index of the window, and the value, kW.
ReplacedValues = Sequence[tuple[int, float]]


def replacements_of(
    accepted: AcceptedBatch,
    models: Sequence[ModelIdentity],
    unusable: Mapping[int, UnusablePredictions],
    replaced: ReplacedValues,
    *,
    combines: bool,
) -> ForecastReplacements:
    """Return the replacements of a batch with ``unusable`` predictions, by index of the model.

    ``combines``: whether the published forecasts combine several models; else they come from the first model.
    """
    found: list[Replacement] = []
    if 0 in unusable and not combines:
        which, mean_kw = unusable[0]
        places = np.flatnonzero(which)
        found += (Replacement(accepted.devices[i], "model", float(mean_kw[i])) for i in places.tolist())
    found += (Replacement(accepted.devices[i], "state", value_kw) for i, value_kw in replaced)
    return ForecastReplacements(tuple(models[i].name for i in sorted(unusable)), tuple(found))


def replace_impossible_windows(
    buffers: Buffers,
    accepted: AcceptedBatch,
    measured: F32,
    unusable: Mapping[int, UnusablePredictions],
    replaced: ReplacedValues,
    forecast_range: ForecastRange,
) -> None:
    """Replace impossible values in the buffers of devices whose window in ``measured`` ``[N, context, C]`` has any."""
    touched: Flags = np.zeros(len(accepted.devices), dtype=bool)
    for which, _ in unusable.values():
        touched |= which
    touched[[i for i, _ in replaced]] = True
    for i in np.flatnonzero(touched).tolist():
        if not forecast_range.usable_windows(measured[i, :, : buffers.n_required]).all():
            buffers.replace_impossible_values(accepted.devices[i], forecast_range)
