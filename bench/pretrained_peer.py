"""Compares a small pretrained model, fracast, with references and a model of gapcast, on a sample of each house.

fracast (85,001 parameters, 344 kB, Apache-2.0) forecasts unseen series from the 2,048 minutes before. It is not a
dependency: install it into a separate environment, with a CPU build of PyTorch.

``python -m bench.pretrained_peer FILE... [--model FOLDER] [--sample N]`` prints, for each clean file of
``gapcast-trainer prepare`` and lead time, MSE and MAE of single minutes and of the means until then. The mean of a
minute is the mean of fracast's nine quantiles, the mean of several minutes is the mean of their means, and the median
of several minutes is the mean of their medians.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.models.predictor import run_model
from gapcast.core.outlook.scores.reference_forecasts import KINDS, REFERENCES, MinutePower
from gapcast.core.streams.quarters import history_windows, quarter_means
from gapcast.core.windows.features import assemble
from gapcast.core.windows.window import cut, fill_short_gaps
from gapcast.predictors.models_folder.files import CARD_FILE
from gapcast.predictors.models_folder.store import load_model, read_card
from gapcast.recordings.formats import clean_file
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.scores.span import is_of, trained_until

LEADS_MIN = (5, 15, 30, 60)
CONTEXT_MIN, _AT_ONCE = 2_048, 20
#: Kind, lead time: mean and median ``[N]`` each.
Forecasts = dict[tuple[str, int], tuple[F64, F64]]


def sample_minutes(series: Series, n: int) -> I64:
    """Return ``n`` positions in ``series``, always the same, after a week and with two days and an hour of readings."""
    known = ~np.isnan(fill_short_gaps(series.gap_kw.astype(np.float32)))
    counts = np.concatenate(([0], np.cumsum(known)))
    places = np.arange(7 * 1_440, series.gap_kw.size - LEADS_MIN[-1])
    is_whole = counts[places + 1 + LEADS_MIN[-1]] - counts[places + 1 - CONTEXT_MIN] == CONTEXT_MIN + LEADS_MIN[-1]
    return np.sort(np.random.default_rng(1).choice(places[is_whole], n, replace=False)).astype(np.int64)


def of_fracast(pretrained: Any, series: Series, places: I64) -> Forecasts:
    """Return the forecasts of fracast."""
    filled = fill_short_gaps(series.gap_kw.astype(np.float32))
    parts = []
    for first in range(0, len(places), _AT_ONCE):
        windows = [filled[at + 1 - CONTEXT_MIN : at + 1] for at in places[first : first + _AT_ONCE].tolist()]
        parts.append(pretrained.forecast_batch(np.stack(windows), horizon=LEADS_MIN[-1]))
    quantiles = np.concatenate(parts).astype(np.float64)
    mean, median = quantiles.mean(axis=2), quantiles[:, :, quantiles.shape[2] // 2]
    found: Forecasts = {}
    for lead in LEADS_MIN:
        found["point", lead] = mean[:, lead - 1], median[:, lead - 1]
        found["mean", lead] = mean[:, :lead].mean(axis=1), median[:, :lead].mean(axis=1)
    return found


def of_model(folder: Path, series: Series, places: I64) -> Forecasts:
    """Return the forecasts of the model in ``folder``, made only from its file."""
    model = load_model(folder)
    windows = cut(series.gap_kw, model.spec)
    kw = windows[np.searchsorted(windows.origin, places)]
    minutes = places + series.first_minute
    quarters = quarter_means(series.gap_kw, series.first_minute)
    history = history_windows(quarters, minutes, kw.mean(axis=1, dtype=np.float64), model.history_steps)
    inputs = assemble(kw[:, :, np.newaxis], minutes, model.features, series.zone)
    prediction = run_model(model, inputs, history)
    median = (model.quantile_levels or ()).index(0.5)
    found: Forecasts = {}
    for kind, mean, quantiles in zip(
        KINDS, (prediction.mean, prediction.mean_to), (prediction.quantiles, prediction.quantiles_to), strict=True
    ):
        if mean is not None and quantiles is not None:
            for lead in LEADS_MIN:
                k = model.lead_times_min.index(lead)
                found[kind, lead] = mean[:, k].astype(np.float64), quantiles[:, k, median].astype(np.float64)
    return found


def main() -> None:
    """Read, forecast and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.pretrained_peer", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="folder of a model with these lead times")
    parser.add_argument("--sample", type=int, default=200, metavar="N", help="forecasts of each house")
    chosen = parser.parse_args()
    pretrained = import_module("fracast.inference").FracastModel.from_pretrained(weights="fp32")
    for path in chosen.files:
        clean = clean_file.read(path)
        series = clean.series
        places = sample_minutes(series, chosen.sample)
        power = MinutePower(series.first_minute, series.gap_kw, series.outcome_kw)
        forecasters = {"fracast": of_fracast(pretrained, series, places)}
        if chosen.model is not None:
            forecasters[chosen.model.name] = of_model(chosen.model, series, places)
            card = read_card(chosen.model / CARD_FILE)
            if is_of(card, clean) or trained_until(card, clean) is not None:
                print(f"{path.stem}: not out of sample for {chosen.model.name}, which was trained on this house")
        print(f"{path.stem}: {len(places)} forecasts, MSE kW2 / MAE kW")
        for kind in range(len(KINDS)):
            for lead in LEADS_MIN:
                actual = power.outcomes_kw(places + series.first_minute, lead)[:, kind]
                references = power.references_kw(places + series.first_minute, lead)[:, kind]
                by_name = {name: (kw, kw) for name, kw in zip(REFERENCES, references.T, strict=True)}
                by_name |= {name: found[KINDS[kind], lead] for name, found in forecasters.items()}
                errors = {name: (mean - actual, median - actual) for name, (mean, median) in by_name.items()}
                shown = (
                    f"{name} {np.nanmean(mean**2):.4f} / {np.nanmean(np.abs(median)):.4f}"
                    for name, (mean, median) in errors.items()
                )
                print(f"  {KINDS[kind]} {lead:>2}: {', '.join(shown)}", flush=True)


if __name__ == "__main__":
    main()
