"""The primary model and the ensemble members that the settings choose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gapcast.app.models import engine_of, load_models
from gapcast.config.settings import Settings
from gapcast.core.errors import ModelError
from gapcast.core.learning.outcomes import LEARNED, PERSISTENCE
from tests.support.models import ModelCopy, default_name, every_feature_model, shipped_models, shipped_names


def settings(models: Path | None = None, **sections: Any) -> Settings:
    return Settings.model_validate({"models": {"path": models or shipped_models()}, **sections})


def members_of(**sections: Any) -> tuple[str, ...]:
    chosen = settings(**sections)
    ensemble = engine_of(chosen, load_models(chosen)).ensemble
    assert ensemble is not None
    return ensemble.members


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder of a primary model, and of others that do not match it, each for its own reason."""
    folder = tmp_path / "models"
    ModelCopy(folder, source=every_feature_model())
    ModelCopy(folder, "lstm-5-3")
    registry = json.dumps({"default": "lstm-5-3"})
    (folder / "registry.json").write_text(registry, encoding="utf-8")
    return folder


def test_members_are_all_compatible_models_primary_first() -> None:
    others = [name for name in shipped_names() if name != default_name()]
    assert members_of() == (default_name(), *others, LEARNED, PERSISTENCE)


def test_members_are_the_named_ones() -> None:
    assert members_of(forecast={"model": "linear", "experts": ["lstm-5-3", "linear"]}) == (
        "linear", "lstm-5-3", LEARNED, PERSISTENCE,
    )  # fmt: skip
    assert members_of(forecast={"model": "linear", "experts": "lstm-5-3 , linear"})[1] == "lstm-5-3"
    assert members_of(forecast={"model": "linear", "experts": []}) == ("linear", LEARNED, PERSISTENCE)


def test_members_without_blend_are_the_named_ones() -> None:
    assert members_of(forecast={"model": "linear", "blend": False}) == ("linear", PERSISTENCE)
    assert members_of(forecast={"model": "linear", "blend": False, "experts": ["lstm-5-3"]}) == (
        "linear", "lstm-5-3", PERSISTENCE,
    )  # fmt: skip
    assert members_of(forecast={"model": "linear", "learn": False, "experts": []}) == ("linear", PERSISTENCE)


def test_settings_reach_the_ensemble() -> None:
    chosen = settings(
        forecast={"model": "linear", "experts": [], "calibrate": False},
        learning={"max_devices": 7, "forgetting": 0.9995},
        limits={"min_kw": -5.0},
    )
    ensemble = engine_of(chosen, load_models(chosen)).ensemble
    assert ensemble is not None
    options = ensemble.options
    assert (options.calibrates, options.max_devices, options.forgetting, options.min_kw) == (False, 7, 0.9995, -5.0)


def test_members_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"there is no model 'oracle' in .*; there are: linear, lstm"):
        load_models(settings(forecast={"experts": ["oracle"]}))


@pytest.mark.parametrize("name", ["blend", "learned", "persistence"])
def test_model_with_a_reserved_name_is_rejected(tmp_path: Path, name: str) -> None:
    ModelCopy(tmp_path / "models", name, source=shipped_models() / "lstm-5-3").card.read_text()
    ModelCopy(tmp_path / "models", "lstm-5-3")
    with pytest.raises(ModelError, match=f"{name}: the model name {name} is reserved; rename the model"):
        load_models(settings(tmp_path / "models"))


def alter(models: Path, name: str, **card: Any) -> None:
    copy = ModelCopy(models, name, source=shipped_models() / "lstm-5-3")
    copy.alter_card(lambda document: document.update(card))
    (models / "registry.json").write_text(json.dumps({"default": "lstm-5-3"}), encoding="utf-8")


CASES = {
    "other features": ({}, "every-feature", "it takes gap_kw, reactive_kvar, voltage_v, current_a, not gap_kw"),
    "other padding": ({"padding": "zero"}, "other", "it pads short windows by zero, not by oldest"),
}


@pytest.mark.parametrize("case", CASES)
def test_members_incompatible_are_rejected_if_named_else_skipped(mixed: Path, case: str) -> None:
    card, name, why = CASES[case]
    if card:
        alter(mixed, name, **card)
    with pytest.raises(ModelError) as refused:
        load_models(settings(mixed, forecast={"experts": [name]}))
    assert str(refused.value) == f"forecast.experts: {name} cannot be combined with lstm-5-3: {why}"
    with capture_logs() as logs:
        assert load_models(settings(mixed)).others == ()
    skipped = {entry["model"]: entry for entry in logs if entry["event"] == "model.not_combined"}
    assert (skipped[name]["why"], skipped[name]["beside"]) == (why, "lstm-5-3")


def test_members_with_fewer_features_are_included(mixed: Path) -> None:
    models = load_models(settings(mixed, forecast={"model": "every-feature"}))
    assert [model.name for model in models.others] == ["lstm-5-3"]
