"""Compares the study's figures with the reproduced ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

Results = dict[str, dict[str, Any]]
#: Figures of the study: step, description, value, and a function that gets gapcast's value from the step's result.
_FIGURES: tuple[tuple[str, str, float, Callable[[dict[str, Any]], float]], ...] = (
    ("study-1", "readings once the missing ones are dropped", 2_049_280, lambda r: r["n_rows"]),
    ("study-1", "model 1, windows for training", 16_359, lambda r: r["train_shape"][0]),
    ("study-1", "model 1, windows for testing, and predictions", 4_064, lambda r: r["test_shape"][0]),
    ("study-1", "model 1, parameters", 252, lambda r: r["n_parameters"]),
    ("study-1", "model 1, best val_loss (kW²)", 1.1976, lambda r: r["best_val_loss"]),
    ("study-1", "model 1, MSE on the test windows (kW²)", 1.1017, lambda r: r["test"]["mse_kw2"]),
    ("study-2", "model 2, parameters", 1_961, lambda r: r["n_parameters"]),
    ("study-2", "model 2, best val_loss (kW², about)", 1.199, lambda r: r["best_val_loss"]),
)


def compare(results: Results) -> list[dict[str, Any]]:
    """Return a row for each figure whose step has a result: ``what``, ``study``, ``here``, ``difference``."""
    rows = []
    for step, what, study, here_of in _FIGURES:
        if step in results:
            here = here_of(results[step])
            rows.append({"what": what, "study": study, "here": here, "difference": here - study})
    return rows


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Return the rows as CSV."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["what", "study", "here", "difference"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
