"""The graph of an outlook: shapes, quantiles in order, the body within it, and what its history features hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32
from gapcast.core.streams.quarters import STEPS
from gapcast.core.windows.features import assemble
from gapcast_trainer.errors import RunError
from gapcast_trainer.families import find_family
from gapcast_trainer.families.lstm import LstmHyper
from gapcast_trainer.families.outlook import OutlookParts, build_parts
from gapcast_trainer.families.parts.base import Design, Scale
from gapcast_trainer.tflite.convert import keras_outputs
from tests.trainer.outlook.small_outlook import CONTEXT, LEADS_MIN, LEVELS, outlook_experiment

EXPERIMENT = outlook_experiment()
N = 6


@pytest.fixture(scope="module")
def design() -> Design:
    return Design(EXPERIMENT.task(), LEVELS, Scale(1.0, 0.8))


@pytest.fixture(scope="module")
def built(design: Design) -> OutlookParts:
    """A model with random weights."""
    import keras

    keras.utils.set_random_seed(1)
    built = build_parts(design, find_family(EXPERIMENT.family, EXPERIMENT.hyper)[1])
    rng = np.random.default_rng(1)
    built.head.set_weights([weight + rng.normal(0, 0.3, weight.shape) for weight in built.head.get_weights()])
    return built


@pytest.fixture(scope="module")
def inputs() -> tuple[F32, F32]:
    """Windows observed at different minutes of a quarter, and histories."""
    rng = np.random.default_rng(2)
    kw = rng.gamma(1.0, 1.0, (N, CONTEXT, 1)).astype(np.float32)
    windows = assemble(kw, np.arange(N) * 7 + 1_000, EXPERIMENT.task().features)
    return windows, rng.gamma(1.0, 1.0, (N, STEPS)).astype(np.float32)


def test_outlook_outputs_have_a_column_per_lead_time(built: OutlookParts, inputs: tuple[F32, F32]) -> None:
    found = keras_outputs(built.whole, list(inputs))
    k, q = len(LEADS_MIN), len(LEVELS)
    assert {name: values.shape for name, values in found.items()} == {
        "mean": (N, k), "quantiles": (N, k, q), "mean_to": (N, k), "quantiles_to": (N, k, q),
    }  # fmt: skip
    assert all(np.isfinite(values).all() for values in found.values())


def test_outlook_quantiles_never_cross(built: OutlookParts, inputs: tuple[F32, F32]) -> None:
    found = keras_outputs(built.whole, list(inputs))
    for name in ("quantiles", "quantiles_to"):
        assert (np.diff(found[name], axis=2) >= 0).all()


def test_outlook_first_minutes_equal_the_bodys(built: OutlookParts, inputs: tuple[F32, F32]) -> None:
    found, body = keras_outputs(built.whole, list(inputs)), keras_outputs(built.body, inputs[0])
    for name in ("mean", "quantiles"):
        assert found[name][:, :2] == pytest.approx(body[name], abs=1e-6)
        assert found[f"{name}_to"][:, 0] == pytest.approx(found[name][:, 0], abs=0)


def test_outlook_trains_only_the_head(built: OutlookParts) -> None:
    assert len(built.whole.trainable_weights) == len(built.head.trainable_weights) > 0
    assert not built.body.trainable_weights


def test_minute_of_quarter_is_exact_at_each_minute_of_a_day() -> None:
    from gapcast_trainer.families.outlook_parts.history_features import minute_of_quarter

    minutes = np.arange(1_440)
    clock = assemble(np.zeros((1_440, 2, 1), np.float32), minutes, EXPERIMENT.task().features)[:, -1, 1:]
    found = np.asarray(minute_of_quarter(clock))
    assert found == pytest.approx(np.eye(15)[(minutes + 1) % 15], abs=1e-3)


def test_history_features_find_the_same_hour_of_yesterday() -> None:
    """The week has one hour of another power, a day before the next hour: the feature of that hour shows it."""
    from gapcast_trainer.families.outlook_parts.history_features import history_features

    history = np.ones((1, STEPS), np.float32)
    history[0, STEPS - 96 : STEPS - 92] = 5.0
    observed = 1_440 * 3 - 1  # the next minute begins a quarter
    clock = assemble(np.zeros((1, 2, 1), np.float32), np.array([observed]), EXPERIMENT.task().features)[:, -1, 1:]
    found = history_features(history, clock, np.zeros((1, 1), np.float32))
    yesterday = np.asarray(found.distances_kw)[0, :8]  # the next 5, 15, 30 and 60 minutes, and quarters around minutes
    assert yesterday[:4] == pytest.approx([5.0, 5.0, 5.0, 5.0], abs=1e-3)
    assert yesterday[4:7] == pytest.approx([5.0, 5.0, 5.0], abs=1e-3)
    assert yesterday[7] == pytest.approx(1 + 4 * 8 / 15, abs=1e-3)  # of the quarter around minute 60, 8 minutes are in
    assert float(np.asarray(found.mean_kw)[0, 0]) == pytest.approx(1 + 4 * 4 / STEPS, abs=1e-5)


def test_outlook_without_lead_times_beyond_the_body_is_rejected(design: Design) -> None:
    _, hyper = find_family(EXPERIMENT.family, EXPERIMENT.hyper)
    short = replace(design, task=replace(design.task, lead_times_min=(1, 2)))
    with pytest.raises(RunError, match="lead times 1 to 2 and later ones"):
        build_parts(short, hyper)


def test_outlook_of_other_hyperparameters_is_rejected(design: Design) -> None:
    with pytest.raises(TypeError, match="OutlookHyper, not LstmHyper"):
        build_parts(design, LstmHyper())
