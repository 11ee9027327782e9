"""The linear model: one weight a lag, solved in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from pydantic import NonNegativeFloat
from tqdm import tqdm

from trainer.datasets.table import F64
from trainer.families.base import Family, Hyper
from trainer.families.graph import forecast_model, scaled, window_input
from trainer.windows import Examples, Task, shorten

_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearHyper(Hyper):
    """``ridge`` is the penalty on squared weights beside the mean squared error (scaled units)."""

    ridge: NonNegativeFloat = 1e-4


def build(task: Task, hyper: Hyper) -> keras.Model:
    """Build the unfitted model: ``context`` weights and a constant for each lead time."""
    window = window_input(task)
    lags = keras.layers.Flatten(name="lags")(scaled(window, hyper))
    change = keras.layers.Dense(len(task.lead_times_min), name="change")(lags)
    return forecast_model("linear", window, change, hyper)


def solve(model: keras.Model, train: Examples, hyper: Hyper, *, progress: bool) -> None:
    """Set the weights that are best for whole and shortened windows together.

    A shortened window is a linear map of the whole one, so the expected squared error over all
    lengths needs the whole windows' second moments alone: no window is drawn at random.
    """
    if not isinstance(hyper, LinearHyper):
        msg = f"a linear model is solved with LinearHyper, not {type(hyper).__name__}"
        raise TypeError(msg)
    spec = train.task.window
    xx, xy = _moments(train, hyper, progress)
    n = spec.context
    gram, moment = np.zeros_like(xx), np.zeros_like(xy)
    for kept in range(2, n + 1):
        share = hyper.short_share / (n - 1) + (1 - hyper.short_share) * (kept == n)
        cut = np.eye(n + 1)
        cut[:n, :n] = shorten(np.eye(n, dtype=np.float32), kept, spec)
        if spec.padding == "zero":  # zero kW is not zero on the scaled axis
            cut[n, : n - kept] = -hyper.mean_kw / hyper.scale_kw
        gram += share * cut.T @ xx @ cut
        moment += share * cut.T @ xy
    penalty = np.diag(np.append(np.full(n, hyper.ridge), 0.0))
    weights = np.linalg.solve(gram + penalty, moment)
    model.get_layer("change").set_weights([weights[:n].astype(np.float32), weights[n].astype(np.float32)])


def _moments(train: Examples, hyper: Hyper, progress: bool) -> tuple[F64, F64]:
    """Return the second moments of (scaled lags, 1) with themselves and with the scaled changes."""
    n, k = train.task.window.context, train.target_kw.shape[1]
    xx, xy = np.zeros((n + 1, n + 1)), np.zeros((n + 1, k))
    with tqdm(total=len(train), unit="window", unit_scale=True, desc="moments", disable=not progress) as bar:
        for window, target_kw in train.batches(_ROWS_AT_ONCE):
            kw = window[:, :, 0].astype(np.float64)
            lags = np.column_stack(((kw - hyper.mean_kw) / hyper.scale_kw, np.ones(len(kw))))
            xx += lags.T @ lags
            xy += lags.T @ ((target_kw - kw[:, -1:]) / hyper.scale_kw)
            bar.update(len(kw))
    return xx / len(train), xy / len(train)


FAMILY = Family("linear", LinearHyper, {"linear": LinearHyper()}, build, solve)
