"""Training on many houses: the drawn examples, their weights, and their record in a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.models_folder.store import load_model
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.data.windows import Examples, WindowTask, cut_examples
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.experiments.sections import Augment, Mixing
from gapcast_trainer.families import find_family
from gapcast_trainer.loads.kinds import library
from gapcast_trainer.synthetic_houses.families import FAMILIES
from gapcast_trainer.training.run import Run, load_run
from gapcast_trainer.training_data import other_houses
from gapcast_trainer.training_data.house_mix import HouseMix
from gapcast_trainer.training_data.training_data import training_data_of
from tests.trainer import synthetic
from tests.trainer.synthetic import SPLIT

TASK = WindowTask(WindowSpec(12), (1, 5), ("gap_kw", "tod_sin", "tod_cos"))
SMALL = {
    "near_min": 4, "near_units": [2], "step_min": 4, "far_units": 0, "lags": 5, "dense": 4, "head": 2, "relative": 2,
}  # fmt: skip
NO_CHANGE = Augment(short_share=0)


def experiment(**sections: Any) -> Experiment:
    """A small model of many houses."""
    sections = {
        "window": {"context": 12},
        "hyper": SMALL,
        "descent": {"epochs": 1, "batch_size": 512},
        "mixing": {"share": 0.5, "n_each": 1},
        "houses": [{"name": "big", "source": "Big house, nobody 2020, CC BY 4.0", "weight": 2.0}],
        **sections,
    }
    return synthetic.experiment("multiscale", **sections)


@pytest.fixture(scope="module")
def big(small: CleanFile) -> CleanFile:
    """The same household with ten times the power."""
    return replace(small, series=replace(small.series, gap_kw=10 * small.series.gap_kw))


def batches(houses: tuple[Examples, ...], mixing: Mixing, *, redraw: bool = True, size: int = 2_000) -> Any:
    from gapcast_trainer.training_data.batches import BatchOptions
    from gapcast_trainer.training_data.house_mix import HouseMix, MixedBatches

    mix = HouseMix(houses, (1.0,) * len(houses), library(1, 1), mixing, 1.0)
    return MixedBatches(mix, BatchOptions(size, NO_CHANGE, 1, redraw=redraw, outputs=("mean", "quantiles")))


def train_part(clean: CleanFile) -> Examples:
    return cut_examples(clean.series, TASK, SPLIT, SplitPart.TRAIN)


def losses_of_persistence(found: Any) -> tuple[float, float]:
    """Weighted squared and absolute error of persistence at the horizon, over a batch."""
    inputs, targets, weights = found
    change = targets["mean"][:, -1] - inputs[:, -1, 0]
    return float(np.mean(change**2 * weights["mean"])), float(np.mean(np.abs(change) * weights["quantiles"]))


def test_mix_draws_houses_in_equal_parts(small: CleanFile) -> None:
    above = replace(small, series=replace(small.series, gap_kw=50 + small.series.gap_kw))
    inputs, _, _ = batches((train_part(small), train_part(above)), Mixing())[0]
    assert (inputs[:, -1, 0] > 25).mean() == pytest.approx(0.5, abs=0.05)


def test_mix_has_the_time_of_day_of_each_house(small: CleanFile) -> None:
    there = replace(small, series=replace(small.series, zone=ZoneInfo("Asia/Tokyo"), gap_kw=50 + small.series.gap_kw))
    houses = train_part(small), train_part(there)
    inputs, _, _ = batches(houses, Mixing())[0]
    own = {window[:, 0].tobytes(): window for house in houses for window in house.inputs()}
    assert 0 < (inputs[:, -1, 0] > 25).sum() < len(inputs)
    for window in inputs[:200]:
        np.testing.assert_array_equal(own[window[:, 0].tobytes()], window)


def test_mix_without_mixtures_has_windows_as_measured(small: CleanFile) -> None:
    train = train_part(small)
    inputs, targets, _ = batches((train,), Mixing())[0]
    own = {window.tobytes(): target for window, target in zip(train.inputs(), train.target_kw, strict=True)}
    for window, target in zip(inputs[:200], targets["mean"][:200], strict=True):
        np.testing.assert_array_equal(own[window.tobytes()], target)


def test_mix_weighs_houses_by_what_persistence_loses(small: CleanFile, big: CleanFile) -> None:
    """A house of ten times the power counts as much as the small one."""
    one, ten = (losses_of_persistence(batches((train_part(clean),), Mixing())[0]) for clean in (small, big))
    assert one == pytest.approx(ten, rel=0.25)
    assert one == pytest.approx((1, 1), abs=0.3)


def test_mix_continues_a_mixture_in_its_targets(small: CleanFile) -> None:
    """Persistence stays finite and usual on mixtures: targets hold the same parts as their windows."""
    flat = replace(small, series=replace(small.series, gap_kw=np.ones_like(small.series.gap_kw)))
    mixing = Mixing(share=1, second_share=1, n_loads=(1.0,), base_share=1)
    inputs, targets, _ = batches((train_part(flat),), mixing)[0]
    np.testing.assert_allclose(targets["mean"], np.repeat(inputs[:, -1:, 0], 2, axis=1), rtol=1e-5)
    assert np.unique(inputs[:, -1, 0].round(3)).size > 500


def test_mix_loads_move_the_windows_that_get_them(small: CleanFile) -> None:
    flat = replace(small, series=replace(small.series, gap_kw=np.ones_like(small.series.gap_kw)))
    inputs, _, _ = batches((train_part(flat),), Mixing(share=0.5, second_share=0, n_loads=(0, 1.0), base_share=0))[0]
    moves = np.ptp(inputs[:, :, 0], axis=1) > 1e-4
    assert 0.1 < moves.mean() <= 0.5


def test_mix_epochs_differ_and_seeds_repeat(small: CleanFile) -> None:
    made, again = (batches((train_part(small),), Mixing(share=0.5)) for _ in range(2))
    first = made[0][0]
    np.testing.assert_array_equal(first, again[0][0])
    made.on_epoch_end()
    assert (made[0][0] != first).any()


def test_mix_to_validate_on_is_the_same_each_time(small: CleanFile) -> None:
    judged = batches((train_part(small),), Mixing(share=1), redraw=False)
    first = judged[0][0]
    judged.on_epoch_end()
    np.testing.assert_array_equal(judged[0][0], first)


@pytest.fixture(scope="module")
def first(small: CleanFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on one house, without the relative expert."""
    from gapcast_trainer.training.fit import fit

    folder = tmp_path_factory.mktemp("runs") / "first"
    fit(experiment(houses=[], mixing={}, hyper=SMALL | {"relative": 0}), small, folder)
    return folder


@pytest.fixture(scope="module")
def second(first: Path, small: CleanFile, big: CleanFile) -> Path:
    """The folder of a run on two houses, with the expert, that started from the first and hardly moved."""
    from gapcast_trainer.training.fit import fit

    still = {"epochs": 1, "batch_size": 512, "learning_rate": 1e-9, "last_learning_rate": 1e-9}
    folder = first.parent / "second"
    fit(experiment(descent=still), small, folder, houses={"big": big}, start=first)
    return folder


def test_run_of_many_houses_exports_a_card_that_names_them(second: Path, small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.export.export import export

    (house,) = load_run(second)[0].others
    assert (house.name, house.weight, house.last.isoformat()) == ("big", 2.0, "2020-01-05T23:59:00+00:00")
    export(second, small, tmp_path / "models")
    assert load_model(tmp_path / "models" / "made-up").card.trained_on.houses == [house]


def test_run_starts_from_the_weights_of_another(first: Path, second: Path) -> None:
    """Layers of the same name and shape start where the other run ended; its name is recorded."""
    run, weights = load_run(second)
    begun, of_first = load_run(first)
    assert run.start == f"made-up 1 {begun.weights_sha256}"
    np.testing.assert_allclose(weights[0], of_first[0], atol=1e-5)


def test_run_ends_with_an_average_of_start_and_trained(first: Path, small: CleanFile, tmp_path: Path) -> None:
    """With a share of nearly 1 the start's layers stay where they were, whatever was learned."""
    from gapcast_trainer.training.fit import fit

    for share in (0.0, 0.999):
        mixing = {"share": 0.5, "n_each": 1, "start_share": share}
        fit(experiment(mixing=mixing), small, tmp_path, start=first)
        moved = np.abs(load_run(tmp_path)[1][0] - load_run(first)[1][0]).max()
        assert (moved < 1e-3) == (share > 0)


def test_run_of_only_new_layers_does_not_change_the_others(first: Path, small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.training.fit import fit

    descent = {"epochs": 1, "batch_size": 512, "only_new": True}
    fit(experiment(descent=descent), small, tmp_path, start=first)
    begun, of_first = load_run(first)
    run, found = load_run(tmp_path)
    named = [dict(_named_weights(*one)) for one in ((begun, of_first), (run, found))]
    shared = [name for name in named[0] if named[0][name].shape == named[1][name].shape]
    assert shared
    assert all(np.array_equal(named[0][name], named[1][name]) for name in shared)
    assert np.abs(named[1]["relative_columns/kernel"]).max() > 0  # zero before the training


def test_run_of_new_layers_alone_without_a_start_is_rejected(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.training.fit import fit

    with pytest.raises(RunError, match=r"only_new keeps the layers of another run: give its folder by --start"):
        fit(experiment(descent={"epochs": 1, "only_new": True}), small, tmp_path)


def _named_weights(run: Run, weights: list[F32]) -> Iterator[tuple[str, F32]]:
    """The weights of a run by layer and name."""
    family, hyper = find_family(run.experiment.family, run.experiment.hyper)
    model = family.build(run.design, hyper)
    names = [f"{layer.name}/{weight.name}" for layer in model.layers for weight in layer.weights]
    yield from zip(names, weights, strict=True)


def test_run_with_simulated_houses_trains_only_on_them(
    small: CleanFile, big: CleanFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are additional houses of the training part; validation uses only real houses."""
    monkeypatch.setattr(other_houses, "FAMILIES", {"central_air": FAMILIES["central_air"]})
    mixing = {"share": 0.5, "n_each": 1, "n_simulated": 2, "simulated_weight": 3.0}
    material = training_data_of(small, experiment(mixing=mixing), {"big": big})
    train, validate = material.train, material.validate
    assert isinstance(train, HouseMix)
    assert isinstance(validate, HouseMix)
    assert train.weights == (1.0, 2.0, 1.5, 1.5)
    assert validate.weights == (1.0, 2.0)
    powers = [house.measured_at(np.arange(100))[:, :, 0].tobytes() for house in train.houses]
    assert len(set(powers)) == len(powers) == 4


def test_run_of_another_family_is_no_start(small: CleanFile, linear_run: Path, tmp_path: Path) -> None:
    from gapcast_trainer.training.fit import fit

    with pytest.raises(RunError, match="no layer of its family linear fits the model: start from a run of the same"):
        fit(experiment(), small, tmp_path, start=linear_run)


def test_run_omits_houses_without_a_file(small: CleanFile) -> None:
    material = training_data_of(small, experiment())
    assert (material.experiment.houses, material.others) == ((), ())


def test_run_house_that_is_not_named_is_rejected(small: CleanFile, big: CleanFile) -> None:
    with pytest.raises(RunError, match="--house tiny: is none of the houses of experiment made-up: they are big"):
        training_data_of(small, experiment(), {"tiny": big})


def test_run_unknown_kind_of_load_is_rejected(small: CleanFile) -> None:
    with pytest.raises(RunError, match=r"mixing\.left_out: there is no kind of load windmill: there are small_comp"):
        training_data_of(small, experiment(mixing={"share": 0.5, "left_out": ["windmill"]}))


def test_run_closed_form_rejects_many_houses(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.training.fit import fit

    mixed = synthetic.experiment("linear", mixing={"share": 0.5, "n_each": 1})
    with pytest.raises(RunError, match="family linear is fitted in closed form, to one house"):
        fit(mixed, small, tmp_path)


def test_experiment_of_one_house_states_no_mixing() -> None:
    """Records of models of one house stay as they were."""
    assert not {"houses", "mixing"} & synthetic.experiment("linear").model_dump(mode="json").keys()
    assert {"houses", "mixing"} <= experiment().model_dump(mode="json").keys()
