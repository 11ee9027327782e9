"""The study's results as Markdown tables; nothing is recomputed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from gapcast_trainer.errors import RunError
from gapcast_trainer.study.comparison import Results
from gapcast_trainer.study.comparison import compare as compare_figures

#: Numbers of readings that the tables show.
_SHOWN = (2, 3, 4, 5, 7, 10, 15, 20, 25, 30)
_MARKED = re.compile(r"(<!-- table: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def comparison(results: Results) -> str | None:
    """Figure in the study, figure here, difference."""
    rows = compare_figures(results)
    if not rows:
        return None
    cells = [(row["what"], _figure(row["study"]), _figure(row["here"]), _difference(row["difference"])) for row in rows]
    return _table(("", "study", "here", "difference"), cells)


def order(results: Results) -> str | None:
    """What the shuffle cost: the two models on shuffled rows, on rows in a row, on all; scored on the test part."""
    names = {"study": "1 % of rows, shuffled (the study)", "contiguous": "1 % of rows, in a row", "ordered": "all rows"}
    rows: list[tuple[str, ...]] = []
    for step, name in names.items():
        for number in (1, 2):
            found = results.get(f"{step}-{number}")
            if found is None:
                continue
            own, naive = found.get("test"), found["in_order"]["persistence"]
            model = found["in_order"]["model"]
            rows.append(
                (
                    f"model {number}, {name}",
                    f"{found['train_shape'][0]:,}",
                    str(len(found["val_loss"])),
                    "–" if own is None else f"{own['mse_kw2']:.4f}",
                    "–" if own is None else f"{found['test_persistence']['mse_kw2']:.4f}",
                    *_errors(model, naive),
                )
            )
    if not rows:
        return None
    first = next(results[f"{step}-{n}"] for step in names for n in (1, 2) if f"{step}-{n}" in results)["in_order"]
    naive = first["persistence"]
    rows.append(("persistence", "–", "–", "–", "–", *_errors(naive, naive)))
    rows.append(("the mean of the test part itself", "–", "–", "–", "–", f"{first['variance_kw2']:.4f}", "", ""))
    heads = ("trained on", "windows", "passes", "MSE, its own test", "persistence there", "MSE", "MAE", "skill")
    return _table(heads, rows)


def line(results: Results) -> str | None:
    """MSE of the line by window (rows) and forgetting factor (columns)."""
    found = results.get("line")
    if found is None:
        return None
    factors = sorted({row["forgetting"] for row in found["lines"]}, reverse=True)
    mse = {(row["window_min"], row["forgetting"]): f"{row['mse_kw2']:.4f}" for row in found["lines"]}
    windows = sorted({row["window_min"] for row in found["lines"]})
    rows = [(f"{n} min", *(mse.get((n, factor), "–") for factor in factors)) for n in windows]
    rows.append(("persistence", f"{found['persistence']['mse_kw2']:.4f}", *("" for _ in factors[1:])))
    return _table(("MSE kW²", *(f"{factor:g}" for factor in factors)), rows)


def streaming(results: Results) -> str | None:
    """Errors reading by reading, and MSE by readings since a start."""
    found = results.get("streaming")
    if found is None:
        return None
    naive = found["forecasters"][0]
    shown = [n for n in _SHOWN if str(n) in naive["by_readings"]]
    rows = [
        (
            row["name"],
            *_errors(row["stream"], naive["stream"]),
            f"{row['restarted']['mse_kw2']:.4f}",
            *(f"{row['by_readings'][str(n)]:.3f}" for n in shown),
        )
        for row in found["forecasters"]
    ]
    return _table(("", "MSE", "MAE", "skill", "hourly start", *(str(n) for n in shown)), rows)


def padding(results: Results) -> str | None:
    """MSE by readings seen for each way to fill a short window up; the mean of the seeds."""
    found = results.get("padding")
    if found is None:
        return None
    shown = [n for n in _SHOWN if all(str(n) in by for by in found["by_readings"].values())]
    rows = [
        (
            how,
            *(f"{_mean(by[str(n)]):.4f}" for n in shown),
            f"{found['mean_mse_kw2'][how]:.4f}",
            f"{_spread(by):.4f}",
        )
        for how, by in found["by_readings"].items()
    ]
    naive = f"{found['persistence']['mse_kw2']:.4f}"
    rows.append(("persistence", *(naive for _ in shown), naive, "–"))
    return _table(("readings seen", *(str(n) for n in shown), "all", "seeds apart"), rows)


def choice(results: Results) -> str | None:
    """Return the size and accuracy of each model, and the chosen one."""
    found = results.get("choice")
    if found is None:
        return None
    naive = found["persistence"]
    rows = [
        (
            f"`{row['name']}`",
            f"{row['parameters']:,}",
            *_errors(row, naive),
            "–" if row["mae_median_kw"] is None else f"{row['mae_median_kw']:.4f}",
            *(f"{row['warm_up'].get(n, float('nan')):.4f}" for n in ("2", "5", "10")),
            f"{row['batch_1_us']:.0f}",
            f"{row['row_at_256_us']:.2f}",
            f"{row['bytes'] / 1e3:.1f}",
            "–" if row["rss_grown_mb"] is None else f"{row['rss_grown_mb']:.1f}",
            f"{row['load_ms']:.0f}",
        )
        for row in found["models"]
    ]
    warm = f"{naive['warm_up_mse_kw2']:.4f}"
    rows.append(("persistence", "0", *_errors(naive, naive), "–", warm, warm, warm, "–", "–", "–", "–", "–"))
    heads = ("model", "parameters", "MSE", "MAE", "skill", "MAE, median", "MSE at 2", "at 5", "at 10",
             "µs", "µs a row", "kB", "MB", "load ms")  # fmt: skip
    answer = found["answer"]
    recommendation = "No model is within the limits." if answer is None else f"**Choose `{answer}`.**"
    left_out = ", ".join(found["left_out"])
    return (
        f"{_table(heads, rows)}\n{recommendation}"
        + (f" Not shown, because they need more than power or have another horizon: {left_out}." * bool(left_out))
        + "\n"
    )


TABLES: dict[str, Callable[[Results], str | None]] = {
    "comparison": comparison,
    "order": order,
    "line": line,
    "streaming": streaming,
    "padding": padding,
    "choice": choice,
}


def page(results: Results) -> str:
    """Return all tables that have results."""
    made = [(make.__doc__ or "", make(results)) for make in TABLES.values()]
    return "\n".join(f"## {title}\n\n{table}" for title, table in made if table is not None)


def refresh(text: str, results: Results) -> str:
    """Return ``text`` with each table between ``<!-- table: NAME -->`` and ``<!-- end -->`` regenerated.

    Tables without results are unchanged. Raises :class:`RunError` for an unknown name.
    """

    def regenerate(found: re.Match[str]) -> str:
        make = TABLES.get(found[2])
        if make is None:
            msg = f"there is no table {found[2]!r}: there are {', '.join(TABLES)}"
            raise RunError(msg)
        table = make(results)
        return found[0] if table is None else f"{found[1]}{table}{found[3]}"

    return _MARKED.sub(regenerate, text)


def _errors(model: dict[str, Any], naive: dict[str, Any]) -> tuple[str, str, str]:
    skill = 1 - model["mse_kw2"] / naive["mse_kw2"]
    return f"{model['mse_kw2']:.4f}", f"{model['mae_kw']:.4f}", f"{skill:.3f}".replace("-", "−")


def _figure(value: int | float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _difference(value: float) -> str:
    shown = _figure(abs(value))
    if not float(shown.replace(",", "")):
        return "0"
    return f"{'+' if value > 0 else '−'}{shown}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _spread(by_readings: dict[str, list[float]]) -> float:
    """Return the range of the seeds' mean squared errors, over all numbers of readings."""
    means = [_mean(list(one)) for one in zip(*by_readings.values(), strict=True)]
    return max(means) - min(means)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = tuple(heads)
    lines = [heads, ("---", *("--:" for _ in heads[1:])), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
