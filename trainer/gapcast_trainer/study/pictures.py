"""Plots of the study's results, without training; the same results give the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from gapcast_trainer.report.figure import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, new_figure
from gapcast_trainer.report.figure_file import write_figure
from gapcast_trainer.study.comparison import Results

#: RED is reserved for persistence; the last two are Okabe and Ito's sky blue and yellow.
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "#56B4E9", "#F0E442", GREY)


def draw(results: Results, folder: Path, kinds: tuple[str, ...] = ("svg",)) -> list[Path]:
    """Write every plot whose results exist to ``folder``/study-<name>.<kind>; return the files."""
    written = []
    for name, (make, needed) in _PICTURES.items():
        if not set(needed) <= set(results):
            continue
        for kind in kinds:
            written.append(folder / f"study-{name}.{kind}")
            write_figure(make(results), written[-1])
    return written


def _loss(results: Results) -> Figure:
    with new_figure(1, 2, sharey=True, width_in=8.0) as (figure, axes):
        for number, ax in enumerate(axes, 1):
            found = results[f"study-{number}"]
            epochs = range(1, len(found["loss"]) + 1)
            ax.plot(epochs, found["loss"], color=BLUE, label="training")
            ax.plot(epochs, found["val_loss"], color=ORANGE, label="validation")
            ax.axhline(found["test_mean"]["mse_kw2"], color=GREY, linestyle=":", label="the mean, on the test windows")
            ax.axvline(found["best_epoch"], color=GREY, linewidth=0.8)
            ax.set(title=f"model {number}: best epoch {found['best_epoch']}", xlabel="epoch")
        axes[0].set_ylabel("MSE (kW²)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _last(results: Results) -> Figure:
    with new_figure(3, 1, width_in=8.0, height_in=6.6, sharey=True, sharex=True) as (figure, axes):
        rows = (("study-1", "model 1, shuffled rows"), ("study-2", "model 2, shuffled rows"),
                ("contiguous-1", "model 1, rows in a row"))  # fmt: skip
        for ax, (step, title) in zip(axes, rows, strict=True):
            ax.plot(results[step]["last_actual_kw"], color=GREY, linewidth=0.9, label="actual")
            ax.plot(results[step]["last_forecast_kw"], color=RED, linewidth=1.3, label="forecast")
            ax.set(title=title, ylabel="kW")
        axes[-1].set_xlabel(f"the last {len(results['study-1']['last_actual_kw'])} windows of its test")
        axes[0].legend(ncols=2, loc="upper right")
    return figure


def _order(results: Results) -> Figure:
    steps = [("study", "1 %, shuffled"), ("contiguous", "1 %, in a row"), ("ordered", "all, in order")]
    first = results["study-1"]["in_order"]
    with new_figure(height_in=3.6, width_in=7.0) as (figure, ax):
        for number, colour in ((1, BLUE), (2, ORANGE)):
            mse = [results[f"{step}-{number}"]["in_order"]["model"]["mse_kw2"] for step, _ in steps]
            at = [place + (number - 1.5) * 0.36 for place in range(len(steps))]
            bars = ax.bar(at, mse, width=0.34, color=colour, label=f"model {number}")
            on_white = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}  # a number is not crossed by a line
            ax.bar_label(bars, [f"{value:.3f}" for value in mse], padding=3, bbox=on_white, zorder=3)
        ax.axhline(first["variance_kw2"], color=GREY, linestyle=":", label="variance: what the mean gives")
        ax.axhline(first["persistence"]["mse_kw2"], color=RED, linestyle="--", label="persistence")
        ax.set_xticks(range(len(steps)), [name for _, name in steps])
        ax.set(ylabel="MSE on the test part (kW²)", ylim=(0, 1.3))
        ax.grid(visible=False, axis="x")
        ax.legend(loc="upper right")
    return figure


def _line(results: Results) -> Figure:
    found = results["line"]
    with new_figure(1, 2, width_in=8.4, sharey=True) as (figure, (left, right)):
        for colour, factor in zip(
            _COLOURS, sorted({row["forgetting"] for row in found["lines"]}, reverse=True), strict=False
        ):
            rows = [row for row in found["lines"] if row["forgetting"] == factor]
            left.plot(
                [row["window_min"] for row in rows], [row["mse_kw2"] for row in rows], marker=".", color=colour,
                label=f"forgetting {factor:g}",
            )  # fmt: skip
        best = found["best"]
        names = {"plain": "all readings alike", "best": f"{best['window_min']} min, forgetting {best['forgetting']:g}"}
        for (key, name), colour in zip(names.items(), (BLUE, ORANGE), strict=True):
            by = found["by_readings"][key]
            right.plot([int(n) for n in by], list(by.values()), color=colour, label=name)
        for ax in (left, right):
            ax.axhline(found["persistence"]["mse_kw2"], color=RED, linestyle="--", label="persistence")
            ax.set_yscale("log")
            ax.set_yticks([0.2, 0.3, 0.5, 1.0, 1.5], ["0.2", "0.3", "0.5", "1", "1.5"], minor=False)
            ax.minorticks_off()
            ax.legend(fontsize=8.5)
        left.set(xlabel="window (min)", ylabel="MSE (kW²)")
        right.set(xlabel="readings seen")
    return figure


def _streaming(results: Results) -> Figure:
    naive, *others = results["streaming"]["forecasters"]
    near = [row for row in others if row["restarted"]["mse_kw2"] < 1.5 * naive["restarted"]["mse_kw2"]]
    with new_figure(width_in=7.0) as (figure, ax):
        ax.plot([int(n) for n in naive["by_readings"]], list(naive["by_readings"].values()), color=RED, linestyle="--",
                label="persistence")  # fmt: skip
        for colour, row in zip(_COLOURS, near, strict=False):
            ax.plot([int(n) for n in row["by_readings"]], list(row["by_readings"].values()), color=colour,
                    label=row["name"])  # fmt: skip
        ax.set(xlabel="readings since the start", ylabel="MSE (kW²)", ylim=(0, None))
        ax.legend(ncols=2)
    return figure


def _padding(results: Results) -> Figure:
    found = results["padding"]
    with new_figure(width_in=7.0, height_in=3.8) as (figure, ax):
        for colour, (how, by) in zip(_COLOURS, found["by_readings"].items(), strict=False):
            n = [int(key) for key in by]
            ax.plot(n, [sum(values) / len(values) for values in by.values()], color=colour, label=how)
            ax.fill_between(n, [min(v) for v in by.values()], [max(v) for v in by.values()], color=colour, alpha=0.15,
                            linewidth=0)  # fmt: skip
        ax.axhline(found["persistence"]["mse_kw2"], color=RED, linestyle="--", label="persistence")
        ax.set(xlabel="readings seen", ylabel="MSE (kW²)")
        ax.legend(ncols=2)
    return figure


_STUDY = ("study-1", "study-2")
_PICTURES: dict[str, tuple[Callable[[Results], Figure], tuple[Any, ...]]] = {
    "loss": (_loss, _STUDY),
    "last-500": (_last, (*_STUDY, "contiguous-1")),
    "order": (_order, (*_STUDY, "contiguous-1", "contiguous-2", "ordered-1", "ordered-2")),
    "line": (_line, ("line",)),
    "streaming": (_streaming, ("streaming",)),
    "padding": (_padding, ("padding",)),
}
