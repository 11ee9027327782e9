"""The page of the models matches their cards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from gapcast.bundled import models_path
from gapcast.core.models.card import ModelCard
from gapcast.core.models.card_provenance import TrainedOnHouse
from gapcast.predictors.models_folder.files import CARD_FILE, REGISTRY_FILE
from gapcast.predictors.models_folder.store import default_model, model_names, read_card
from gapcast_trainer.commands.score_pages import models_page as command
from gapcast_trainer.data.windows import WindowTask
from gapcast_trainer.errors import RunError
from gapcast_trainer.export.models_page import PAGE, models_page
from tests.trainer.cards import card_for

MODELS = models_path()


def put(models: Path, card: ModelCard) -> None:
    (models / card.name).mkdir(parents=True)
    (models / card.name / CARD_FILE).write_text(card.model_dump_json())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Models a and b, b the default with a path and quantiles."""
    rich = card_for(b"b", WindowTask(lead_times_min=(1, 2, 3, 4, 5)), (0.05, 0.5, 0.95), name="b")
    better = rich.scores.model.model_copy(update={"mse_kw2": 0.8, "mae_median_kw": 0.9, "coverage": 0.91})
    scores = rich.scores.model_copy(update={"model": better, "skill": 0.2})
    put(tmp_path, rich.model_copy(update={"scores": scores}))
    put(tmp_path, card_for(b"a", name="a"))
    (tmp_path / REGISTRY_FILE).write_text(json.dumps({"default": "b"}))
    return tmp_path


def test_models_page_is_current() -> None:
    """If this fails, run `gapcast-trainer models-page`."""
    assert (MODELS / PAGE).read_text() == models_page(MODELS)


def test_models_page_has_every_shipped_model() -> None:
    page = models_page(MODELS)
    for name in model_names(MODELS):
        card = read_card(MODELS / name / CARD_FILE)
        assert f"\n## {name}\n" in page
        assert card.sha256 in page
        assert f"{card.scores.model.mse_kw2:.4f}" in page
    assert f"`{default_model(MODELS)}` (default)" in page
    assert "CC BY 4.0" in page


def test_models_page_names_further_houses(folder: Path) -> None:
    card = card_for(b"c", name="c")
    then = card.trained_on.first
    house = TrainedOnHouse(name="big", source="Big house, CC BY 4.0", sha256="1" * 64, first=then, last=then, weight=2)
    put(folder, card.model_copy(update={"trained_on": card.trained_on.model_copy(update={"houses": [house]})}))
    assert "- Also trained on Big house, CC BY 4.0 (`big`, weight 2), from 2020-01-01" in models_page(folder)


def test_models_page_starts_with_the_default(folder: Path) -> None:
    page = models_page(folder)
    assert page.index("## b") < page.index("## a")
    assert "| `b` | 1 | 0.8000 | 1.0000 | 0.200 | 1.0000 | 0.9000 | 1.0000 | 0.9100 |" in page
    assert "Outputs the mean and the quantiles 0.05, 0.5, 0.95, 1 to 5 min ahead." in page
    assert "squared error 20.0 % lower, absolute error of the median 10.0 % lower" in page
    assert "Outputs the mean, 5 min ahead." in page
    assert "| `a` | 1 | 1.0000 | 1.0000 | 0.000 | 1.0000 | – | 1.0000 | – |" in page


def test_models_page_command_writes_it(folder: Path) -> None:
    done = CliRunner().invoke(command, ["--models", str(folder)], catch_exceptions=False)
    assert done.output == f"wrote {folder / PAGE}\n"
    assert (folder / PAGE).read_text() == models_page(folder)


def test_models_page_without_models_is_an_error(folder: Path) -> None:
    for name in ("a", "b"):
        shutil.rmtree(folder / name)
    with pytest.raises(RunError, match="holds no model: make one with"):
        models_page(folder)
