"""How ``tests/support/with-history`` was made: a small model with a history and with all four outputs.

``python -m tests.support.history_model`` writes it again, with the trainer's extra. Tests read the files alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.support.model_folder import quantiles_around, trained_on, write_model

FOLDER = Path(__file__).parent / "with-history"
CONTEXT, STEPS = 30, 672
LEADS_MIN = (1, 2, 3, 4, 5, 10, 15, 30, 60)
FEATURES = {"gap_kw": "kW", "tod_sin": "1", "tod_cos": "1"}


def build() -> Any:
    """Return a Keras model: from the last power towards the mean of the history, and quantiles at fixed distances."""
    import keras

    keras.utils.set_random_seed(1)
    window = keras.Input((CONTEXT, len(FEATURES)), name="window")
    history = keras.Input((STEPS,), name="history")
    n_leads = len(LEADS_MIN)
    outputs: dict[str, Any] = {}
    for mean_name, quantiles_name, decay_min in (("mean", "quantiles", 30.0), ("mean_to", "quantiles_to", 60.0)):
        share = np.exp(-(np.array(LEADS_MIN, dtype=np.float32) - 1) / decay_min)
        usual = keras.layers.Dense(n_leads, use_bias=False)
        last = keras.layers.Dense(n_leads, use_bias=False)
        mean = keras.layers.Add(name=mean_name)([usual(history), last(window[:, -1, :])])
        usual.set_weights([np.tile((1 - share) / STEPS, (STEPS, 1)).astype(np.float32)])
        last.set_weights([np.stack([share, 0.1 * (1 - share), 0.1 * (1 - share)]).astype(np.float32)])
        outputs |= {mean_name: mean, quantiles_name: quantiles_around(mean, n_leads, quantiles_name)}
    return keras.Model([window, history], outputs)


def write(folder: Path = FOLDER) -> None:
    """Write the file and its card to ``folder``."""
    draw = np.random.default_rng(1)
    window = draw.uniform(-1, 1, (2, CONTEXT, len(FEATURES)))
    window[:, :, 0] = np.abs(window[:, :, 0]) * 2
    golden = {
        "window": window.round(3).astype(np.float32),
        "history": draw.uniform(0, 2, (2, STEPS)).round(2).astype(np.float32),
    }
    write_model(
        folder,
        build(),
        FEATURES,
        LEADS_MIN,
        golden,
        history={"steps": STEPS, "step_min": 15},
        trained_on=trained_on("nothing: its weights are set"),
    )


if __name__ == "__main__":
    write()
