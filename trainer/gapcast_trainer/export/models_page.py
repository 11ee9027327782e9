"""Generates ``models/README.md`` from the cards: the models, their scores and their training data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gapcast.core.models.card import ModelCard
from gapcast.core.models.card_provenance import ModelScore, TrainedOnHouse
from gapcast.predictors.models_folder.files import CARD_FILE
from gapcast.predictors.models_folder.store import default_model, model_names, read_card
from gapcast_trainer.errors import RunError
from gapcast_trainer.files import write_atomically

PAGE = "README.md"
_NONE = "–"

_HEAD = """# The models

Generated from the cards by `gapcast-trainer models-page`: change the cards, not this page.

Each folder holds `model.tflite` and `card.json`, which describes the file. A model takes windows in physical units,
`[N, context, features]`, oldest minute first, and returns `mean` `[N, K]` in kW for each of its K lead times, the
longest of which is its horizon, and `quantiles` `[N, K, Q]` if it has quantile outputs.
"""

_SCORES = """
Scores at each model's horizon, on the windows of the test part that end with 30 measured readings; no model was fitted
to them. MSE and MAE are of the mean unless stated otherwise; skill is 1 − MSE / MSE of persistence.
"""

_REPRODUCE = """
## Reproduce the scores

Prepare the data that a card names (`gapcast-trainer fetch`, `gapcast-trainer prepare`), then run:

```sh
gapcast-trainer evaluate
```

[docs/evaluation.md](../docs/evaluation.md) describes the measures.

## Licence

The models are licensed under the project's licence, Apache-2.0. UCI's *Individual household electric power
consumption*, on which they were trained if their card says so, is by Georges Hebrail and Alice Berard (2012,
[doi 10.24432/C58K54](https://doi.org/10.24432/C58K54)), under [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/).
Its minutes were used unchanged; missing ones were left out. Models that were also trained on further houses state their
authors and licences above; their minutes were scaled, added to each other and to simulated loads and houses.
"""


def write_page(models: Path) -> Path:
    """Write the page of all models in the folder ``models`` and return its path.

    Raises :class:`RunError` if there are no models.
    """
    path = models / PAGE
    write_atomically(path, models_page(models))
    return path


def models_page(models: Path) -> str:
    """Return the page of all models in the folder ``models``, the default first."""
    names = model_names(models)
    if not names:
        msg = f"{models}: holds no model: make one with `gapcast-trainer export`"
        raise RunError(msg)
    default = default_model(models)
    names.sort(key=lambda name: (name != default, name))
    cards = [read_card(models / name / CARD_FILE) for name in names]
    sections = [_section(card, card.name == default) for card in cards]
    return "\n".join(
        [
            _HEAD,
            _table(cards, default),
            _SCORES,
            _scores(cards),
            *sections,
            _REPRODUCE,
        ]
    )


def _table(cards: Sequence[ModelCard], default: str) -> str:
    return _rows(
        ("model", "family", "context", "features", "lead times", "parameters", "bytes"),
        [
            (
                f"`{card.name}`{' (default)' if card.name == default else ''}",
                card.family,
                f"{card.context} min",
                ", ".join(feature.name for feature in card.features),
                f"{_leads(card)} min",
                f"{card.parameters:,}",
                f"{card.bytes:,}",
            )
            for card in cards
        ],
    )


def _scores(cards: Sequence[ModelCard]) -> str:
    rows = []
    for card in cards:
        model, naive = card.scores.model, card.scores.persistence
        rows.append(
            (
                f"`{card.name}`",
                f"{model.n:,}",
                f"{model.mse_kw2:.4f}",
                f"{naive.mse_kw2:.4f}",
                f"{card.scores.skill:.3f}",
                f"{model.mae_kw:.4f}",
                _format_score(model.mae_median_kw),
                f"{naive.mae_kw:.4f}",
                _format_score(model.coverage),
            )
        )
    heads = (
        "model",
        "windows",
        "MSE kW²",
        "persistence's",
        "skill",
        "MAE kW",
        "median's MAE",
        "persistence's",
        "90 % coverage",
    )
    return _rows(heads, rows)


def _section(card: ModelCard, is_default: bool) -> str:
    data, split = card.trained_on, card.split
    features = ", ".join(f"{feature.name} ({feature.unit})" for feature in card.features)
    levels = ", ".join(str(level) for level in card.quantile_levels or ())
    outputs = f"the mean and the quantiles {levels}" if levels else "the mean"
    facts = (
        f"Family {card.family}, version {card.version}{', the default' if is_default else ''}: "
        f"{card.parameters:,} parameters, {card.bytes:,} bytes.",
        f"Input: {card.context} min of {features}; a short history is padded with {_PADDED[card.padding]}.",
        *_history(card),
        f"Outputs {outputs}, {_leads(card)} min ahead.",
        f"Trained on {data.source}, from {data.first:%Y-%m-%d %H:%M} to {data.last:%Y-%m-%d %H:%M} UTC; "
        f"SHA-256 of the text `{data.sha256}`.",
        *(_further_house(house) for house in data.houses or ()),
        *_simulated_houses(card),
        f"Validated on the time after that until {split.validate_until:%Y-%m-%d}, tested from there until "
        f"{split.test_until:%Y-%m-%d} (exclusive); {split.embargo_min} min between the parts are omitted.",
        _comparison(card.scores.model, card.scores.persistence),
        f"Created {card.created_at:%Y-%m-%d} from commit `{card.git_commit}`; SHA-256 of the file `{card.sha256}`.",
    )
    return "\n".join(["", f"## {card.name}", "", *(f"- {fact}" for fact in facts)])


def _history(card: ModelCard) -> tuple[str, ...]:
    """Return sentences about a model's history input and the means that it forecasts, if it has them."""
    if card.history is None:
        return ()
    days = card.history.steps * card.history.step_min / 1_440
    return (
        f"Second input: {card.history.steps} means of {card.history.step_min} min ({days:g} days), the newest complete "
        "one last.",
        "Two more outputs, of the same shapes: the mean of all minutes until each lead time, and its quantiles.",
    )


def _further_house(house: TrainedOnHouse) -> str:
    return (
        f"Also trained on {house.source} (`{house.name}`, weight {house.weight:g}), from {house.first:%Y-%m-%d} to "
        f"{house.last:%Y-%m-%d}; SHA-256 of the file `{house.sha256}`."
    )


def _simulated_houses(card: ModelCard) -> list[str]:
    sections = card.experiment or {}
    n = max(int(sections.get(name, {}).get("n_simulated", 0)) for name in ("mixing", "outlook"))
    return [f"Also trained on {n} simulated houses of each family of `gapcast-trainer synthesize`."] if n else []


_PADDED = {"oldest": "its oldest reading", "zero": "zero"}


def _comparison(model: ModelScore, naive: ModelScore) -> str:
    mae_kw, of = (model.mae_kw, "mean") if model.mae_median_kw is None else (model.mae_median_kw, "median")
    return (
        f"Compared with persistence: squared error {_change(model.mse_kw2, naive.mse_kw2)}, "
        f"absolute error of the {of} {_change(mae_kw, naive.mae_kw)}."
    )


def _change(found: float, naive: float) -> str:
    change = found / naive - 1
    return f"{abs(100 * change):.1f} % {'lower' if change < 0 else 'higher'}"


def _leads(card: ModelCard) -> str:
    leads = card.lead_times_min
    if len(leads) > 1 and leads == list(range(leads[0], leads[-1] + 1)):
        return f"{leads[0]} to {leads[-1]}"
    return ", ".join(str(lead) for lead in leads)


def _format_score(value: float | None) -> str:
    return _NONE if value is None else f"{value:.4f}"


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---"] + ["---"] * (len(heads) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))
