"""Outlooks of a batch in numpy: the reference of the compiled step, used where no library is available."""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.arrays.device_rows import ALL, DAMAGED, rounds_of
from gapcast.core.outlook.correction.corrected_outlooks import CorrectedOutlooks, OutlookInputs
from gapcast.core.outlook.correction.forecast_alignment import ForecastAlignment, PublishedValues
from gapcast.core.outlook.correction.online_outlook import OnlineOutlook
from gapcast.core.outlook.outlook import CENTRES, LOWER, N_COLUMNS
from gapcast.core.outlook.step.model_outlooks import ModelOutlooks
from gapcast.core.outlook.step.outlook_batch import MadeOutlooks, OutlookBatch


class NumpyOutlooks:
    """Makes outlooks round by round: the readings of a device are learned one after the other."""

    def __init__(self, predictions: ModelOutlooks, alignment: ForecastAlignment, online: OnlineOutlook) -> None:
        """Correct the model's ``predictions`` with ``online``, and align them with the forecasts by ``alignment``."""
        self._predictions, self._alignment, self._online = predictions, alignment, online
        self._unlearned: tuple[OutlookInputs, CorrectedOutlooks] | None = None

    @np.errstate(**DAMAGED)
    def make(self, batch: OutlookBatch) -> MadeOutlooks:
        """Return the outlooks of ``batch``, and store the newest of each device."""
        inputs = self._inputs(batch)
        kw, floor_kw = np.empty((*inputs.model_kw.shape[:2], 2, N_COLUMNS)), np.empty(len(batch.rows))
        for at in rounds_of(inputs.rows):
            self.learn()
            one = inputs if at is ALL else inputs.select(at)
            made = self._online.correct(one)
            self._finish(one, made, batch.published.select(at))
            self._unlearned, kw[at], floor_kw[at] = (one, made), made.kw, made.floor_kw
        self._online.store_newest(inputs.rows, inputs.minutes, batch.issued_at_ms, kw)
        return MadeOutlooks(kw, floor_kw, inputs.quantiles_kw)

    @np.errstate(**DAMAGED)
    def learn(self) -> None:
        """Learn from the outcomes in the readings of the last round."""
        unlearned, self._unlearned = self._unlearned, None
        if unlearned is not None:
            self._online.learn(*unlearned)

    def _finish(self, one: OutlookInputs, made: CorrectedOutlooks, published: PublishedValues) -> None:
        """Make the outlooks ``made`` consistent, in place; replace impossible ones, and reset their devices' state."""
        self._alignment.align(made.kw, published, made.floor_kw)
        bad = self._alignment.impossible(made.kw)
        if bad.size:
            last_kw = one.windows[bad, -1].astype(np.float64)
            kw = self._alignment.persistence(last_kw, made.kw.shape[1])
            floor_kw = kw[:, 0, 0, LOWER]
            one.base_kw[bad] = kw[..., CENTRES]
            self._alignment.align(kw, published.select(bad), floor_kw)
            made.kw[bad] = kw
            made.columns[bad], made.change[bad], made.log_width[bad] = 0.0, 0.0, np.nan
            self._online.reset(one.rows[bad])

    def _inputs(self, batch: OutlookBatch) -> OutlookInputs:
        model_kw, quantiles_kw = self._predict(batch)
        base = self._alignment.base(model_kw, batch.published)
        return OutlookInputs(
            rows=batch.rows,
            minutes=batch.minutes,
            windows=batch.windows,
            is_measured=batch.is_measured,
            model_kw=model_kw,
            quantiles_kw=quantiles_kw,
            base_kw=base.kw,
            published_kw=base.away_kw,
            history=batch.history,
        )

    def _predict(self, batch: OutlookBatch) -> tuple[F64, F64]:
        """Return the model's outlooks ``[N, K, 2, 4]``, and all its quantiles of the means ``[N, K, Q]``.

        Powers are clipped to the range of forecasts. Windows with a faulty value have persistence as outlook.
        """
        kw, quantiles_to_kw = self._predictions.columns_of(batch.prediction)
        outside = self._alignment.impossible(kw)
        if outside.size:
            low_kw, high_kw = self._alignment.range.low_kw, self._alignment.range.high_kw
            bad = outside[self._alignment.range.are_faulty(kw[outside])]
            for values in (kw, quantiles_to_kw):
                values[outside] = np.minimum(np.maximum(values[outside], low_kw), high_kw)
            kw[bad] = self._alignment.persistence(batch.windows[bad, -1].astype(np.float64), kw.shape[1])
            quantiles_to_kw[bad] = self._predictions.spread(kw[bad])
        return kw, quantiles_to_kw
