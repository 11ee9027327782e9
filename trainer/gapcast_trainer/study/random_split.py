"""The study's data: one row in a hundred, sampled at random, and windows over these unrelated rows.

Calls and seeds are the study's, so that the rows are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gapcast.core.arrays.array_types import F32, F64
from gapcast_trainer.errors import RunError
from gapcast_trainer.study.settings import SEED

#: The study's numbers of windows for training and testing at a context of 30, from the whole set.
N_TRAIN, N_TEST = 16_359, 4_064
_TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Arrays:
    """Input and target of the study's models: ``x`` ``[N, context, 1]`` and ``y`` ``[N, 1]``, float32, kW."""

    x: F32
    y: F32

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.x)


def windows(rows_kw: F64, seq_length: int, ph: int) -> Arrays:
    """Cut the study's windows: row ``i`` to ``i + seq_length - 1``, label ``i + seq_length + ph - 1``.

    There are ``len(rows_kw) - seq_length - ph`` windows: the study omitted the last one. Raises :class:`RunError` if
    there are too few rows.
    """
    n = len(rows_kw) - seq_length - ph
    if n < 1:
        msg = (
            f"{len(rows_kw)} rows are too few for a window of {seq_length} and a label {ph} rows later: "
            "use a larger --share"
        )
        raise RunError(msg)
    kw = rows_kw.astype(np.float32)
    x = np.ascontiguousarray(sliding_window_view(kw, seq_length)[:n])[:, :, np.newaxis]
    y = kw[np.arange(n) + seq_length + ph - 1][:, np.newaxis]
    return Arrays(x, y)


def draw(rows_kw: F64, share: float) -> tuple[F64, F64]:
    """Return the rows for training and for testing, in the order of the study's draws."""
    import pandas as pd  # noqa: PLC0415 - slow to import
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - slow to import

    frame = pd.DataFrame({"Global_active_power": rows_kw})
    drawn = frame.sample(frac=share, random_state=SEED)
    if len(drawn) < 2:  # noqa: PLR2004 - one row for each part
        msg = f"a share of {share:g} of {len(rows_kw)} rows leaves {len(drawn)}: use a larger --share"
        raise RunError(msg)
    train, test = train_test_split(drawn, test_size=_TEST_SHARE, random_state=SEED)
    train, test = train.reset_index(drop=True), test.reset_index(drop=True)
    return train["Global_active_power"].to_numpy(), test["Global_active_power"].to_numpy()


def cut_in_order(rows_kw: F64) -> tuple[F64, F64]:
    """Return the older four fifths and the newest fifth of consecutive rows."""
    n_train = len(rows_kw) - int(np.ceil(len(rows_kw) * _TEST_SHARE))
    return rows_kw[:n_train], rows_kw[n_train:]


def check_shapes(train: Arrays, test: Arrays, context: int) -> None:
    """Raise :class:`RunError` unless the arrays of the whole set have the study's shapes (context 30)."""
    expected = (N_TRAIN, context, 1), (N_TEST, context, 1)
    if (train.x.shape, test.x.shape) != expected or train.y.shape != (N_TRAIN, 1) or test.y.shape != (N_TEST, 1):
        msg = (
            f"the study's arrays are {expected[0]} and {expected[1]}, but these are {train.x.shape} and {test.x.shape}"
        )
        raise RunError(msg)
