"""The model card: what a model file declares."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gapcast.core.models.card import ModelCard
from gapcast.core.windows.window import WindowSpec

WHEN = "2010-01-01T00:00:00Z"
SCORE = {"n": 1, "mse_kw2": 0.2, "mae_kw": 0.2}
CARD: dict[str, Any] = {
    "name": "tiny", "version": "1", "family": "linear", "sha256": "0" * 64, "bytes": 100, "parameters": 3,
    "context": 2, "padding": "oldest", "lead_times_min": [1, 5], "features": [{"name": "gap_kw", "unit": "kW"}],
    "quantile_levels": [0.05, 0.5, 0.95],
    "trained_on": {"source": "UCI", "sha256": "0" * 64, "first": WHEN, "last": WHEN},
    "split": {"train_until": WHEN, "validate_until": WHEN, "test_until": WHEN, "embargo_min": 5},
    "scores": {"model": SCORE, "persistence": SCORE, "skill": 0.0},
    "git_commit": "unknown", "created_at": WHEN,
    "golden": {"window": [[[1.0], [2.0]]], "mean": [[2.0, 2.0]], "quantiles": [[[1, 2, 3], [1, 2, 3]]]},
}  # fmt: skip


def changed(key: str, value: Any) -> dict[str, Any]:
    section, _, inner = key.partition(".")
    return CARD | {section: CARD[section] | {inner: value} if inner else value}


def test_card_declares_what_the_runtime_needs() -> None:
    card = ModelCard.model_validate(CARD)
    assert card.spec == WindowSpec(2, "oldest")
    assert card.horizon_min == 5
    assert ModelCard.model_validate_json(card.model_dump_json()) == card


def test_card_quantiles_that_cross_in_one_example_are_accepted() -> None:
    """As of quantiles that were fitted independently."""
    card = ModelCard.model_validate(changed("golden.quantiles", [[[1, 2, 3], [2, 1.9, 3]]]))
    assert card.golden.quantiles == [[[1, 2, 3], [2, 1.9, 3]]]


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("features", [{"name": "volts", "unit": "V"}], "first feature must be gap_kw, not volts"),
        ("features", [{"name": "gap_kw", "unit": "W"}], "gap_kw is given in kW, not in W"),
        ("features", [{"name": "gap_kw", "unit": "kW"}, {"name": "mood", "unit": "1"}], "unknown feature mood"),
        (
            "features",
            [{"name": "gap_kw", "unit": "kW"}, {"name": "tod_sin", "unit": "1"}, {"name": "voltage_v", "unit": "V"}],
            "measured features come before derived ones",
        ),
        ("lead_times_min", [1, 61], "must end with 60 or less, not 61"),
        ("experiment", {"rate": float("nan")}, "must contain only JSON values"),
        ("hyper_parameters", {"when": object()}, "must contain only JSON values"),
        ("scores.model", SCORE | {"coverage": 1.1}, "less than or equal to 1"),
        ("lead_times_min", [5, 1], "must rise from 1 or more"),
        ("lead_times_min", [0, 5], "must rise from 1 or more"),
        ("lead_times_min", [], "at least 1 item"),
        ("quantile_levels", [0.5, 0.05, 0.95], "must rise between 0 and 1"),
        ("quantile_levels", [0.0, 0.5, 0.9], "must rise between 0 and 1"),
        ("golden.window", [[[1.0]]], r"golden.window must have the shape \[1, 2, 1\]"),
        ("golden.mean", [[2.0]], r"golden.mean must have the shape \[1, 2\]"),
        ("golden.quantiles", [[[1, 2], [1, 2]]], r"golden.quantiles must have the shape \[1, 2, 3\]"),
        ("golden.quantiles", [[[3, 2, 1], [3, 2, 1]]], "golden.quantiles must rise .*; their means are 3, 2, 1"),
        ("golden.mean", [[float("nan"), 2.0]], "finite"),
        ("name", "../escape", "pattern"),
        ("sha256", "abc", "pattern"),
        ("context", 1, "greater than or equal to 2"),
        ("padding", "mirror", "oldest"),
        ("schema_version", 2, "1"),
        ("created_at", "2010-01-01T00:00:00", "timezone"),
        ("colour", "blue", "not permitted"),
    ],
)
def test_card_with_an_impossible_field_is_rejected_by_name(key: str, value: Any, problem: str) -> None:
    document = CARD | {key: value} if key not in CARD and "." not in key else changed(key, value)
    with pytest.raises(ValidationError, match=problem):
        ModelCard.model_validate(document)


def test_card_accepts_experiment_and_quantile_scores() -> None:
    experiment = {"family": "lstm", "units": [32, 16], "loss": {"pinball": 0.5}, "seed": 1, "note": None}
    scores = CARD["scores"] | {"model": SCORE | {"mae_median_kw": 0.19, "coverage": 0.9}}
    card = ModelCard.model_validate(CARD | {"experiment": experiment, "scores": scores})
    assert card.experiment == experiment
    assert (card.scores.model.mae_median_kw, card.scores.model.coverage) == (0.19, 0.9)
    assert (card.scores.persistence.mae_median_kw, card.scores.persistence.coverage) == (None, None)
    assert ModelCard.model_validate_json(card.model_dump_json()) == card
    assert ModelCard.model_validate(CARD).experiment is None


@pytest.mark.parametrize("change", [{"quantile_levels": None}, {"golden": CARD["golden"] | {"quantiles": None}}])
def test_card_golden_quantiles_require_levels(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="exactly where quantile_levels are"):
        ModelCard.model_validate(CARD | change)


def test_card_without_levels_needs_no_golden_quantiles() -> None:
    golden = {key: value for key, value in CARD["golden"].items() if key != "quantiles"}
    card = ModelCard.model_validate(CARD | {"quantile_levels": None, "golden": golden})
    assert card.golden.quantiles is None


def card_with_history(**golden: Any) -> dict[str, Any]:
    parts = {"history": [[0.1, 0.2, 0.3]], "mean_to": [[2.0, 2.0]], "quantiles_to": [[[1, 2, 3], [1, 2, 3]]]}
    both = CARD["golden"] | parts | golden
    return CARD | {"history": {"steps": 3}, "golden": {key: value for key, value in both.items() if value is not None}}


def test_card_with_history_declares_inputs_and_outputs() -> None:
    card = ModelCard.model_validate(card_with_history())
    assert card.history is not None
    assert (card.history.steps, card.history.step_min, card.history_steps) == (3, 15, 3)
    assert card.outputs == ("mean", "quantiles", "mean_to", "quantiles_to")
    assert card.forecasts_means
    assert ModelCard.model_validate_json(card.model_dump_json()) == card


def test_card_without_history_has_none() -> None:
    card = ModelCard.model_validate(CARD)
    assert (card.history, card.history_steps, card.forecasts_means) == (None, 0, False)
    assert card.outputs == ("mean", "quantiles")


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (card_with_history(history=None), "golden.history must be there exactly where history is"),
        (card_with_history() | {"history": None}, "golden.history must be there exactly where history is"),
        (card_with_history(quantiles_to=None), "golden.quantiles_to must be there exactly where mean_to and"),
        (card_with_history(mean_to=None), "golden.quantiles_to must be there exactly where mean_to and"),
        (card_with_history(history=[[1.0]]), r"golden.history must have the shape \[1, 3\]"),
        (card_with_history(mean_to=[[1.0]]), r"golden.mean_to must have the shape \[1, 2\]"),
        (card_with_history(quantiles_to=[[[1.0]]]), r"golden.quantiles_to must have the shape \[1, 2, 3\]"),
        (card_with_history() | {"history": {"steps": 673}}, "less than or equal to 672"),
        (card_with_history() | {"history": {"steps": 0}}, "greater than or equal to 1"),
        (card_with_history() | {"history": {"steps": 3, "step_min": 5}}, "Input should be 15"),
    ],
)
def test_card_with_an_inconsistent_history_is_rejected(document: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ModelCard.model_validate(document)
