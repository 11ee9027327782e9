"""The forests in use: their devices, and their contribution to the ensemble."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.forecasts.outcomes import LEARNED, REFIT
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.forests.forest import OUTPUTS, Forest, ForestBuilder
from gapcast.core.learning.forests.house_forests import HouseForests
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.submeters import measured_name
from gapcast.core.snapshots.state_transfer import transfer_state
from tests.support.houses import FIRST, Smooth, ensemble_engine, ensemble_of

#: Change over the horizon that :func:`constant_forest` predicts, kW: mean, median, lower and upper bound.
CHANGE_KW = (0.5, 0.25, -0.5, 1.0)


def constant_forest(features: tuple[str, ...], change_kw: tuple[float, ...] = CHANGE_KW) -> Forest:
    """A forest that predicts the same change for each window."""
    builder = ForestBuilder(features)
    for kw in change_kw:
        builder.begin_output()
        builder.leaf(builder.begin_tree(), kw)
    return builder.build()


def run(engine: Engine, n: int) -> list[list[list[float]]]:
    """Feed ``n`` minutes of two devices; return mean and median of each member, by outcome."""
    members = []
    for i in range(n):
        readings = [Reading(device, FIRST + i, 1.0 + 0.3 * (i % 4)) for device in ("home", "flat")]
        engine.forecast(engine.accept(readings), 0)
        outcomes, _ = engine.learn()
        if outcomes is not None:
            members += outcomes.members_kw.tolist()
    return members


def test_device_without_a_forest_repeats_the_learned_member() -> None:
    engine = ensemble_engine(refits=True)
    names = ensemble_of(engine).members
    assert names[-3:] == (LEARNED, REFIT, "persistence")
    for mean, median in run(engine, 40):
        assert (mean[-2], median[-2]) == (mean[-3], median[-3])


def test_forest_predicts_only_its_own_device() -> None:
    engine = ensemble_engine(refits=True)
    run(engine, 2)
    forests = engine.horizons.main.forests
    forests.use("home", constant_forest(forests.features.names))
    assert ("home" in forests, "flat" in forests, len(forests)) == (True, False, 1)
    members = run_from(engine, 2, 40)
    for i in range(0, len(members), 2):
        (mean, median), (of_flat, _) = members[i], members[i + 1]
        assert mean[-2] - mean[-1] == pytest.approx(0.5)  # beside persistence
        assert median[-2] - median[-1] == pytest.approx(0.25)
        assert of_flat[-2] == of_flat[-3]


def run_from(engine: Engine, first: int, n: int) -> list[list[list[float]]]:
    members = []
    for i in range(first, n):
        readings = [Reading(device, FIRST + i, 1.0 + 0.3 * (i % 4)) for device in ("home", "flat")]
        engine.forecast(engine.accept(readings), 0)
        outcomes, _ = engine.learn()
        if outcomes is not None and i >= first + 5:  # of forecasts that were made with the forest
            members += outcomes.members_kw.tolist()
    return members


def test_engine_without_refits_has_no_such_member() -> None:
    assert REFIT not in ensemble_of(ensemble_engine()).members
    assert REFIT not in ensemble_of(ensemble_engine(learns=False, refits=True)).members


def test_forgotten_device_loses_its_forest() -> None:
    engine = ensemble_engine(refits=True)
    run(engine, 2)
    forests = engine.horizons.main.forests
    forests.use("home", constant_forest(forests.features.names))
    engine.forget("home")
    assert "home" not in forests


def test_forest_of_other_features_is_refused() -> None:
    forests = HouseForests(60, 5, UTC)
    with pytest.raises(StateError, match="the forest of home was fitted with other features"):
        forests.use("home", constant_forest(("level", "hour")))
    with pytest.raises(StateError, match="other features"):
        forests.use("home", constant_forest(forests.features.names[:2]))
    with pytest.raises(StateError, match="other features"):
        forests.use("home", constant_forest(forests.features.names, CHANGE_KW[: len(OUTPUTS) - 1]))


@pytest.mark.parametrize("device", ["home", "flat"])
def test_forest_of_an_earlier_version_predicts_the_same_over_more_columns(device: str) -> None:
    """It lacks the last columns of the mains, with and without submeters."""
    features = HouseForests(180, 5, UTC, {"home": ("car",)}).features_of(device)
    first_load = features.names.index("car level") if device == "home" else len(features.names)
    names = (*features.names[: features.names.index("hour") + 1], *features.names[first_load:])
    builder = ForestBuilder(names)
    for i in range(len(OUTPUTS)):
        builder.begin_output()
        left, right = builder.split(builder.begin_tree(), len(names) - 1 - i, 0.25, nan_left=True)
        builder.leaf(left, -1.0)
        builder.leaf(right, 1.0)
    earlier = builder.build()
    adapted = features.adapted(earlier)
    assert adapted is not None
    assert adapted.features == features.names
    draw = np.random.default_rng(1)
    columns = draw.normal(0.25, 1.0, (50, len(features.names))).astype(np.float32)
    fewer = columns[:, [features.names.index(name) for name in names]]
    assert np.array_equal(adapted.predict(columns), earlier.predict(fewer))
    assert len(np.unique(adapted.predict(columns))) == 2


def test_forest_with_submeters_needs_those_of_the_device() -> None:
    forests = HouseForests(60, 5, UTC, {"home": ("car", "oven"), "shop": ("oven",), "flat": ()})
    with_both, with_one = (constant_forest(forests.features_of(device).names) for device in ("home", "shop"))
    forests.use("home", with_both)
    forests.use("shop", with_one)
    for device, forest in (("home", with_one), ("shop", with_both), ("flat", with_one)):
        with pytest.raises(StateError, match="with other submeters"):
            forests.use(device, forest)
    without = constant_forest(forests.features.names)
    for device in ("home", "shop", "flat"):
        forests.use(device, without)
    other = HouseForests(60, 5, UTC, {"home": ("oven", "car")})
    forests.use("home", with_both)
    other.adopt(forests)
    assert ("home" in other, "flat" in other) == (False, True), "in another order they are others"


def test_forest_sees_the_submeters_of_its_device() -> None:
    """The forest predicts +1 kW if the oven draws more than 1 kW, -1 kW if less, and +0.25 kW if unknown."""
    forests = HouseForests(30, 5, UTC, {"home": ("car", "oven"), "shop": ("oven",)})
    names = forests.features_of("home").names
    builder = ForestBuilder(names)
    for _ in OUTPUTS:
        builder.begin_output()
        low, high = builder.split(builder.begin_tree(), names.index("oven level"), 1.0, nan_left=False)
        builder.leaf(low, -1.0)
        missing, known = builder.split(high, names.index("car level"), 1.0, nan_left=True)
        builder.leaf(missing, 0.25)
        builder.leaf(known, 1.0)
    forests.use("home", builder.build())
    forests.use("shop", constant_forest(forests.features_of("shop").names))
    windows = np.ones((4, 30), dtype=np.float32)
    submeters_kw = np.full((4, 30, 2), np.nan, dtype=np.float32)
    submeters_kw[0], submeters_kw[1] = (3.0, 2.0), (3.0, 0.0)
    submeters_kw[3, :, 0] = 2.0
    devices, minutes = ["home", "home", "home", "shop"], np.repeat(FIRST, 4)
    predicted_kw = forests.predict(devices, minutes, windows, submeters_kw)
    assert predicted_kw is not None
    assert predicted_kw[:, 0].tolist() == [2.0, 0.0, 1.25, 1.5]
    without = forests.predict(["home"], minutes[:1], windows[:1])
    assert without is not None
    assert without[:, 0].tolist() == [1.25], "as if they were missing"


def test_devices_of_one_batch_have_the_predictions_that_they_have_alone() -> None:
    """Devices without submeters share one computation of their inputs; their windows are in any order."""
    forests = HouseForests(60, 5, UTC, {"home": ("car",)})
    draw = np.random.default_rng(1)
    for device in ("home", "flat", "shop"):
        names, builder = forests.features_of(device).names, ForestBuilder(forests.features_of(device).names)
        for _ in OUTPUTS:
            builder.begin_output()
            low, high = builder.split(builder.begin_tree(), int(draw.integers(30)), 0.1, nan_left=True)
            builder.leaf(low, float(draw.normal()))
            builder.leaf(high, float(draw.normal()))
        assert len(names) > 30
        forests.use(device, builder.build())
    devices = ["flat", "barn", "shop", "home", "flat", "shop", "home"]
    windows = draw.gamma(1.0, 1.0, (len(devices), 60)).astype(np.float32)
    submeters_kw = draw.gamma(1.0, 1.0, (len(devices), 60, 1)).astype(np.float32)
    minutes = FIRST + np.arange(len(devices))
    together = forests.predict(devices, minutes, windows, submeters_kw)
    assert together is not None
    assert np.isnan(together[1]).all()
    for i in (0, 2, 3, 4, 5, 6):
        alone = forests.predict([devices[i]], minutes[i : i + 1], windows[i : i + 1], submeters_kw[i : i + 1])
        assert alone is not None
        assert together[i].tolist() == alone[0].tolist()


def test_engine_passes_the_submeters_to_its_forests() -> None:
    smooth = Smooth()
    submeters = {"home": ("car",)}
    ensemble = Ensemble((smooth,), EnsembleOptions(refits=True, n_submeters=1))
    engine = Engine(smooth, ensemble=ensemble, submeters=submeters)
    names = engine.horizons.main.forests.features_of("home").names
    builder = ForestBuilder(names)
    for _ in OUTPUTS:
        builder.begin_output()
        low, high = builder.split(builder.begin_tree(), names.index("car level"), 1.0, nan_left=True)
        builder.leaf(low, 0.0)
        builder.leaf(high, 0.5)
    engine.horizons.main.forests.use("home", builder.build())
    changes = []
    for i in range(20):
        measured = {measured_name("car"): 7.0} if i < 10 else None
        engine.forecast(engine.accept([Reading("home", FIRST + i, 8.0, measured=measured)]), 0)
        outcomes, _ = engine.learn()
        if outcomes is not None:
            changes += (outcomes.members_kw[:, 0, 2] - outcomes.last_kw).tolist()
    assert engine.ensemble is not None
    assert engine.ensemble.members[2] == REFIT
    assert changes == [0.5] * 9 + [0.0] * 5


@pytest.mark.parametrize(("horizon_min", "context", "n_kept"), [(5, 60, 1), (15, 60, 0), (5, 30, 0)])
def test_forests_move_to_an_engine_that_takes_them(horizon_min: int, context: int, n_kept: int) -> None:
    before, after = HouseForests(60, 5, UTC), HouseForests(context, horizon_min, UTC)
    before.use("home", constant_forest(before.features.names))
    after.adopt(before)
    assert len(after) == n_kept


def test_new_models_keep_the_forests() -> None:
    before, after = ensemble_engine(refits=True), ensemble_engine(refits=True)
    run(before, 2)
    forests = before.horizons.main.forests
    forests.use("home", constant_forest(forests.features.names))
    transfer_state(before, after)
    assert "home" in after.horizons.main.forests


def test_nothing_is_predicted_without_a_forest() -> None:
    forests = HouseForests(30, 5, UTC)
    windows, minutes = np.ones((1, 30), dtype=np.float32), np.array([FIRST])
    assert forests.predict(["home"], minutes, windows) is None
    forests.use("home", constant_forest(forests.features.names))
    assert forests.predict(["flat"], minutes, windows) is None
    predicted_kw = forests.predict(["flat", "home"], np.repeat(minutes, 2), np.repeat(windows, 2, axis=0))
    assert predicted_kw is not None
    assert np.isnan(predicted_kw[0]).all()
    assert predicted_kw[1].tolist() == [1.5, 1.25]


def test_forest_sees_the_local_time_of_the_target() -> None:
    """The forest predicts +1 kW if the target is at 12:00 or later in Brussels, the time to which it was fitted."""
    forests = HouseForests(30, 15, ZoneInfo("Europe/Brussels"))
    builder = ForestBuilder(forests.features.names)
    for _ in OUTPUTS:
        builder.begin_output()
        before, after = builder.split(builder.begin_tree(), forests.features.names.index("hour"), 11.999, nan_left=True)
        builder.leaf(before, 0.0)
        builder.leaf(after, 1.0)
    forests.use("home", builder.build())
    noon = int(datetime(2026, 7, 1, 10, tzinfo=UTC).timestamp()) // 60  # 12:00 in Brussels
    minutes = noon + np.array([-16, -15, 0, 15])
    predicted_kw = forests.predict(["home"] * 4, minutes, np.ones((4, 30), dtype=np.float32))
    assert predicted_kw is not None
    assert predicted_kw[:, 0].tolist() == [1.0, 2.0, 2.0, 2.0]
