"""The outlook: a frozen multi-scale trunk for the first minutes, and an outlook of an hour around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import keras
from keras import ops
from pydantic import Field, PositiveInt

from gapcast.core.streams.quarters import STEPS
from gapcast_trainer.errors import RunError
from gapcast_trainer.families import multiscale
from gapcast_trainer.families.outlook_parts.head import HeadSize, build_head
from gapcast_trainer.families.outlook_parts.history_features import HistoryFeatures, history_features
from gapcast_trainer.families.outlook_parts.window_features import WindowFeatures, window_features
from gapcast_trainer.families.parts.base import Design, Family, Hyper
from gapcast_trainer.families.parts.graph import (
    MEAN,
    QUANTILES,
    by_window,
    concatenate_parts,
    fine_power,
    power_by_minute,
    window_input,
)
from gapcast_trainer.families.parts.multiscale_hyper import MultiscaleHyper

MEAN_TO, QUANTILES_TO, HISTORY = "mean_to", "quantiles_to", "history"
#: Layers of the trunk whose outputs are features.
_BODY_LAYERS = ("dense", "relative_dense")
#: Spread of a house: a share of the deviations of window and week, plus a share of its mean power, plus a minimum, kW.
_SPREAD_SHARE, _LEVEL_SHARE, _LEAST_KW = 0.5, 0.05, 0.1
#: Limit of relative distances; the fine scale is linear up to this many kW.
_LIMIT, _FINE_KW = 8.0, 0.1


class OutlookHyper(Hyper):
    """``body`` are the hyper-parameters of the multi-scale trunk; ``body_minutes`` the number of its lead times.

    Its lead times are 1 to ``body_minutes``, and it needs a ``relative`` expert. ``wide``, ``dense`` and ``relative``
    are the units of the outlook's own layers; ``dropout`` follows the first of them in training.
    """

    body: MultiscaleHyper = MultiscaleHyper()
    body_minutes: PositiveInt = 5
    wide: PositiveInt = 112
    dense: PositiveInt = 80
    relative: PositiveInt = 56
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


@dataclass(frozen=True, slots=True)
class OutlookParts:
    """The frozen part, which turns ``window`` and ``history`` into features, the head, and the whole model."""

    body: keras.Model
    features: keras.Model
    head: keras.Model
    whole: keras.Model


def build_parts(design: Design, hyper: Hyper) -> OutlookParts:
    """Build the model in parts that share their layers.

    ``features`` has the outputs that ``head`` takes as inputs, in its order. Raises :class:`RunError` if the lead times
    do not begin with the body's lead times, or the design has no quantiles.
    """
    if not isinstance(hyper, OutlookHyper):
        msg = f"an outlook model is built from OutlookHyper, not {type(hyper).__name__}"
        raise TypeError(msg)
    leads, levels, n_body = design.task.lead_times_min, design.quantile_levels, hyper.body_minutes
    if leads[:n_body] != tuple(range(1, n_body + 1)) or len(leads) == n_body or levels is None:
        msg = f"an outlook needs quantile_levels and lead times 1 to {n_body} and later ones, not {list(leads)}"
        raise RunError(msg)
    body = _body(design, hyper)
    window, history = window_input(design), keras.Input((STEPS,), name=HISTORY)
    features, near = _features(window, history, body, design)
    n_columns = len(leads) - n_body + len(leads) - 1
    head = build_head(
        features[0].shape[1], features[1].shape[1], n_columns, levels,
        HeadSize(hyper.wide, hyper.dense, hyper.relative, hyper.dropout), design.scale.scale_kw,
    )  # fmt: skip
    columns = head(features)
    far, to = columns[:, : len(leads) - n_body], columns[:, len(leads) - n_body :]
    outputs = {
        MEAN: _named(MEAN, [near[MEAN], far[:, :, 0]]),
        QUANTILES: _named(QUANTILES, [near[QUANTILES], far[:, :, 1:]]),
        MEAN_TO: _named(MEAN_TO, [near[MEAN][:, :1], to[:, :, 0]]),
        QUANTILES_TO: _named(QUANTILES_TO, [near[QUANTILES][:, :1], to[:, :, 1:]]),
    }
    inputs = [window, history]
    return OutlookParts(
        body=body,
        features=keras.Model(inputs, features, name="outlook_features"),
        head=head,
        whole=keras.Model(inputs, outputs, name="outlook"),
    )


def build(design: Design, hyper: Hyper) -> keras.Model:
    """Build the whole unfitted model; its trunk is frozen."""
    return build_parts(design, hyper).whole


def _named(name: str, parts_of_it: list[keras.KerasTensor]) -> keras.KerasTensor:
    return keras.layers.Concatenate(axis=1, name=f"outlook_{name}")(parts_of_it)


def _body(design: Design, hyper: OutlookHyper) -> keras.Model:
    """Return the frozen trunk, with the outputs of :data:`_BODY_LAYERS` in addition to its own."""
    its = replace(design, task=replace(design.task, lead_times_min=design.task.lead_times_min[: hyper.body_minutes]))
    body = multiscale.build(its, hyper.body)
    body.trainable = False
    return body


def _features(
    window: keras.KerasTensor, history: keras.KerasTensor, body: keras.Model, design: Design
) -> tuple[list[keras.KerasTensor], dict[str, keras.KerasTensor]]:
    """Return the inputs of the head, and the outputs of the trunk."""
    opened = keras.Model(
        body.input, {**body.output, **{name: body.get_layer(name).output for name in _BODY_LAYERS}}, name="body"
    )
    near = opened(window)
    kw, clock = power_by_minute(window), window[:, -1, -2:]
    last_kw = by_window([kw[-1:, :]])
    recent = window_features(kw, near)
    week = history_features(history, clock, last_kw)
    spread_kw = _SPREAD_SHARE * (recent.deviation_kw + week.deviation_kw)
    spread_kw = spread_kw + _LEVEL_SHARE * ops.absolute(week.mean_kw) + _LEAST_KW
    distances_kw = ops.concatenate(
        [recent.distances_kw, week.distances_kw, week.widths_kw, recent.deviation_kw], axis=1
    )
    levels = fine_power(_levels_kw(recent, week, last_kw), _FINE_KW)
    absolute = concatenate_parts(
        [
            distances_kw / design.scale.scale_kw,
            levels,
            clock,
            2 * clock[:, :1] * clock[:, 1:],
            1 - 2 * ops.square(clock[:, :1]),
            *(near[name] for name in _BODY_LAYERS),
        ],
        "absolute_features",
    )
    relative = concatenate_parts(
        [ops.clip(distances_kw / spread_kw, -_LIMIT, _LIMIT), 0.5 * ops.log(spread_kw), levels], "relative_features"
    )
    n_far = len(design.task.lead_times_min) - near[MEAN].shape[1]
    return [absolute, relative, spread_kw, _base(near[MEAN], last_kw, n_far)], near


def _levels_kw(recent: WindowFeatures, week: HistoryFeatures, last_kw: keras.KerasTensor) -> keras.KerasTensor:
    """Return powers to show on the fine scale: the newest, and the extremes of the week and the last day."""
    return concatenate_parts([recent.steps_kw, week.distances_kw[:, -4:] + last_kw], "levels_kw")


def _base(mean_kw: keras.KerasTensor, last_kw: keras.KerasTensor, n_far: int) -> keras.KerasTensor:
    """Return the base from which the head's columns are distances.

    The mean until a lead time of the trunk starts from the mean of its minutes; all later means start from the last
    reading.
    """
    n_body = mean_kw.shape[1]
    until = [ops.mean(mean_kw[:, : place + 1], axis=1, keepdims=True) for place in range(1, n_body)]
    return concatenate_parts([*[last_kw] * n_far, *until, *[last_kw] * n_far], "base")


FAMILY = Family("outlook", OutlookHyper, build, takes_history=True)
