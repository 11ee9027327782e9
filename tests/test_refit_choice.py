"""``learning.refit``: whether this gateway refits at night."""

from __future__ import annotations

from typing import Any

import pytest

from gapcast.config import refit_choice
from gapcast.config.machine.memory_limit import MemoryLimit
from gapcast.config.refit_choice import LEAST_BYTES, refits, refits_in_backtest
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError


def settings_of(refit: Any, **sections: Any) -> Settings:
    return Settings.model_validate({"learning": {"refit": refit}, **sections})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A machine that is large enough and has LightGBM; a test changes it."""
    given: dict[str, Any] = {"lightgbm": True, "cores": 2, "limit": MemoryLimit(LEAST_BYTES, "the machine")}
    monkeypatch.setattr(refit_choice, "find_spec", lambda _: object() if given["lightgbm"] else None)
    monkeypatch.setattr(refit_choice, "n_usable_processors", lambda: given["cores"])
    monkeypatch.setattr(refit_choice, "read_memory_limit", lambda: given["limit"])
    return given


@pytest.mark.parametrize(
    ("changed", "refit", "at_night", "in_backtest"),
    [
        ({}, "auto", True, True),
        ({}, False, False, False),
        ({}, "false", False, False),
        ({"limit": None}, "auto", True, True),
        ({"limit": MemoryLimit(LEAST_BYTES - 1, "a control group")}, "auto", False, True),
        ({"cores": 1}, "auto", False, True),
        ({"cores": 1}, True, True, True),
        ({"lightgbm": False}, "auto", False, False),
    ],
)
def test_machine_refits(
    machine: dict[str, Any], changed: dict[str, Any], refit: Any, at_night: bool, in_backtest: bool
) -> None:
    machine.update(changed)
    assert refits(settings_of(refit)) is at_night
    assert refits_in_backtest(settings_of(refit)) is in_backtest


@pytest.mark.parametrize(
    ("has_lightgbm", "sections", "problem"),
    [
        (False, {}, r"LightGBM is not installed: install gapcast with its extra 'refit', .*; or set learning.refit"),
        (True, {"forecast": {"blend": False}}, "it needs forecast.blend = true"),
        (True, {"forecast": {"learn": False}}, "forecast.learn = true"),
        (True, {"state": {"keep": False}}, "it needs state.keep = true"),
    ],
)
def test_refit_that_is_asked_for_and_impossible_is_an_error(
    machine: dict[str, Any], has_lightgbm: bool, sections: dict[str, Any], problem: str
) -> None:
    machine["lightgbm"] = has_lightgbm
    with pytest.raises(SettingsError, match=f"learning.refit = true: .*{problem}"):
        refits(settings_of(True, **sections))
    assert refits(settings_of("auto", **sections)) is False


def test_unknown_value_is_refused() -> None:
    with pytest.raises(ValueError, match="refit"):
        settings_of("nightly")
