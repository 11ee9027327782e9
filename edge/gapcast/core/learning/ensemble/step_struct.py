"""The argument of the compiled step: ``struct step`` of ``edge/native/ensemble.h``."""

from __future__ import annotations

import ctypes

from gapcast.compiled.functions import POINTERS
from gapcast.core.learning.ensemble.situations import N_QUANTITIES

#: Largest numbers of members and of feature columns that the library accepts.
MAX_MEMBERS, MAX_WIDTH = 64, 320
SIZES = (
    "context", "n_models", "n_medians", "n_members", "n_outputs", "refit", "has_bounds",
    "n_columns", "width", "n_lags", "n_stretches", "n_kw", "first_hidden", "n_hidden", "n_inputs", "n_slots",
    "horizon_min", "n_analogs", "n_phases",
)  # fmt: skip
OPTIONS = ("min_kw", "low_kw", "high_kw", "forgetting", "hidden_limit")
#: Tables and arrays of the state, with the types of their values.
TABLES = {
    "means_at": "i8", "medians_at": "i8", "outer_at": "i8",
    "medians": "i8", "edges": "i8", "places": "i8", "weights": "f4", "offsets": "f4", "means": "f4", "spreads": "f4",
    "on_circle": "f4", "recent": "f8", "log_prior": "f8",
}  # fmt: skip
STATE = {
    "seen": "f8", "lowest_powers": "f4", "memory": "f4", "specialists": "f4", "mean_correction": "f4",
    "median_calibration": "f4", "median_threshold": "f4", "coefficients": "f4", "covariance": "f4", "inside": "f4",
    "usual": "f4",
    "phase_shares": "i2", "phase_outcomes": "u1", "due_minute": "i8", "due_columns": "f4", "due": "f8",
    "due_levels": "f4",
}  # fmt: skip
#: The batch's arrays: the type of their values, and the shape of an entry as numbers or names of sizes.
BATCH: dict[str, tuple[str, tuple[int | str, ...]]] = {
    "rows": ("i8", ()),
    "minutes": ("i8", ()),
    "target_of_day": ("i8", ()),
    "bins": ("i8", (2,)),
    "is_measured": ("u1", ()),
    "windows": ("f4", ("context",)),
    "outputs": ("f4", ("n_outputs",)),
    "members_kw": ("f8", (2, "n_members")),
    "columns": ("f4", ("width",)),
    "kw": ("f8", (4,)),
    "combined_median_kw": ("f8", ()),
    "shares": ("f8", (2, "n_members")),
    "scale_kw": ("f8", ()),
    "log_width": ("f8", ()),
    "levels": ("f8", (N_QUANTITIES,)),
    "floor_kw": ("f8", ()),
    "outcome_rows": ("i8", ()),
    "outcome_minutes": ("i8", ()),
    "actual_kw": ("f8", ()),
    "last_kw": ("f8", ()),
    "outcome_members_kw": ("f8", (2, "n_members")),
    "published_kw": ("f8", (4,)),
}
#: The arrays of the outcomes, by their names in :class:`~gapcast.core.forecasts.outcomes.Outcomes`.
OUTCOMES = {
    "rows": "outcome_rows", "minutes": "outcome_minutes", "actual_kw": "actual_kw", "last_kw": "last_kw",
    "members_kw": "outcome_members_kw", "published_kw": "published_kw",
}  # fmt: skip


class StepStruct(ctypes.Structure):
    """``step_t`` of ``edge/native/ensemble.h``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in SIZES),
        *((name, ctypes.c_double) for name in OPTIONS),
        *((name, POINTERS[kind]) for name, kind in (TABLES | STATE).items()),
        ("newest_entry", POINTERS["i4"]),
        *((name, POINTERS[kind]) for name, (kind, _) in BATCH.items()),
        ("n_outcomes", ctypes.c_int64),
        ("first", ctypes.c_int64),
    )
