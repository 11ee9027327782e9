"""An experiment over a synthetic household."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gapcast_trainer.data.split import MinuteSplit
from gapcast_trainer.experiments.experiment import Experiment
from tests.support.uci_files import START

#: Parts of :func:`household`: about 60, 20 and 20 % of it.
SPLIT = MinuteSplit(
    train_until=START + timedelta(minutes=5_400),
    validate_until=START + timedelta(minutes=7_200),
    test_until=START + timedelta(minutes=20_000),
)


def experiment(family: str, name: str = "made-up", **sections: Any) -> Experiment:
    """An experiment over :data:`SPLIT`, with sections as a file would give them."""
    parts = {
        "train_until": SPLIT.train_until,
        "validate_until": SPLIT.validate_until,
        "test_until": SPLIT.test_until,
    }
    return Experiment.model_validate(
        {"name": name, "family": family, **sections, "data": parts | sections.get("data", {})}
    )
