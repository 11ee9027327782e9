"""The folder of an exported model: its file and its card, checked by the edge's loader."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.card import ModelCard
from gapcast.predictors.models_folder.files import CARD_FILE, MODEL_FILE
from gapcast.predictors.models_folder.store import load_model
from gapcast_trainer.errors import ExportError
from gapcast_trainer.files import reported_if_unwritable
from gapcast_trainer.training.run import Run

#: Error for a model of a clean file without a test part, which is not exported.
NO_TEST = (
    "the clean file has no windows in the test part to score the model on: set data.validate_until and "
    "data.test_until, and train again"
)


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """The exported model, and the results of the checks (kW)."""

    folder: Path
    card: ModelCard
    parity_kw: float
    agreement_kw: float


def training_record(run: Run) -> dict[str, Any]:
    """Return the training record for the card."""
    experiment = run.experiment
    stated = experiment.with_data(experiment.data.model_copy(update={"embargo_min": experiment.embargo_min}))
    return {
        **stated.model_dump(mode="json", exclude={"name", "family", "version"}),
        "scale": asdict(run.scale),
        "time_zone": run.time_zone,
        "versions": run.versions,
        "n_train": run.n_train,
        "n_validate": run.n_validate,
        "best_epoch": run.best_epoch,
        "history": [asdict(epoch) for epoch in run.history],
        **({"start": run.start} if run.start else {}),
        **({"houses": list(run.houses), "left_out": list(run.left_out)} if run.houses else {}),
    }


def shortest_decimals(values: F32) -> Any:
    """Return float32 values as nested lists of the shortest decimals that round-trip."""
    shortest = np.array([float(str(value)) for value in values.ravel()], dtype=np.float64)
    return shortest.reshape(values.shape).tolist()


def _format_card(card: ModelCard) -> str:
    fields = card.model_dump(mode="json", exclude_none=True)
    return "{\n" + ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in fields.items()) + "\n}\n"


def install(content: bytes, card: ModelCard, models: Path) -> Path:
    """Write file and card to a temporary folder, load them with the edge's loader, and then move them into place."""
    with reported_if_unwritable(models):
        models.mkdir(parents=True, exist_ok=True)
        return _install(content, card, models)


def _install(content: bytes, card: ModelCard, models: Path) -> Path:
    with TemporaryDirectory(prefix=".export-", dir=models) as staging:
        staged = Path(staging) / card.name
        staged.mkdir()
        (staged / MODEL_FILE).write_bytes(content)
        (staged / CARD_FILE).write_text(_format_card(card), encoding="utf-8")
        loaded = load_model(staged)
        if loaded.card != card:
            msg = f"model {card.name}: the card changes when read back"
            raise ExportError(msg)
        folder = models / card.name
        folder.mkdir(exist_ok=True)
        for name in (MODEL_FILE, CARD_FILE):
            (staged / name).replace(folder / name)
    return folder
