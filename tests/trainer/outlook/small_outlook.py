"""A small outlook model, and small data to train one."""

from __future__ import annotations

from typing import Any

from gapcast_trainer.experiments.experiment import Experiment
from tests.trainer import synthetic

LEADS_MIN, LEVELS = (1, 2, 10, 20), (0.05, 0.25, 0.5, 0.75, 0.95)
FEATURES = ["gap_kw", "tod_sin", "tod_cos"]
CONTEXT = 58
#: A body that is quick to build.
BODY: dict[str, Any] = {
    "near_min": 4, "near_fold": 2, "near_units": [2], "step_min": 6, "far_fold": 3, "far_units": 2,
    "lags": 3, "dense": 3, "head": 2, "relative": 2, "analogs": 2,
}  # fmt: skip


def body_experiment() -> Experiment:
    """The experiment of the body."""
    return synthetic.experiment(
        "multiscale", "body", hyper=BODY, window={"context": CONTEXT, "features": FEATURES},
        outputs={"lead_times_min": (1, 2), "quantile_levels": LEVELS}, descent={"epochs": 1},
    )  # fmt: skip


def outlook_experiment(**sections: Any) -> Experiment:
    """The experiment of the outlook around it."""
    made: dict[str, Any] = {
        "hyper": {"body": BODY, "body_minutes": 2, "wide": 6, "dense": 5, "relative": 4},
        "window": {"context": CONTEXT, "features": FEATURES},
        "outputs": {"lead_times_min": LEADS_MIN, "quantile_levels": LEVELS},
        "descent": {"epochs": 2, "batch_size": 256},
        "mixing": {"n_each": 1},
        "outlook": {"main": 1_000, "n_simulated": 0, "mixture": 50, "n_mixtures": 1},
    }
    return synthetic.experiment("outlook", "next-hour", **(made | sections))
