"""How ``tests/support/with-history`` was made: a small model with a history and with all four outputs.

``python -m tests.support.history_model`` writes it again, with the trainer's extra. Tests read the files alone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

NAME = "with-history"
FOLDER = Path(__file__).parent / NAME
CONTEXT, STEPS = 30, 672
LEADS_MIN, LEVELS = (1, 2, 3, 4, 5, 10, 15, 30, 60), (0.05, 0.25, 0.5, 0.75, 0.95)
FEATURES = {"gap_kw": "kW", "tod_sin": "1", "tod_cos": "1"}


def build() -> Any:
    """Return a Keras model: from the last power towards the mean of the history, and quantiles at fixed distances."""
    import keras

    keras.utils.set_random_seed(1)
    window = keras.Input((CONTEXT, len(FEATURES)), name="window")
    history = keras.Input((STEPS,), name="history")
    n_leads, n_levels = len(LEADS_MIN), len(LEVELS)
    repeat = np.repeat(np.eye(n_leads, dtype=np.float32), n_levels, axis=1)
    distance = np.tile(np.array([-0.4, -0.2, -0.05, 0.1, 0.5], dtype=np.float32), n_leads)
    outputs: dict[str, Any] = {}
    for mean_name, quantiles_name, decay_min in (("mean", "quantiles", 30.0), ("mean_to", "quantiles_to", 60.0)):
        share = np.exp(-(np.array(LEADS_MIN, dtype=np.float32) - 1) / decay_min)
        usual = keras.layers.Dense(n_leads, use_bias=False)
        last = keras.layers.Dense(n_leads, use_bias=False)
        mean = keras.layers.Add(name=mean_name)([usual(history), last(window[:, -1, :])])
        usual.set_weights([np.tile((1 - share) / STEPS, (STEPS, 1)).astype(np.float32)])
        last.set_weights([np.stack([share, 0.1 * (1 - share), 0.1 * (1 - share)]).astype(np.float32)])
        around = keras.layers.Dense(n_leads * n_levels)
        outputs |= {
            mean_name: mean,
            quantiles_name: keras.layers.Reshape((n_leads, n_levels), name=quantiles_name)(around(mean)),
        }
        around.set_weights([repeat, distance])
    return keras.Model([window, history], outputs)


def write() -> None:
    """Write the file and its card."""
    from gapcast_trainer.convert import convert

    model = build()
    content = convert(model)
    draw = np.random.default_rng(1)
    window = draw.uniform(-1, 1, (2, CONTEXT, len(FEATURES)))
    window[:, :, 0] = np.abs(window[:, :, 0]) * 2
    window = window.round(3).astype(np.float32)
    history = draw.uniform(0, 2, (2, STEPS)).round(2).astype(np.float32)
    outputs = model.predict([window, history], verbose=0)
    score = {"n": 1, "mse_kw2": 0.2, "mae_kw": 0.2, "mae_median_kw": 0.2, "coverage": 0.9}
    when = "2010-01-01T00:00:00Z"
    card = {
        "name": NAME, "version": "1", "family": "test", "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content), "parameters": model.count_params(), "context": CONTEXT, "padding": "oldest",
        "lead_times_min": LEADS_MIN, "quantile_levels": LEVELS,
        "features": [{"name": name, "unit": unit} for name, unit in FEATURES.items()],
        "history": {"steps": STEPS, "step_min": 15},
        "trained_on": {"source": "nothing: its weights are set", "sha256": "0" * 64, "first": when, "last": when},
        "split": {"train_until": when, "validate_until": when, "test_until": when, "embargo_min": 60},
        "scores": {"model": score, "persistence": score, "skill": 0.0},
        "git_commit": "unknown", "created_at": when,
        "golden": {
            "window": window.astype(float).round(3).tolist(),
            "history": history.astype(float).round(2).tolist(),
        }
        | {name: output.astype(float).round(6).tolist() for name, output in outputs.items()},
    }  # fmt: skip
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "model.tflite").write_bytes(content)
    text = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in card.items())
    (FOLDER / "card.json").write_text("{\n" + text + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write()
