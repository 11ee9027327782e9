"""The inputs of the ensemble: the members' predictions for a batch of windows, before any learned state applies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.device_rows import ALL, rounds_of
from gapcast.core.forecasts.forecast import LOWER, MEDIAN, UPPER
from gapcast.core.forecasts.outcomes import LEARNED, PERSISTENCE, REFIT, SUBMETERED
from gapcast.core.learning.ensemble import conformal_interval
from gapcast.core.learning.online_model.rls_features import BIN_MIN, RlsFeatures
from gapcast.core.learning.submeters.submeter_features import LoadFeatures
from gapcast.core.models.predictor import Prediction, Predictor


@dataclass(frozen=True, slots=True)
class MemberPredictions:
    """The members' predictions for N windows. Power in kW, minutes since the epoch.

    ``rows``, ``minutes`` and ``last_kw`` are ``[N]``. ``bins`` ``[2, N]`` are the half hours of the local day, now and
    at the target; ``windows`` ``[N, context]`` the newest readings; ``columns`` ``[N, D]`` the features of the RLS
    model that need no learned state. ``members_kw`` ``[N, 2, E]`` are mean and median of each member: the values of the
    RLS model are filled in later, the values of the forest are NaN for a device without one. ``bounds_kw`` ``[N, 2]``
    are the first model's own bounds, ``spread_roots`` ``[N, 2]`` the roots of their distances from its median; None
    without bounds. ``is_measured`` ``[N]`` is unset for windows whose newest minute was filled and is no outcome; None:
    all are set. ``loads`` are the submeters' features, None without submeters.
    """

    rows: I64
    minutes: I64
    last_kw: F64
    bins: I64
    windows: F32
    columns: F32
    members_kw: F64
    bounds_kw: F64 | None
    spread_roots: F64 | None
    is_measured: NDArray[np.bool_] | None = None
    loads: LoadFeatures | None = None

    def select(self, which: I64 | slice) -> MemberPredictions:
        """Return the predictions of the selected windows."""
        if which is ALL:
            return self
        return MemberPredictions(
            self.rows[which],
            self.minutes[which],
            self.last_kw[which],
            self.bins[:, which],
            self.windows[which],
            self.columns[which],
            self.members_kw[which],
            None if self.bounds_kw is None else self.bounds_kw[which],
            None if self.spread_roots is None else self.spread_roots[which],
            None if self.is_measured is None else self.is_measured[which],
            None if self.loads is None else self.loads.select(which),
        )

    def without_outcomes(self, filled: Sequence[int]) -> MemberPredictions:
        """Return the same predictions, with the newest minutes of the windows ``filled`` marked as not measured."""
        is_measured = np.ones(len(self.rows), dtype=bool)
        is_measured[np.asarray(filled)] = False
        return replace(self, is_measured=is_measured)

    def rounds(self) -> Iterator[slice | I64]:
        """Yield indices of the N windows in rounds: no device occurs twice in a round, and its windows are in order."""
        return rounds_of(self.rows)


def _pair_slice(first: int, second: int) -> slice:
    """Return a slice with these two indices, which avoids a copy."""
    return slice(first, second + 1, second - first)


class EnsembleInputs:
    """Collects the models' predictions as columns. The first model is the primary one."""

    def __init__(
        self,
        models: Sequence[Predictor],
        zone: tzinfo,
        *,
        learns: bool,
        refits: bool = False,
        has_submeters: bool = False,
    ) -> None:
        """The members are ``models``, the learned members, and persistence, in this order.

        The learned members are the RLS model if the ensemble ``learns``, the forest of a refit if it also ``refits``,
        and with ``has_submeters`` the model of devices with submeters. Raises :class:`ValueError` if the models have
        different horizons.
        """
        horizons_min = {model.name: model.lead_times_min[-1] for model in models}
        if len(set(horizons_min.values())) > 1:
            msg = f"models of different horizons cannot be combined: {horizons_min}"
            raise ValueError(msg)
        self.horizon_min = models[0].lead_times_min[-1]
        self._now_and_target = np.array([[0], [self.horizon_min]])
        levels = [tuple(model.quantile_levels or ()) for model in models]
        #: Number of quantiles of each model.
        self.n_quantiles = [len(own) for own in levels]
        #: Index of each model's median among its quantiles (None without a median), and of the first model's outer
        #: quantiles.
        self.medians = [own.index(MEDIAN) if MEDIAN in own else None for own in levels]
        self.outer = _pair_slice(*map(levels[0].index, (LOWER, UPPER))) if {LOWER, UPPER} <= {*levels[0]} else None
        #: Whether the first model has its own bounds.
        self.has_bounds = self.outer is not None
        with_median = [i for i, median in enumerate(self.medians) if median is not None]
        self._learns = learns
        #: Index among the members of the RLS model, and of the forest; None without it.
        self.learned = len(models) if learns else None
        self.refit = len(models) + 1 if learns and refits else None
        #: The names of the members, in the order of the columns.
        self.members = (
            *(model.name for model in models),
            *((LEARNED,) if learns else ()),
            *((REFIT,) if self.refit is not None else ()),
            *((SUBMETERED,) if has_submeters else ()),
            PERSISTENCE,
        )
        #: Minutes of a window: the longest context of all models.
        self.context = max(model.spec.context for model in models)
        member_columns = [f"{model.name} mean" for model in models] + [f"{models[i].name} median" for i in with_median]
        self.rls_features = RlsFeatures(self.context, member_columns, zone, self.horizon_min)
        #: The feature columns with the first model's mean, and with its median (without a median: its mean).
        self.mean_column, self.median_column = 0, len(models) if 0 in with_median else 0

    def collect(
        self,
        rows: I64,
        minutes: I64,
        windows: F32,
        predictions: Sequence[Prediction],
        forests_kw: F64 | None = None,
    ) -> MemberPredictions:
        """Collect ``predictions``, one per model, for ``windows`` ``[N, context]``, kW, that end at ``minutes``.

        ``forests_kw`` ``[N, 2]`` are mean and median of the devices' forests, NaN for a device without one (None: no
        forests).
        """
        members_kw = np.empty((len(rows), 2, len(self.members)))
        last_kw = windows[:, -1].astype(np.float64)
        means_kw, medians_kw = [], []
        for i, (prediction, median) in enumerate(zip(predictions, self.medians, strict=True)):
            mean_kw = prediction.mean[:, -1]
            members_kw[:, 0, i] = members_kw[:, 1, i] = mean_kw
            means_kw.append(mean_kw)
            if prediction.quantiles is not None and median is not None:
                median_kw = prediction.quantiles[:, -1, median]
                members_kw[:, 1, i] = median_kw
                medians_kw.append(median_kw)
        members_kw[:, 0, -1] = members_kw[:, 1, -1] = last_kw
        if self.refit is not None:
            members_kw[:, :, self.refit] = np.nan if forests_kw is None else forests_kw
        if self._learns:
            local = self.local_minutes(minutes)
            columns = self.rls_features.columns_kw(windows, means_kw + medians_kw, local[1])
            bins = local // BIN_MIN
        else:
            columns = np.zeros((len(rows), self.rls_features.width), dtype=np.float32)
            bins = np.zeros((2, len(rows)), dtype=np.int64)
        bounds = self._bounds(predictions[0])
        return MemberPredictions(rows, minutes, last_kw, bins, windows, columns, members_kw, *bounds)

    def local_minutes(self, minutes: I64) -> I64:
        """Return the minutes of the local day of ``minutes`` ``[N]`` and of their targets, ``[2, N]``."""
        return self.rls_features.local_minute(self._now_and_target + minutes)

    def _bounds(self, prediction: Prediction) -> tuple[F64, F64] | tuple[None, None]:
        quantiles, median = prediction.quantiles, self.medians[0]
        if quantiles is None or self.outer is None:
            return None, None
        outer_kw = quantiles[:, -1, self.outer].astype(np.float64)
        inner_kw = prediction.mean[:, -1] if median is None else quantiles[:, -1, median]
        return outer_kw, conformal_interval.roots(np.abs(outer_kw - inner_kw[:, np.newaxis]))
