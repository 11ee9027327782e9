"""Figures of scores: ratios, skills and rounded numbers; a figure without data is None."""

from __future__ import annotations

import math

#: Decimals of a figure in a document.
_DECIMALS = 6
#: Mean error of a baseline, kW or kW^2, below which there is no skill: the power is constant.
_LEAST_ERROR = 1e-9


def ratio_or_none(total: float, n: float) -> float | None:
    """Return ``total`` by ``n``; None without data, or if it is not finite.

    >>> ratio_or_none(3.0, 2), ratio_or_none(0.0, 0), ratio_or_none(float("inf"), 2)
    (1.5, None, None)
    """
    ratio = total / n if n else None
    return ratio if ratio is not None and math.isfinite(ratio) else None


def skill_or_none(error: float | None, baseline_error: float | None) -> float | None:
    """Return 1 - ``error`` / ``baseline_error``, of mean errors; None without both, or for a baseline error near zero.

    >>> skill_or_none(0.5, 2.0), skill_or_none(0.5, 1e-10), skill_or_none(None, 2.0), skill_or_none(1.0, None)
    (0.75, None, None, None)
    """
    if error is None or baseline_error is None or baseline_error < _LEAST_ERROR:
        return None
    skill = 1 - error / baseline_error
    return skill if math.isfinite(skill) else None


def skill_or_nan(error: float, baseline_error: float) -> float:
    """Return :func:`skill_or_none` for calculations: NaN instead of None.

    >>> skill_or_nan(0.5, 2.0), skill_or_nan(0.5, 1e-10)
    (0.75, nan)
    """
    skill = skill_or_none(error, baseline_error)
    return math.nan if skill is None else skill


def round_or_none(figure: float | None) -> float | None:
    """Return ``figure`` rounded for a document; None stays None.

    >>> round_or_none(0.12345678), round_or_none(None)
    (0.123457, None)
    """
    return None if figure is None else round(figure, _DECIMALS)
