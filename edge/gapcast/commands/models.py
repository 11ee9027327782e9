"""``gapcast models``: list, install and remove models."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from gapcast.commands.options import read_settings, settings_options
from gapcast.config.settings import Settings
from gapcast.core.documents.message_format import listed
from gapcast.core.models.card import ModelCard
from gapcast.core.time_grid import DAY_MIN
from gapcast.text.terminal_text import printable

#: The beginning of the source of a model of a training set.
_SET_OF = re.compile(r"^[\d,]+ houses? of ")
#: Maximum number of left-out houses that are listed by name.
_N_LISTED = 5


@click.group(invoke_without_command=True, short_help="List models with their scores; install and remove them.")
@settings_options
@click.pass_context
def models(ctx: click.Context, config: Path | None, assignments: tuple[str, ...]) -> None:
    """List the available models with their scores, or install and remove models.

    * marks the primary model. Without an ensemble (forecast.blend = false), its forecasts are published.
    The scores are from the models' cards, grouped by their test data; only scores on the same data are comparable.
    """
    if ctx.invoked_subcommand is not None:
        ctx.obj = (config, assignments)
        return
    from gapcast.app.models.models import load_models
    from gapcast.observability.logs import configure_logs

    configure_logs("auto", "warning")
    loaded = load_models(read_settings(config, assignments))
    by_data: dict[tuple[str, tuple[str, ...]], list[ModelCard]] = {}
    for card in loaded.cards:
        by_data.setdefault((_test_data(card), _left_out_houses(card)), []).append(card)
    for (data, _), cards in by_data.items():
        click.echo(f"scored on {data}:")
        for card in cards:
            click.echo(_line(card, is_published=card.name == loaded.primary.name))
    if len(by_data) > 1:
        click.echo(
            "Scores on different data are not comparable. To score all models on the same data: "
            "gapcast backtest --all-models FILE"
        )


def _test_data(card: ModelCard) -> str:
    """Return the data of a card's scores: source, hash, test period and horizon.

    A model of a training set is scored on the houses that the set leaves out; cards of earlier versions do not have
    their period.
    """
    data, split, houses = card.trained_on, card.split, _left_out_houses(card)
    source, period = data.source, f", {split.validate_until:%Y-%m-%d} to {split.test_until:%Y-%m-%d}"
    if houses:
        source = f"the left-out house{'s' * (len(houses) > 1)} {listed(houses, _N_LISTED)} of {_SET_OF.sub('', source)}"
        period = _left_out_period(card)
    return f"{printable(source)} [{data.sha256[:8]}]{period}, {card.horizon_min} minutes ahead"


def _left_out_houses(card: ModelCard) -> tuple[str, ...]:
    """Return the houses of a training set on which the model was scored; none if it was trained on a clean file."""
    names = (card.experiment or {}).get("left_out")
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _left_out_period(card: ModelCard) -> str:
    """Return the first and the last day of the scores on left-out houses, "" if the card does not have them."""
    period = (card.experiment or {}).get("tested", {})
    try:
        first, last = (datetime.fromisoformat(period[name]) for name in ("first", "last"))
    except (TypeError, KeyError, ValueError):
        return ""
    return f", {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _line(card: ModelCard, *, is_published: bool) -> str:
    own, of_persistence = card.scores.model, card.scores.persistence
    mae_kw, of_median = (own.mae_kw, "") if own.mae_median_kw is None else (own.mae_median_kw, ", of the median")
    return (
        f"{'*' if is_published else ' '} {card.name:<12} {card.family:<10} {card.parameters:>6} parameters  "
        f"{card.bytes / 1_000:>6.1f} kB  MSE {own.mse_kw2:.4f} (persistence {of_persistence.mse_kw2:.4f})  "
        f"MAE {mae_kw:.4f} ({of_persistence.mae_kw:.4f}){of_median}; {_inputs_and_outputs(card)}"
    )


def _inputs_and_outputs(card: ModelCard) -> str:
    """Return the lead times of a card, and its history if the model reads one."""
    from gapcast.app.models.primary_model import lead_times_text

    leads = f"{lead_times_text(card.lead_times_min)} min ahead"
    if card.history is None:
        return leads
    return f"{leads}, history of {card.history.steps * card.history.step_min / DAY_MIN:g} days"


def _library_options(command: Any) -> Any:
    option = click.option(
        "--models", "folder", type=click.Path(path_type=Path), help="Models folder; short for --set models.path=PATH."
    )
    return settings_options(option(command))


_yes_option = click.option(
    "--yes", is_flag=True, help="Continue even if the horizon changes and all learning state and scores are discarded."
)


def _settings_of_library(
    ctx: click.Context, config: Path | None, assignments: tuple[str, ...], folder: Path | None, *further: str
) -> Settings:
    """Return the settings from the options before and after a sub-command of ``models``, and from ``further`` ones."""
    config_before, assignments_before = ctx.obj
    named = () if folder is None else (f"models.path={folder.absolute()}",)
    return read_settings(config or config_before, (*assignments_before, *assignments, *named, *further))


def _default_effect(settings: Settings, name: str, leads_min: Sequence[int]) -> str:
    """Return the sentence about the forecasts with the default ``name``, which has the horizon of ``settings``."""
    selected, horizon_min = settings.forecast.model, settings.forecast.horizon_min
    if selected not in {None, name}:
        effect = f"forecast.model selects {selected}, which remains the primary model"
    else:
        effect = f"forecasts are {horizon_min or leads_min[-1]} minutes ahead"
        if horizon_min is None and len(leads_min) > 1:
            effect += ", its longest lead time; forecast.horizon_min selects another one"
    return f"{name} is the default model; {effect}"


@models.command(short_help="Self-test and install a model.")
@_library_options
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--default", is_flag=True, help="Make it the primary model, unless forecast.model selects another.")
@_yes_option
@click.pass_context
def install(
    ctx: click.Context,
    file: Path,
    default: bool,
    yes: bool,
    config: Path | None,
    assignments: tuple[str, ...],
    folder: Path | None,
) -> None:
    """Check, self-test and install the model in FILE; a running gapcast loads it.

    FILE is a folder, a .zip or a .tar.gz that holds model.tflite and card.json, or a .tflite with its card beside it.
    """
    from gapcast.app.models.horizon_change import check_horizon_change, present_default
    from gapcast.app.models.models import RESERVED_NAMES, admission_of, library_of
    from gapcast.app.models.primary_model import primary_for
    from gapcast.predictors.installation.install import install as install_model

    settings = _settings_of_library(ctx, config, assignments, folder)
    library, admission = library_of(settings, os.environ), admission_of(settings, os.environ)

    def accept(card: ModelCard) -> None:
        horizon_min = settings.forecast.horizon_min
        if default and horizon_min is not None and settings.forecast.model in {None, card.name}:
            primary_for(horizon_min, card.name, card.name, {card.name: card})
        present = present_default(library)
        if not yes and (default or (present is not None and present.name == card.name)):
            check_horizon_change(settings, os.environ, library, card.name, card.lead_times_min)

    card = install_model(file, library, admission, default=default, taken=RESERVED_NAMES, accept=accept)
    place = library.own / card.name
    click.echo(f"{card.name}, version {card.version}, passed its self-test and is installed in {place}")
    if default:
        click.echo(_default_effect(settings, card.name, card.lead_times_min))


@models.command(short_help="Make a model the primary one.")
@_library_options
@click.argument("name")
@_yes_option
@click.pass_context
def default(
    ctx: click.Context, name: str, yes: bool, config: Path | None, assignments: tuple[str, ...], folder: Path | None
) -> None:
    """Make the model NAME, installed or bundled, the primary one, unless forecast.model selects another.

    First, all models are self-tested with NAME as the primary model. A running gapcast then applies the change.
    """
    from gapcast.app.models.horizon_change import check_horizon_change
    from gapcast.app.models.models import library_of, load_models
    from gapcast.observability.logs import configure_logs
    from gapcast.predictors.installation.install import make_default

    configure_logs("auto", "warning")
    settings = _settings_of_library(ctx, config, assignments, folder)
    library = library_of(settings, os.environ)
    loaded = load_models(_settings_of_library(ctx, config, assignments, folder, f"forecast.model={name}"))
    if not yes:
        check_horizon_change(settings, os.environ, library, name, loaded.primary.lead_times_min)
    make_default(name, library)
    click.echo(_default_effect(settings, name, loaded.primary.lead_times_min))


@models.command(short_help="Remove an installed model.")
@_library_options
@click.argument("name")
@click.pass_context
def remove(
    ctx: click.Context, name: str, config: Path | None, assignments: tuple[str, ...], folder: Path | None
) -> None:
    """Remove the installed model NAME; a bundled model of the same name becomes active again.

    If NAME was the default, the bundled default is the primary model again.
    """
    from gapcast.app.models.models import library_of
    from gapcast.predictors.installation.install import remove as remove_model

    settings = _settings_of_library(ctx, config, assignments, folder)
    library = library_of(settings, os.environ)
    named = dict.fromkeys(settings.forecast.experts or (), "forecast.experts")
    if settings.forecast.model is not None:
        named[settings.forecast.model] = "forecast.model"
    if settings.outlook.is_model_required:
        named[settings.outlook.model] = "outlook.model"
    remains = remove_model(name, library, named)
    default_now = "" if remains or settings.forecast.model else f"; the default model is {library.default()}"
    click.echo(f"{name} removed" + (f"; the bundled {name} is active again" if remains else default_now))
