"""A batch of devices with different horizons: its parts by horizon, and their results joined in the batch's order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from gapcast.core.forecasts.forecast import Forecasts, HorizonParts, join_forecasts
from gapcast.core.forecasts.forecast_range import ForecastReplacements
from gapcast.core.forecasts.outcomes import PERSISTENCE, Outcomes
from gapcast.core.learning.scores.scores import Scores
from gapcast.core.outlook.outlook import ModelMeans, Outlooks

#: Indices of windows, rising, and the result for these windows.
Part = TypeVar("Part")
Placed = Sequence[tuple[list[int], Part]]


def mixed_forecasts(parts: Placed[Forecasts]) -> Forecasts:
    """Return the forecasts of all ``parts`` of a batch in the order of the batch.

    With several horizons the ensemble weights and paths, whose members and lead times differ, are only in
    :attr:`Forecasts.parts`.
    """
    if len(parts) == 1:
        return parts[0][1]
    where = sorted((place, part, i) for part, (places, _) in enumerate(parts) for i, place in enumerate(places))
    order = [(part, i) for _, part, i in where]

    def column(name: str, *, of_all: bool = True) -> Any:
        columns = [getattr(forecasts, name) for _, forecasts in parts]
        absent = [one is None for one in columns]
        if any(absent) if of_all else all(absent):
            return None
        return [None if columns[part] is None else columns[part][i] for part, i in order]

    first = parts[0][1]
    return replace(
        first,
        **{name: column(name) for name in ("devices", "observed_minutes", "n_observed", "gap_kw")},
        **{name: column(name) for name in ("median_kw", "lower_kw", "upper_kw")},
        **{name: column(name, of_all=False) for name in ("uncontrolled_kw", "planned_kw")},
        path_kw=None,
        shares=None,
        replacements=ForecastReplacements.joined(
            [one.replacements for _, one in parts if one.replacements is not None]
        ),
        parts=HorizonParts(tuple((tuple(places), one) for places, one in parts), tuple(order)),
    )


def join_batches(batches: Sequence[Forecasts]) -> Forecasts:
    """Return the forecasts of all ``batches``, at least one, in order; all have the same time of issue."""
    by_horizon: dict[int, list[tuple[list[int], Forecasts]]] = {}
    n_before = 0
    for batch in batches:
        for places, forecasts in batch.by_horizon():
            moved = [n_before + place for place in places]
            by_horizon.setdefault(forecasts.model.lead_times_min[-1], []).append((moved, forecasts))
        n_before += len(batch)
    return mixed_forecasts(
        [
            ([*chain.from_iterable(places for places, _ in found)], join_forecasts([one for _, one in found]))
            for found in by_horizon.values()
        ]
    )


def join_outlooks(parts: Placed[Outlooks]) -> Outlooks | None:
    """Return the outlooks of all ``parts`` in the order of their places in the batch; None without outlooks."""
    if len(parts) < 2:  # noqa: PLR2004 - a single part has all outlooks
        return parts[0][1] if parts else None
    order = np.argsort([place for places, _ in parts for place in places])
    made = [outlooks for _, outlooks in parts]
    names = [name for one in made for name in one.devices]
    minutes = [minute for one in made for minute in one.observed_minutes]
    means = [one.model_means for one in made if one.model_means is not None]
    return Outlooks(
        made[0].model,
        made[0].issued_at_ms,
        [names[i] for i in order.tolist()],
        [minutes[i] for i in order.tolist()],
        np.concatenate([one.point_kw for one in made])[order],
        np.concatenate([one.mean_kw for one in made])[order],
        ModelMeans(
            *(np.concatenate([getattr(one, column.name) for one in means])[order] for column in fields(ModelMeans))
        ),
    )


def members_of_all(ensembles: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Return the members of all ``ensembles``, each once; persistence, if it is a member, comes last.

    >>> members_of_all([("lstm", "learned", "persistence"), ("outlook", "learned", "persistence")])
    ('lstm', 'learned', 'outlook', 'persistence')
    """
    names = dict.fromkeys(name for members in ensembles for name in members)
    return tuple(sorted(names, key=lambda name: name == PERSISTENCE))


def as_members(outcomes: Outcomes, own: Sequence[str], wanted: Sequence[str]) -> Outcomes:
    """Return ``outcomes`` of the ensemble members ``own`` with the members ``wanted`` instead, NaN for missing ones.

    The result is ``outcomes`` itself, or a copy if the members differ.
    """
    if tuple(own) == tuple(wanted):
        return outcomes
    members_kw = np.full((*outcomes.members_kw.shape[:2], len(wanted)), np.nan)
    for at, name in enumerate(wanted):
        if name in own:
            members_kw[:, :, at] = outcomes.members_kw[:, :, own.index(name)]
    return Outcomes(
        outcomes.rows.copy(),
        outcomes.minutes.copy(),
        outcomes.actual_kw.copy(),
        outcomes.last_kw.copy(),
        members_kw,
        outcomes.published_kw.copy(),
    )


def score_columns(
    main: Scores, others: Mapping[int, Scores], rows: Sequence[int], members: Sequence[str]
) -> dict[str, Any]:
    """Return the columns of the scores of ``members`` for ``rows``, from ``others`` by row, else from ``main``."""
    columns = Scores(members, 0).columns(rows)
    columns.update(main.columns(rows))
    for at, row in enumerate(rows):
        if row in others:
            own = others[row].columns([row])
            for name, column in columns.items():
                column[at] = own[name][0] if name in own else 0
    return columns
