"""The trunk that the outlook's model shares with the primary model: its values are computed once for both."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gapcast.core.errors import ModelError
from gapcast.core.models.predictor import Prediction
from gapcast.predictors.tflite.tflite import TflitePredictor


def check_shared_trunk(primary: TflitePredictor, outlook: TflitePredictor) -> None:
    """Compute the golden example of ``outlook`` from the trunk of ``primary``, which its card declares as shared.

    This also creates the interpreters for the first reading. Raises :class:`ModelError` if the forecasts differ.
    """
    golden = outlook.card.golden
    windows, history = (np.asarray(values, dtype=np.float32) for values in (golden.window, golden.history))
    for i in range(len(windows)):
        _, trunk = primary.predict_with_trunk(windows[i : i + 1])
        found = outlook.predict_from_trunk(trunk, history[i : i + 1])
        error_kw = max(_difference_kw(found, name, getattr(golden, name)[i]) for name in outlook.card.outputs)
        if not error_kw <= golden.tolerance_kw:
            msg = (
                f"model {outlook.name}: continued from the trunk of {primary.name}, the golden example differs by "
                f"{error_kw:.3g} kW (at most {golden.tolerance_kw:g} is allowed): install both models again"
            )
            raise ModelError(msg)


def warm_up_head(primary: TflitePredictor, outlook: TflitePredictor, sizes: Iterable[int]) -> None:
    """Create the interpreters for ``outlook`` to continue from the trunk of ``primary``, for batches of ``sizes``."""
    for size in sizes:
        windows = np.zeros((size, primary.spec.context, len(primary.features)), dtype=np.float32)
        history = np.zeros((size, outlook.history_steps), dtype=np.float32) if outlook.history_steps else None
        outlook.predict_from_trunk(primary.predict_with_trunk(windows)[1], history)


def _difference_kw(found: Prediction, name: str, expected: list[float]) -> float:
    return float(np.max(np.abs(getattr(found, name)[0] - np.asarray(expected, dtype=np.float32))))
