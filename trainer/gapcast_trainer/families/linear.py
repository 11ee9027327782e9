"""The linear model: one weight per lag and per clock feature, solved in closed form."""

from __future__ import annotations

import keras
import numpy as np
from pydantic import NonNegativeFloat
from tqdm import tqdm

from gapcast.core.arrays.array_types import F64
from gapcast_trainer.data.windows import Learnable, shorten
from gapcast_trainer.experiments.sections import Augment
from gapcast_trainer.families.parts.base import Design, Family, Hyper
from gapcast_trainer.families.parts.graph import clock, concatenate_parts, power, scaled, window_input
from gapcast_trainer.families.parts.outputs import close

_ROWS_AT_ONCE = 65_536


class LinearHyper(Hyper):
    """``ridge`` is the penalty on squared weights, relative to the mean squared error (scaled units)."""

    ridge: NonNegativeFloat = 1e-4


def build(design: Design, hyper: Hyper) -> keras.Model:
    """Build the unfitted model: a weight for each lag and clock feature and a constant, for each lead time."""
    del hyper
    window = window_input(design)
    lags = keras.layers.Flatten(name="lags")(scaled(power(window), design))
    seen = concatenate_parts([lags, *clock(window, design)], "seen")
    change = keras.layers.Dense(len(design.task.lead_times_min), name="change")(seen)
    return close("linear", window, design, change, seen)


def solve(
    model: keras.Model, train: Learnable, design: Design, hyper: Hyper, augment: Augment, *, progress: bool
) -> None:
    """Set the mean's weights to the optimum for whole and shortened windows together.

    A shortened window is a linear map of the whole window, so the expected squared error over all lengths needs only
    the whole windows' second moments: no window is drawn at random.
    """
    if not isinstance(hyper, LinearHyper):
        msg = f"a linear model is solved with LinearHyper, not {type(hyper).__name__}"
        raise TypeError(msg)
    spec, n = train.task.window, train.task.window.context
    xx, xy = _moments(train, design, progress)
    gram, moment = np.zeros_like(xx), np.zeros_like(xy)
    for kept, share in zip(*augment.lengths(n), strict=True):
        cut = np.eye(len(xx))
        cut[:n, :n] = shorten(np.eye(n, dtype=np.float32), int(kept), spec)
        if spec.padding == "zero":  # zero kW is not zero on the scaled axis
            cut[-1, : n - kept] = -design.scale.mean_kw / design.scale.scale_kw
        gram += share * cut.T @ xx @ cut
        moment += share * cut.T @ xy
    penalty = np.diag(np.append(np.full(len(xx) - 1, hyper.ridge), 0.0))
    weights = np.linalg.solve(gram + penalty, moment)
    layer = model.get_layer("change")
    layer.set_weights([weights[:-1].astype(np.float32), weights[-1].astype(np.float32)])
    layer.trainable = False


def _moments(train: Learnable, design: Design, progress: bool) -> tuple[F64, F64]:
    """Return the second moments of (scaled lags, clock, 1) with themselves and with the scaled changes."""
    scale = design.scale
    n_measured = train.n_measured
    sums: list[F64] = []
    with tqdm(total=len(train), unit="window", unit_scale=True, desc="moments", disable=not progress) as bar:
        for window, target_kw in train.batches(_ROWS_AT_ONCE):
            kw = window[:, :, 0].astype(np.float64)
            seen = np.column_stack(
                ((kw - scale.mean_kw) / scale.scale_kw, window[:, -1, n_measured:].astype(np.float64), np.ones(len(kw)))
            )
            changes = (target_kw - kw[:, -1:]) / scale.scale_kw
            found = [seen.T @ seen, seen.T @ changes]
            sums = found if not sums else [total + part for total, part in zip(sums, found, strict=True)]
            bar.update(len(kw))
    return sums[0] / len(train), sums[1] / len(train)


FAMILY = Family("linear", LinearHyper, build, solve)
