"""Pre- or post-padding: the same small network, trained on short windows with four kinds of padding.

Each network forecasts the change from the last reading, so that persistence is its starting point.
Windows, lengths, order, seeds and number of steps are the same for all.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gapcast.core.arrays.array_types import F32, I64
from gapcast.core.windows.window import MIN_OBSERVED
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.study.household import Household, scored_minutes, whole_windows
from gapcast_trainer.study.network_training import compiled
from gapcast_trainer.study.settings import StudySettings
from gapcast_trainer.study.study_errors import errors_of

How = Literal["zeros in front", "oldest in front", "mask in front", "zeros behind"]
CONTEXT = 30
UNITS, BATCH_SIZE, EPOCHS, SEEDS = 16, 1_024, 5, (1, 2)
LEARNING_RATE, LAST_LEARNING_RATE = 0.01, 0.0005
#: Half of the windows are shortened to 2 … 30 readings, as in the training of the shipped models.
SHORT_SHARE = 0.5
#: Divisor of power, about its standard deviation; zero stays zero.
SCALE_KW = 1.1
#: Value of masked minutes, which no house reaches by exporting.
MASKED_KW = -100.0


def fill_up(windows: F32, n_kept: I64, how: How) -> F32:
    """Return ``windows`` ``[N, context]`` with only their newest ``n_kept`` ``[N]`` readings, padded.

    >>> fill_up(np.array([[1, 2, 3, 4]], np.float32), np.array([2]), "oldest in front").tolist()
    [[3.0, 3.0, 3.0, 4.0]]
    >>> fill_up(np.array([[1, 2, 3, 4]], np.float32), np.array([2]), "zeros behind").tolist()
    [[3.0, 4.0, 0.0, 0.0]]
    """
    context = windows.shape[1]
    position = np.arange(context)
    n_lost = (context - n_kept)[:, np.newaxis]
    if how == "zeros behind":
        moved = np.take_along_axis(windows, np.minimum(position + n_lost, context - 1), axis=1)
        return np.where(position < n_kept[:, np.newaxis], moved, np.float32(0))
    oldest = np.take_along_axis(windows, n_lost, axis=1)
    pad: NDArray[np.float32] = {
        "zeros in front": np.zeros_like(oldest),
        "oldest in front": oldest,
        "mask in front": np.full_like(oldest, MASKED_KW),
    }[how]
    return np.where(position < n_lost, pad, windows)


def compare(household: Household, settings: StudySettings) -> dict[str, Any]:
    """Train one network per padding and seed; score each by the number of observed readings, 2 to the context."""
    every = settings.every(6, 400)
    train = whole_windows(household.series, CONTEXT, settings.split, SplitPart.TRAIN)
    train = train.select(np.arange(0, len(train), every, dtype=np.int64))
    windows, target_kw = train.inputs()[:, :, 0], train.target_kw[:, 0]
    test = scored_minutes(household.series, settings.split, every=settings.every(20, 200))
    seen, actual_kw = test.inputs()[:, :, 0], test.target_kw[:, 0]
    seeds = SEEDS[:1] if settings.quick else SEEDS
    ways: list[How] = list(get_args(How))
    runs = [(how, seed) for seed in seeds for how in ways]
    by_readings: dict[str, dict[str, list[float]]] = {how: {} for how in ways}
    for how, seed in tqdm(runs, desc="padding", unit="network", disable=not settings.progress):
        network = _train(windows, target_kw, how, seed, settings)
        for n in (MIN_OBSERVED, CONTEXT) if settings.quick else range(MIN_OBSERVED, CONTEXT + 1):
            kept = np.full(len(seen), n, dtype=np.int64)
            forecast_kw = _forecast(network, fill_up(seen, kept, how), seen[:, -1])
            by_readings[how].setdefault(str(n), []).append(errors_of(forecast_kw, actual_kw)["mse_kw2"])
    return {
        "context": CONTEXT,
        "n_train": len(train),
        "epochs": settings.epochs(EPOCHS),
        "seeds": list(seeds),
        "n_test": len(test),
        "persistence": errors_of(seen[:, -1], actual_kw),
        "by_readings": by_readings,
        "mean_mse_kw2": {how: float(np.mean(list(found.values()))) for how, found in by_readings.items()},
    }


def build(how: How, *, unroll: bool = True) -> keras.Model:
    """Build the network: one LSTM, whose output is the change from the last reading in units of :data:`SCALE_KW`."""
    layers = keras.layers
    nothing = float(np.float32(MASKED_KW) / np.float32(SCALE_KW))  # scaled exactly as the readings
    first = [layers.Masking(nothing)] if how == "mask in front" else []
    return keras.Sequential([keras.Input((CONTEXT, 1)), *first, layers.LSTM(UNITS, unroll=unroll), layers.Dense(1)])


def _train(windows: F32, target_kw: F32, how: How, seed: int, settings: StudySettings) -> keras.Model:
    epochs = settings.epochs(EPOCHS)
    keras.utils.set_random_seed(seed)
    draws = np.random.default_rng(seed)  # the same lengths for every padding
    n_steps = epochs * -(-len(windows) // BATCH_SIZE)

    def optimiser() -> keras.optimizers.Optimizer:
        rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, n_steps, alpha=LAST_LEARNING_RATE / LEARNING_RATE)
        return keras.optimizers.Adam(rate, clipnorm=1.0)

    unroll = not settings.quick
    model = compiled(build(how, unroll=unroll), ("padding", how == "mask in front", unroll, n_steps), optimiser)
    change = (target_kw - windows[:, -1]) / np.float32(SCALE_KW)
    for _ in range(epochs):
        short = draws.random(len(windows)) < SHORT_SHARE
        n_kept = np.where(short, draws.integers(MIN_OBSERVED, CONTEXT + 1, len(windows)), CONTEXT)
        x = fill_up(windows, n_kept, how)[:, :, np.newaxis] / np.float32(SCALE_KW)
        model.fit(x, change, batch_size=BATCH_SIZE, epochs=1, verbose=0)
    return model


def _forecast(model: keras.Model, filled: F32, last_kw: F32) -> F32:
    scaled = filled[:, :, np.newaxis] / np.float32(SCALE_KW)
    forecast_kw: F32 = last_kw + np.float32(SCALE_KW) * model.predict(scaled, batch_size=8_192, verbose=0)[:, 0]
    return forecast_kw
