"""Writes small models of known weights for tests, with cards; the scores on them are invented."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
#: Distances of the quantiles from the mean, kW.
_DISTANCES = (-0.4, -0.2, -0.05, 0.1, 0.5)
_WHEN = "2010-01-01T00:00:00Z"
_SCORE = {"n": 1, "mse_kw2": 0.2, "mae_kw": 0.2, "mae_median_kw": 0.2, "coverage": 0.9}


def quantiles_around(mean: Any, n_leads: int, name: str) -> Any:
    """Return a Keras tensor of quantiles at fixed distances from ``mean``, ``[N, leads, levels]``."""
    import keras

    repeat = np.repeat(np.eye(n_leads, dtype=np.float32), len(LEVELS), axis=1)
    around = keras.layers.Dense(n_leads * len(LEVELS))
    quantiles = keras.layers.Reshape((n_leads, len(LEVELS)), name=name)(around(mean))
    around.set_weights([repeat, np.tile(np.array(_DISTANCES, dtype=np.float32), n_leads)])
    return quantiles


def write_model(
    folder: Path,
    model: Any,
    features: Mapping[str, str],
    leads_min: tuple[int, ...],
    golden: Mapping[str, NDArray[np.float32]],
    **more: Any,
) -> None:
    """Write the Keras ``model`` and its card, with outputs for ``golden``'s inputs, to ``folder``, which is its name.

    ``features`` are units by name; ``more`` are further fields of the card.
    """
    from gapcast_trainer.tflite.convert import convert

    content = convert(model)
    outputs = model.predict([*golden.values()] if len(golden) > 1 else golden["window"], verbose=0)
    card = {
        "name": folder.name, "version": "1", "family": "test", "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content), "parameters": model.count_params(), "context": golden["window"].shape[1],
        "padding": "oldest", "lead_times_min": leads_min, "quantile_levels": LEVELS,
        "features": [{"name": name, "unit": unit} for name, unit in features.items()],
        **more,
        "split": {"train_until": _WHEN, "validate_until": _WHEN, "test_until": _WHEN, "embargo_min": leads_min[-1]},
        "scores": {"model": _SCORE, "persistence": _SCORE, "skill": 0.0},
        "git_commit": "unknown", "created_at": _WHEN,
        "golden": {name: values.astype(float).round(3).tolist() for name, values in golden.items()}
        | {name: output.astype(float).round(6).tolist() for name, output in outputs.items()},
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / "model.tflite").write_bytes(content)
    text = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in card.items())
    (folder / "card.json").write_text("{\n" + text + "\n}\n", encoding="utf-8")


def trained_on(source: str) -> dict[str, str]:
    """Return the field ``trained_on`` of a card: nothing, as ``source`` says."""
    return {"source": source, "sha256": "0" * 64, "first": _WHEN, "last": _WHEN}
