"""How ``tests/support/every-feature`` was made: a small model with all existing features as inputs.

``python -m tests.support.every_feature_model`` writes it again, with the trainer's extra. Tests read the files alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gapcast.core.windows.features import MEASURED, UNITS
from tests.support.model_folder import quantiles_around, trained_on, write_model

FOLDER = Path(__file__).parent / "every-feature"
CONTEXT = 12
LEADS_MIN = (1, 2, 3, 4, 5)
#: What each feature is divided by inside the graph.
SCALE = {"gap_kw": 1.0, "reactive_kvar": 1.0, "voltage_v": 240.0, "current_a": 5.0}


def build() -> Any:
    """Return a Keras model: the last power plus something of every feature, and quantiles at fixed distances."""
    import keras

    keras.utils.set_random_seed(1)
    window = keras.Input((CONTEXT, len(UNITS)), name="window")
    scale = np.array([SCALE.get(name, 1.0) for name in UNITS], dtype=np.float32)
    scaled = keras.layers.Flatten()(window / scale)
    change = keras.layers.Dense(len(LEADS_MIN), kernel_initializer=keras.initializers.RandomNormal(0, 0.02))(scaled)
    mean = keras.layers.Identity(name="mean")(window[:, -1, :1] + change)
    return keras.Model(window, {"mean": mean, "quantiles": quantiles_around(mean, len(LEADS_MIN), "quantiles")})


def write(folder: Path = FOLDER) -> None:
    """Write the file and its card to ``folder``."""
    draw = np.random.default_rng(1)
    window = draw.uniform(-1, 1, (3, CONTEXT, len(UNITS)))
    window[:, :, : len(MEASURED)] = np.abs(window[:, :, : len(MEASURED)]) * [2.0, 0.3, 240.0, 8.0]
    write_model(
        folder,
        build(),
        UNITS,
        LEADS_MIN,
        {"window": window.round(3).astype(np.float32)},
        experiment={"seed": 1},
        trained_on=trained_on("nothing: its weights are drawn"),
    )


if __name__ == "__main__":
    write()
