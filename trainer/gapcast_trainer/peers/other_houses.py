"""LightGBM fitted to the first part of each of several houses, and to all the other houses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from gapcast_trainer.data.split import minute_at
from gapcast_trainer.errors import RunError
from gapcast_trainer.peers.columns import HOUSE_COLUMNS
from gapcast_trainer.peers.house_trees import HouseTrees, house_columns, house_rows
from gapcast_trainer.scores.evaluation_data import EvaluationData
from gapcast_trainer.scores.model_outputs import ModelOutputs

OWN_HISTORY, OTHER_HOUSES = "lightgbm-own", "lightgbm-others"
#: Minimum number of rows for fitting.
_LEAST = 1_000


def descriptions(n_rounds: int) -> dict[str, str]:
    """Return the description of each peer by name."""
    trees = f"LightGBM on {HOUSE_COLUMNS.about}, {n_rounds} rounds"
    return {
        OWN_HISTORY: f"{trees}, fitted to the house's own minutes before",
        OTHER_HOUSES: f"{trees}, fitted to equal parts of the other houses",
    }


def peer_outputs(
    data: Mapping[str, EvaluationData], n_rows: int, n_rounds: int, show: Callable[[str], object]
) -> Iterator[tuple[str, dict[str, ModelOutputs]]]:
    """Yield the forecasts of both peers for the scored minutes of each house, by the names of :func:`descriptions`.

    Each is fitted to at most ``n_rows`` rows in ``n_rounds`` rounds; ``show`` is called with progress messages. Raises
    :class:`RunError` if a house has too few rows before its scored minutes.
    """
    columns = {name: house_columns(of.clean.series, of.span.horizon_min) for name, of in data.items()}
    before = {name: house_rows(columns[name], minute_at(of.span.first), n_rows) for name, of in data.items()}
    for name, rows in before.items():
        if rows.change_kw.size < _LEAST:
            msg = (
                f"{name}: only {rows.change_kw.size:,} windows before {data[name].span.first:%Y-%m-%dT%H:%MZ} to fit "
                f"to, {_LEAST:,} are needed: give more days by --fit-days, or leave the house out"
            )
            raise RunError(msg)
    all_of = {name: house_rows(columns[name], None, n_rows // (len(data) - 1)) for name in data}
    for name, of_house in data.items():
        fitted = {
            OWN_HISTORY: HouseTrees.fitted([before[name]], n_rounds),
            OTHER_HOUSES: HouseTrees.fitted([rows for other, rows in all_of.items() if other != name], n_rounds),
        }
        observed = of_house.minutes.observed_minute
        yield name, {peer: trees.predict(columns[name], observed) for peer, trees in fitted.items()}
        show(f"{name}: " + ", ".join(f"{peer} fitted to {trees.n_rows:,} windows" for peer, trees in fitted.items()))
