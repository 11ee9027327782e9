"""Fits trees to a house's own minutes with LightGBM (Ke et al., NIPS 2017), and checks them on the newest days.

This is the only module that imports LightGBM; it runs in a separate process (:mod:`.worker`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm

from gapcast.core.forecasts.forecast import LOWER, MEDIAN, UPPER
from gapcast.core.learning.forests.cycle_features import ANALOG_NAMES, CYCLE_NAMES
from gapcast.core.learning.forests.forest import Forest, ForestBuilder
from gapcast.core.learning.forests.forest_features import ForestFeatures
from gapcast.refit.forest_check import problem_beside_former, problem_beside_persistence, skills_of
from gapcast.refit.forest_examples import ForestExamples, examples_of
from gapcast.refit.forest_file import RefitResult
from gapcast.refit.minutes import RecordedMinutes
from gapcast.refit.worker import FitOptions, FormerForest

#: Part of the windows, the newest, on which a forest is checked before it is fitted to all; at least half a day.
CHECK_SHARE, _LEAST_CHECKED = 0.1, 720
#: The mean is shrunk towards persistence as if this many windows without a change had been fitted: few minutes dominate
#: the squared error of a young house. Measured: docs/decisions/0026-nightly-refit.md.
_PRIOR_WINDOWS = 2_000
_TREES_AT_ONCE = 20
#: Above this many windows: the maximum number of leaves and the minimum number of windows per leaf; below, for a short
#: history.
_LEAVES, _LEAVES_OF_SHORT = ((20_000, 31, 60), (5_000, 15, 20)), (8, 20)
#: Bins of the columns of cycles and analogs: with 255, trees fit noise. docs/decisions/0036-trees-see-cycles.md
_CYCLE_BINS, _COARSE = 24, frozenset((*CYCLE_NAMES, *ANALOG_NAMES))
_COMMON: Mapping[str, Any] = {
    "max_bin": 255,
    "bin_construct_sample_cnt": 40_000,
    "max_depth": 8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "num_threads": 1,
    "seed": 1,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True, slots=True)
class Boosting:
    """Number of trees and learning rate of an output, and the share of the columns that each tree is fitted to."""

    objective: Mapping[str, Any]
    n_trees: int
    learning_rate: float
    feature_fraction: float = 0.3


_OUTPUTS = {
    "mean": Boosting({"objective": "regression", "lambda_l2": 10.0}, 200, 0.05, feature_fraction=0.25),
    "median": Boosting({"objective": "quantile", "alpha": MEDIAN}, 300, 0.1),
    "lower": Boosting({"objective": "quantile", "alpha": LOWER}, 60, 0.1),
    "upper": Boosting({"objective": "quantile", "alpha": UPPER}, 60, 0.1),
}
#: The checked outputs.
_CHECKED = ("mean", "median")


class DutyCycleLimiter:
    """Sleeps as long as this thread has worked since the last call, so that it uses at most half of a processor.

    A callback of LightGBM, for a process that cannot lower its priority.
    """

    def __init__(self) -> None:
        self._since_s = time.thread_time()

    def __call__(self, _environment: object) -> None:
        """Sleep after a tree."""
        time.sleep(max(0.0, time.thread_time() - self._since_s))
        self._since_s = time.thread_time()


def refit(
    house: RecordedMinutes, options: FitOptions, former: FormerForest | None = None, *, rests: bool = False
) -> RefitResult:
    """Fit a forest to the newest minutes of ``house``, if a forest fitted without its newest days does well on them.

    ``former`` is the forest in use: a new forest that is clearly worse on windows that neither has seen is not used.
    ``rests``: pause after each tree for as long as it took.
    """
    callbacks = [DutyCycleLimiter()] if rests else []
    began_s = time.process_time()
    features = ForestFeatures(options.spec.context, options.horizon_min, options.submeters)
    house = house.newest().with_submeters(options.submeters)
    examples = examples_of(house, options, features)
    n = len(examples.change_kw)
    n_checked = max(int(n * CHECK_SHARE), _LEAST_CHECKED)
    fitted = examples.part(slice(0, max(n - n_checked - options.horizon_min, 0)))
    forest, skills, theirs, problem = None, None, None, f"{n:,} windows are too few"
    if len(fitted.change_kw) >= _LEAST_CHECKED:
        checked = examples_of(house, options, features, n_checked)
        candidate = _fit(fitted, features, _CHECKED, callbacks)
        skills = skills_of(candidate, checked)
        problem = problem_beside_persistence(skills)
        theirs_here = features.adapted(former.forest) if former is not None else None
        if former is not None and theirs_here is not None:
            unseen = checked.since(former.fitted_at_min)
            if len(unseen.change_kw) >= _LEAST_CHECKED:
                theirs = skills_of(theirs_here, unseen)
                n_unseen = len(unseen.change_kw)
                problem = problem or problem_beside_former(skills_of(candidate, unseen), theirs, n_unseen)
        forest = None if problem else _fit(examples, features, tuple(_OUTPUTS), callbacks)
    return RefitResult(
        forest,
        problem,
        options.horizon_min,
        n,
        n_checked,
        skills,
        theirs,
        time.process_time() - began_s,
        int(house.minutes[-1]) if len(house) else 0,
    )


def _fit(
    examples: ForestExamples, features: ForestFeatures, outputs: tuple[str, ...], callbacks: Sequence[DutyCycleLimiter]
) -> Forest:
    bins = [_CYCLE_BINS if name in _COARSE else _COMMON["max_bin"] for name in features.names]
    parameters = {**_COMMON, **_regularization(len(examples.change_kw)), "max_bin_by_feature": bins}
    data = lightgbm.Dataset(examples.columns, examples.change_kw, params=parameters, free_raw_data=False)
    builder = ForestBuilder(features.names)
    for output in outputs:
        its = _OUTPUTS[output]
        of_output = {
            **parameters,
            **its.objective,
            "learning_rate": its.learning_rate,
            "feature_fraction": its.feature_fraction,
        }
        booster = lightgbm.train(of_output, data, its.n_trees, callbacks=[*callbacks])
        builder.begin_output()
        n = len(examples.change_kw)
        add_trees(builder, booster, n / (n + _PRIOR_WINDOWS) if output == "mean" else 1.0)
    return builder.build()


def _regularization(n: int) -> Mapping[str, Any]:
    """Return the parameters that depend on the number of windows: a short history is fitted with small trees."""
    found = ((n_leaves, n_in_leaf) for n_least, n_leaves, n_in_leaf in _LEAVES if n > n_least)
    n_leaves, n_in_leaf = next(found, _LEAVES_OF_SHORT)
    return {"num_leaves": n_leaves, "min_data_in_leaf": n_in_leaf}


def add_trees(builder: ForestBuilder, booster: lightgbm.Booster, factor: float = 1.0) -> None:
    """Add the trees of ``booster``, with leaves multiplied by ``factor``, to the current output of ``builder``."""
    for tree in _dumped(booster):
        waiting = [(builder.begin_tree(), tree["tree_structure"])]
        while waiting:
            node, its = waiting.pop()
            if "leaf_value" in its:
                builder.leaf(node, factor * float(its["leaf_value"]))
                continue
            # Without a missing value in the data of a split, LightGBM treats NaN as 0.
            nan_left = its["default_left"] if its["missing_type"] == "NaN" else its["threshold"] >= 0
            left, right = builder.split(
                node, int(its["split_feature"]), float(its["threshold"]), nan_left=bool(nan_left)
            )
            waiting += [(left, its["left_child"]), (right, its["right_child"])]


def _dumped(booster: lightgbm.Booster) -> Iterator[Mapping[str, Any]]:
    """Yield the description of each tree; the descriptions of all trees at once would take tens of megabytes."""
    for first in range(0, booster.num_trees(), _TREES_AT_ONCE):
        yield from booster.dump_model(num_iteration=_TREES_AT_ONCE, start_iteration=first)["tree_info"]
