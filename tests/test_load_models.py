"""The primary model and the ensemble members that the settings choose."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models, load_usable_models
from gapcast.config.settings import Settings
from gapcast.core.errors import ModelError, ShardError
from gapcast.core.forecasts.outcomes import LEARNED, PERSISTENCE
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.predictors.models_folder.files import read_registry
from gapcast.predictors.models_folder.library import Library
from gapcast.predictors.models_folder.store import read_card
from gapcast.predictors.trials.admission import Admission
from gapcast.predictors.trials.proven_models import ProvenModels
from gapcast.storage.files.locks import ShardLock
from tests.support.disks import open_folder, unprivileged
from tests.support.models import (
    ModelCopy,
    default_name,
    every_feature_model,
    history_model,
    shipped_models,
    shipped_names,
)  # fmt: skip


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
    cards = {name: read_card(shipped_models() / name / "card.json") for name in shipped_names()}
    passed_over = {default_name(), *read_registry(shipped_models()).optional}
    others = [name for name, card in cards.items() if name not in passed_over and not card.history_steps]
    assert members_of() == (default_name(), *others, LEARNED, PERSISTENCE)


def test_members_are_optional_models_only_if_named(tmp_path: Path) -> None:
    for name in ("linear", "lstm-5-3"):
        ModelCopy(tmp_path, name)
    registry = {"default": "lstm-5-3", "optional": ["linear", "removed"]}
    (tmp_path / "registry.json").write_text(json.dumps(registry), encoding="utf-8")
    assert load_models(settings(tmp_path)).others == ()
    assert set(load_models(settings(tmp_path)).by_name) == {"linear", "lstm-5-3"}
    for forecast in ({"experts": ["linear"]}, {"model": "linear"}):
        models = load_models(settings(tmp_path, forecast=forecast))
        assert {model.name for model in (models.primary, *models.others)} == {"linear", "lstm-5-3"}


def test_state_with_optional_members_continues_without_them() -> None:
    wide = settings(forecast={"experts": ["linear", "lstm-5-3"]})
    before, after = engine_of(wide, load_models(wide)), engine_of(settings(), load_models(settings()))
    for minute in range(40):
        before.forecast(before.accept([Reading("home", 21_476_160 + minute, 0.3 + minute % 7 / 10)]), 5)
        before.learn()
    assert restore_snapshot(after, capture_snapshot(before)) == ("", [])
    assert before.ensemble is not None
    assert after.ensemble is not None
    learned, kept = before.ensemble.columns([0]), after.ensemble.columns([0])
    assert learned["experts"].tolist() == ["lstm", "linear", "lstm-5-3", LEARNED, PERSISTENCE]
    assert kept["experts"].tolist() == ["lstm", LEARNED, PERSISTENCE]
    np.testing.assert_array_equal(kept["seen"], learned["seen"])
    places = [learned["experts"].tolist().index(name) for name in kept["experts"].tolist()]
    np.testing.assert_array_equal(kept["memory"], learned["memory"][..., places])


def test_members_installed_over_an_optional_model_join(tmp_path: Path) -> None:
    bundled, own = tmp_path / "bundled", tmp_path / "own"
    ModelCopy(bundled, "linear")
    ModelCopy(bundled, "lstm-5-3")
    (bundled / "registry.json").write_text('{"default": "lstm-5-3", "optional": ["linear"]}', encoding="utf-8")
    library, admission = Library((bundled, own)), Admission(bundled, ProvenModels(None, "runtime"))
    assert load_models(settings(), library, admission).others == ()
    ModelCopy(own, "linear")
    (own / "registry.json").write_text('{"default": "lstm-5-3"}', encoding="utf-8")
    assert [model.name for model in load_models(settings(), library, admission).others] == ["linear"]


def test_installed_models_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    bundled, own = tmp_path / "bundled", tmp_path / ("n" * 300)  # a name that no file can have
    ModelCopy(bundled, "linear")
    (bundled / "registry.json").write_text('{"default": "linear"}', encoding="utf-8")
    library, admission = Library((bundled, own)), Admission(bundled, ProvenModels(None, "runtime"))
    with capture_logs() as logs:
        assert load_usable_models(settings(), library, admission).primary.name == "linear"
    (refused,) = [entry for entry in logs if entry["event"] == "models.refused"]
    assert refused["path"] == str(own)
    assert refused["fix"] == "gapcast starts without it"
    with pytest.raises(ModelError, match="cannot be read"):
        load_usable_models(settings(), Library((own,)), admission)


def test_installed_models_that_may_not_be_read_are_left_out() -> None:
    with open_folder() as folder:
        bundled, own = folder / "bundled", folder / "own"
        ModelCopy(bundled, "linear")
        (bundled / "registry.json").write_text('{"default": "linear"}', encoding="utf-8")
        own.mkdir(mode=0)
        library, admission = Library((bundled, own)), Admission(bundled, ProvenModels(None, "runtime"))
        with unprivileged(), capture_logs() as logs:
            load_usable_models(settings(), library, admission)
    (refused,) = [entry for entry in logs if entry["event"] == "models.refused"]
    assert refused["fix"] == "correct the owner and the mode of this folder; gapcast starts without it"


def test_installed_model_whose_folder_cannot_be_entered_is_left_out() -> None:
    with open_folder() as folder:
        bundled, own = folder / "bundled", folder / "own"
        ModelCopy(bundled, "linear")
        (bundled / "registry.json").write_text('{"default": "linear"}', encoding="utf-8")
        ModelCopy(own, "lstm-5-3").folder.chmod(0)
        (own / "registry.json").unlink()
        library, admission = Library((bundled, own)), Admission(bundled, ProvenModels(None, "runtime"))
        with unprivileged(), capture_logs() as logs:
            assert list(load_usable_models(settings(), library, admission).by_name) == ["linear"]
    (refused,) = [entry for entry in logs if entry["event"] == "models.refused"]
    assert refused["path"] == str(own / "lstm-5-3")


def test_members_with_an_invalid_installed_registry_are_the_bundled(tmp_path: Path) -> None:
    bundled, own = tmp_path / "bundled", tmp_path / "own"
    ModelCopy(bundled, "linear")
    own.mkdir()
    (own / "registry.json").write_text('{"default": "linear", "optional": "linear"}', encoding="utf-8")
    library, admission = Library((bundled, own)), Admission(bundled, ProvenModels(None, "runtime"))
    chosen = settings(forecast={"model": "linear"})
    with capture_logs() as logs:
        assert load_usable_models(chosen, library, admission).primary.name == "linear"
    assert "models.refused" in [entry["event"] for entry in logs]
    (bundled / "registry.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=re.escape(str(bundled / "registry.json"))):
        load_usable_models(chosen, library, admission)


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


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "another horizon": ({"lead_times_min": [3]}, "other", "it forecasts 3 min ahead, not 5"),
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


# --- the main forecast's horizon ---------------------------------------------------------------------


@pytest.fixture
def with_history(tmp_path: Path) -> Path:
    """A folder with the default model, one of a single lead time, and one with a history and more lead times."""
    folder = tmp_path / "models"
    for name in ("with-history", "lstm-5-3", "linear", "lstm"):
        ModelCopy(folder, source=history_model() if name == "with-history" else shipped_models() / name)
    assert json.loads((folder / "registry.json").read_text(encoding="utf-8")) == {"default": "lstm"}
    return folder


def test_model_with_history_is_no_member_by_default(with_history: Path) -> None:
    with capture_logs() as logs:
        models = load_models(settings(with_history))
    assert [model.name for model in models.members] == ["lstm", "linear", "lstm-5-3"]
    assert engine_of(settings(with_history), models).buffers.week is None
    assert [entry for entry in logs if entry["event"] == "model.not_combined"] == [], "it is as it should be"


def test_model_with_history_is_a_member_where_named(with_history: Path) -> None:
    chosen = settings(with_history, forecast={"experts": ["with-history"]})
    models = load_models(chosen)
    assert [model.name for model in models.members] == ["lstm", "with-history"]
    assert [model.lead_times_min for model in models.members] == [(1, 2, 3, 4, 5)] * 2
    assert engine_of(chosen, models).buffers.week is not None


@pytest.mark.parametrize(
    ("horizon_min", "members"),
    [
        (None, ["lstm", "linear", "lstm-5-3"]),
        (5, ["lstm", "linear", "lstm-5-3"]),
        (3, ["lstm", "linear"]),
        (15, ["with-history"]),
        (60, ["with-history"]),
    ],
)
def test_horizon_chooses_the_models_that_have_it(
    with_history: Path, horizon_min: int | None, members: list[str]
) -> None:
    chosen = settings(with_history, forecast={"horizon_min": horizon_min})
    models = load_models(chosen)
    engine = engine_of(chosen, models)
    assert [model.name for model in models.members] == members
    assert {model.lead_times_min[-1] for model in models.members} == {horizon_min or 5}
    assert engine.published_model.lead_times_min[-1] == (horizon_min or 5)
    assert engine.ensemble is not None
    assert engine.ensemble.members == (*members, LEARNED, PERSISTENCE)
    for minute in range(40):
        engine.forecast(engine.accept([Reading("home", 21_000_000 + minute, 0.5 + minute % 4)]), 0)
        engine.learn()
    assert [forecast.horizon_min for forecast in engine.latest()] == [horizon_min or 5]


def test_horizon_equals_the_named_models(with_history: Path) -> None:
    chosen = settings(with_history, forecast={"model": "with-history", "horizon_min": 5, "experts": ["lstm"]})
    models = load_models(chosen)
    assert [model.name for model in models.members] == ["with-history", "lstm"]
    assert models.members[0].lead_times_min == (1, 2, 3, 4, 5)
    alone = load_models(settings(with_history, forecast={"model": "with-history"}))
    assert [model.lead_times_min[-1] for model in alone.members] == [60]


def test_shard_rejects_a_worker_with_another_horizon(with_history: Path, tmp_path: Path) -> None:
    stamps = {
        horizon_min: load_models(settings(with_history, forecast={"horizon_min": horizon_min})).stamps
        for horizon_min in (None, 5, 3)
    }
    lock = ShardLock(tmp_path / "shard")
    for horizon_min in (None, 5):
        lock.acquire(stamps[horizon_min])
        lock.release()
    with pytest.raises(
        ShardError, match=r"with other models \(lstm (\S+) [0-9a-f]{8}, here \1 \(3 min ahead\) [0-9a-f]{8}, "
    ):
        lock.acquire(stamps[3])
    lock.release()


def test_horizon_that_no_model_has_lists_the_possible_ones(with_history: Path) -> None:
    with pytest.raises(ModelError) as refused:
        load_models(settings(with_history, forecast={"horizon_min": 7}))
    assert str(refused.value) == (
        "forecast.horizon_min: no model forecasts 7 min ahead; "
        "possible are 1-5 (linear, lstm); 1-5, 10, 15, 30, 60 (with-history); 5 (lstm-5-3)"
    )


def test_horizon_that_the_named_model_lacks_lists_its_own(with_history: Path) -> None:
    problem = "forecast.horizon_min: model lstm does not forecast 15 min ahead; possible are 1-5"
    with pytest.raises(ModelError, match=problem):
        load_models(settings(with_history, forecast={"model": "lstm", "horizon_min": 15}))


def test_horizon_that_a_named_member_lacks_is_rejected(with_history: Path) -> None:
    problem = "forecast.experts: lstm cannot be combined with with-history: it forecasts 1-5 min ahead, not 15"
    with pytest.raises(ModelError, match=problem):
        load_models(settings(with_history, forecast={"horizon_min": 15, "experts": ["lstm"]}))


@pytest.mark.parametrize("horizon_min", [0, 61, "soon"])
def test_horizon_outside_of_all_cards_is_rejected(horizon_min: object) -> None:
    with pytest.raises(ValueError, match="horizon_min"):
        settings(forecast={"horizon_min": horizon_min})


# --- the outlook model -------------------------------------------------------------------------------


@pytest.fixture
def with_outlook(tmp_path: Path) -> Path:
    """A folder of a primary model of five minutes, and of one that can make outlooks."""
    folder = tmp_path / "models"
    ModelCopy(folder, source=history_model())
    ModelCopy(folder, "lstm-5-3")
    return folder


def test_outlook_model_is_the_named_one_and_no_member(with_outlook: Path) -> None:
    chosen = settings(with_outlook, outlook={"model": "with-history", "max_devices": 7})
    with capture_logs() as logs:
        models = load_models(chosen)
    assert models.outlook is models.by_name["with-history"]
    assert (models.others, models.active) == ((), (models.outlook, models.primary))
    assert {*models.stamps} == {"with-history", "lstm-5-3"}
    assert "model.not_combined" not in {entry["event"] for entry in logs}
    outlooks = engine_of(chosen, models).outlooks
    assert outlooks is not None
    assert (outlooks.model, outlooks.options.max_devices) == (models.outlook, 7)


@pytest.mark.parametrize("off", [{"enabled": False}, {"max_devices": 0}])
def test_outlook_that_is_off_needs_no_model(with_outlook: Path, off: dict[str, Any]) -> None:
    models = load_models(settings(with_outlook, outlook={"model": "oracle", **off}))
    assert (models.outlook, engine_of(settings(with_outlook), models).outlooks) == (None, None)


def test_outlook_without_the_default_model_is_off_and_logged(with_outlook: Path) -> None:
    with capture_logs() as logs:
        assert load_models(settings(with_outlook)).outlook is None
    assert [entry for entry in logs if entry["event"] == "outlook.disabled"] == [
        {"event": "outlook.disabled", "model": "outlook", "why": "it is not installed", "log_level": "info"}
    ]


def test_demand_without_an_outlook_model_is_an_error(with_outlook: Path) -> None:
    limited = settings(with_outlook, demand={"limit_kw": 2.5})
    problem = "demand: a limit needs outlooks, and outlook cannot make them: it is not installed; set outlook.model, or"
    with capture_logs() as logs, pytest.raises(ModelError, match=problem):
        load_models(limited)
    assert "outlook.disabled" not in {one["event"] for one in logs}, "a reload continues with the outlook model in use"


def test_demand_settings_equal_the_engines_options(with_outlook: Path) -> None:
    limited = settings(with_outlook, outlook={"model": "with-history"}, demand={"limit_kw": 2.5, "window_min": 30})
    demands = engine_of(limited, load_models(limited)).demands.forecaster
    assert demands is not None
    assert demands.windows.site_options == limited.demand.site_options(limited.site.zone)
    assert (demands.windows.max_rows, demands.highest_kw) == (100, 100.0)
    without = settings(with_outlook, outlook={"model": "with-history"})
    assert engine_of(without, load_models(without)).demands.forecaster is None


def test_outlook_model_that_is_named_and_missing_is_an_error(with_outlook: Path) -> None:
    with pytest.raises(
        ModelError, match=r"outlook\.model: there is no model 'oracle' in .*; there are: lstm-5-3, with"
    ):
        load_models(settings(with_outlook, outlook={"model": "oracle"}))


@pytest.mark.parametrize(
    ("primary", "name", "problem"),
    [
        ("lstm-5-3", "lstm-5-3", "it does not forecast the mean of all minutes until each lead time"),
        ("with-history", "levels", r"it does not have the quantiles 0\.05, 0\.5 and 0\.95"),
        ("lstm-5-3", "no-five", r"its lead times \(1, .*, 60 min\) do not contain the main forecast's, 5 min"),
        ("lstm-5-3", "padded", "it pads short windows by zero, lstm-5-3 by oldest"),
        ("lstm-5-3", "reactive", "it takes gap_kw, reactive_kvar, and readings have gap_kw"),
    ],
)
def test_outlook_model_that_cannot_is_an_error(with_outlook: Path, primary: str, name: str, problem: str) -> None:
    alter: dict[str, Any] = {
        "levels": lambda card: card.update(quantile_levels=[0.1, 0.25, 0.5, 0.75, 0.9]),
        "no-five": lambda card: card.update(lead_times_min=[1, 2, 3, 4, 6, 10, 15, 30, 60]),
        "reactive": lambda card: card["features"][1].update(name="reactive_kvar", unit="kvar"),
        "padded": lambda card: card.update(padding="zero"),
    }
    if name in alter:
        copy = ModelCopy(with_outlook.parent / name, source=history_model())
        copy.alter_card(alter[name])
        copy.alter_card(lambda card: card.update(name=name))
        copy.folder.rename(with_outlook / name)
    with pytest.raises(ModelError, match=f"outlook.model: {name} cannot make outlooks: {problem}"):
        load_models(settings(with_outlook, outlook={"model": name}, forecast={"model": primary}))
