"""How ``tests/support/every-feature`` was made: a small model that takes every feature there is, and says all it may.

``python -m tests.support.every_feature_model`` writes it again, with the trainer's extra. Tests read the files alone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from gapcast.core.features import MEASURED, UNITS

NAME = "every-feature"
FOLDER = Path(__file__).parent / NAME
CONTEXT = 12
LEADS_MIN, LEVELS = (1, 2, 3, 4, 5), (0.05, 0.25, 0.5, 0.75, 0.95)
#: What each feature is divided by inside the graph.
SCALE = {"gap_kw": 1.0, "reactive_kvar": 1.0, "voltage_v": 240.0, "current_a": 5.0}


def build() -> Any:
    """Return a Keras model: the last power plus something of every feature, and quantiles at fixed distances."""
    import keras

    keras.utils.set_random_seed(1)
    window = keras.Input((CONTEXT, len(UNITS)), name="window")
    scale = np.array([SCALE.get(name, 1.0) for name in UNITS], dtype=np.float32)
    seen = keras.layers.Flatten()(window / scale)
    change = keras.layers.Dense(len(LEADS_MIN), kernel_initializer=keras.initializers.RandomNormal(0, 0.02))(seen)
    mean = keras.layers.Identity(name="mean")(window[:, -1, :1] + change)
    n_leads, n_levels = len(LEADS_MIN), len(LEVELS)
    repeat = np.repeat(np.eye(n_leads, dtype=np.float32), n_levels, axis=1)
    distance = np.tile(np.array([-0.4, -0.2, -0.05, 0.1, 0.5], dtype=np.float32), n_leads)
    around = keras.layers.Dense(n_leads * n_levels)
    quantiles = keras.layers.Reshape((n_leads, n_levels), name="quantiles")(around(mean))
    around.set_weights([repeat, distance])
    return keras.Model(window, {"mean": mean, "quantiles": quantiles})


def write() -> None:
    """Write the file and its card."""
    from gapcast_trainer.convert import convert

    model = build()
    content = convert(model)
    draw = np.random.default_rng(1)
    golden = draw.uniform(-1, 1, (3, CONTEXT, len(UNITS)))
    golden[:, :, : len(MEASURED)] = np.abs(golden[:, :, : len(MEASURED)]) * [2.0, 0.3, 240.0, 8.0]
    golden = golden.round(3).astype(np.float32)
    outputs = model.predict(golden, verbose=0)
    score = {"n": 1, "mse_kw2": 0.2, "mae_kw": 0.2, "mae_median_kw": 0.2, "coverage": 0.9}
    when = "2010-01-01T00:00:00Z"
    card = {
        "name": NAME, "version": "1", "family": "test", "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content), "parameters": model.count_params(), "context": CONTEXT, "padding": "oldest",
        "lead_times_min": LEADS_MIN, "quantile_levels": LEVELS,
        "features": [{"name": name, "unit": unit} for name, unit in UNITS.items()],
        "experiment": {"seed": 1},
        "trained_on": {"source": "nothing: its weights are drawn", "sha256": "0" * 64, "first": when, "last": when},
        "split": {"train_until": when, "validate_until": when, "test_until": when, "embargo_min": 5},
        "scores": {"model": score, "persistence": score, "skill": 0.0},
        "git_commit": "unknown", "created_at": when,
        "golden": {
            "window": golden.astype(float).round(3).tolist(),
            "mean": outputs["mean"].astype(float).round(6).tolist(),
            "quantiles": outputs["quantiles"].astype(float).round(6).tolist(),
        },
    }  # fmt: skip
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "model.tflite").write_bytes(content)
    text = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in card.items())
    (FOLDER / "card.json").write_text("{\n" + text + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write()
