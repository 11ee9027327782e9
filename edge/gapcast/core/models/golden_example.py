"""The golden example of a model's card: inputs, and the outputs that the model must return for them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from gapcast.core.models.card_types import MAX_ITEMS, MAX_TOLERANCE_KW, CardPart, Value


class Golden(CardPart):
    """Complete inputs ``[n, context, features]``, including derived features, and required outputs; replayed at start.

    ``history`` ``[n, steps]`` is the input of a model with a history. ``mean_to`` and ``quantiles_to`` are outputs of a
    model that also forecasts the mean of all minutes until each lead time.
    """

    window: list[list[list[Value]]] = Field(min_length=1, max_length=MAX_ITEMS)
    history: list[list[Value]] | None = Field(default=None, max_length=MAX_ITEMS)
    mean: list[list[Value]] = Field(max_length=MAX_ITEMS)
    quantiles: list[list[list[Value]]] | None = Field(default=None, max_length=MAX_ITEMS)
    mean_to: list[list[Value]] | None = Field(default=None, max_length=MAX_ITEMS)
    quantiles_to: list[list[list[Value]]] | None = Field(default=None, max_length=MAX_ITEMS)
    tolerance_kw: float = Field(default=1e-4, gt=0, le=MAX_TOLERANCE_KW)

    def check(self, context: int, n_features: int, n_history: int, n_leads: int, n_levels: int) -> None:
        """Raise :class:`ValueError` if an input or output of the described model is missing, or has another shape.

        ``n_history`` and ``n_levels`` are 0 for a model without history and without quantiles.
        """
        self._check_parts(n_history > 0, n_levels > 0)
        n = len(self.window)
        shapes: dict[str, tuple[int, ...]] = {
            "window": (n, context, n_features),
            "history": (n, n_history),
            "mean": (n, n_leads),
            "quantiles": (n, n_leads, n_levels),
            "mean_to": (n, n_leads),
            "quantiles_to": (n, n_leads, n_levels),
        }
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values is not None and not _has_shape(values, shape):
                msg = f"golden.{name} must have the shape {list(shape)}"
                raise ValueError(msg)
        for name in ("quantiles", "quantiles_to"):
            self._check_order(name)

    def _check_parts(self, has_history: bool, has_levels: bool) -> None:
        rules = {
            "quantiles must be there exactly where quantile_levels are": (self.quantiles, has_levels),
            "history must be there exactly where history is": (self.history, has_history),
            "quantiles_to must be there exactly where mean_to and quantile_levels are": (
                self.quantiles_to,
                has_levels and self.mean_to is not None,
            ),
        }
        for rule, (values, is_expected) in rules.items():
            if (values is not None) != is_expected:
                raise ValueError(f"golden.{rule}")

    def _check_order(self, name: str) -> None:
        """Raise :class:`ValueError` if, averaged over all examples, the highest quantile is below the lowest one.

        The quantiles of neighbouring levels may cross.
        """
        rows = [row for example in getattr(self, name) or () for row in example]
        means_kw = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        if means_kw and means_kw[-1] < means_kw[0] - self.tolerance_kw:
            shown = ", ".join(f"{mean_kw:.4g}" for mean_kw in means_kw)
            msg = f"golden.{name} must rise with quantile_levels, the lowest level first; their means are {shown}"
            raise ValueError(msg)


def _has_shape(values: Any, shape: tuple[int, ...]) -> bool:
    """Return whether nested lists are a full array of ``shape``."""
    if not shape:
        return True
    return len(values) == shape[0] and all(_has_shape(part, shape[1:]) for part in values)
