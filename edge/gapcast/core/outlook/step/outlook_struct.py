"""The argument of the compiled outlooks: ``struct outlook_step`` of ``edge/native/outlook.h``."""

from __future__ import annotations

import ctypes

from gapcast.compiled.functions import POINTERS

#: Largest numbers of lead times and of quantile levels that the library accepts, and of columns of the correction.
MAX_LEADS, MAX_LEVELS, N_INPUTS = 32, 16, 31
SIZES = (
    "context", "n_leads", "n_levels", "n_fixed", "n_free", "horizon", "has_one", "has_history", "n_slots",
    "n_places", "issued_at_ms",
)  # fmt: skip
LIMITS = ("min_kw", "low_kw", "high_kw")
#: Tables and arrays of the state, with the types of their values.
TABLES = {
    "leads": "i8", "levels": "i8", "places": "i8", "recent_leads": "i8", "fixed": "i8", "free": "i8",
    "shift": "f8", "free_of": "f8", "means_of": "f8", "on_circle": "f8",
}  # fmt: skip
STATE = {
    "seen": "f8", "lowest_powers": "f4", "log_width": "f8", "n_outcomes": "f8", "recent": "f8", "coefficients": "f4",
    "covariance": "f8", "inside": "f4", "share_gains": "f4", "usual": "f4", "sums": "f8", "newest_kw": "f8",
    "newest_when": "i8", "issued_minute": "i8", "inputs": "f4", "values": "f4",
}  # fmt: skip
#: The batch's arrays: the type of their values, and the shape of an entry as numbers or names of sizes.
BATCH: dict[str, tuple[str, tuple[int | str, ...]]] = {
    "rows": ("i8", ()),
    "minutes": ("i8", ()),
    "local": ("i8", ()),
    "is_measured": ("u1", ()),
    "windows": ("f4", ("context",)),
    "quarters": ("f4", (2, 4)),
    "mean": ("f4", ("n_leads",)),
    "quantiles": ("f4", ("n_leads", "n_levels")),
    "mean_to": ("f4", ("n_leads",)),
    "quantiles_to": ("f4", ("n_leads", "n_levels")),
    "path_kw": ("f8", ("n_fixed",)),
    "horizon_kw": ("f8", (3,)),
    "kw": ("f8", ("n_leads", 2, 4)),
    "floor_kw": ("f8", ()),
    "quantiles_kw": ("f8", ("n_leads", "n_levels")),
    "columns": ("f4", (N_INPUTS,)),
    "base_kw": ("f8", ("n_leads", 2, 2)),
    "change": ("f8", ("n_leads", 2, 2)),
    "log_width_of": ("f8", ("n_leads", 2)),
}


class OutlookStruct(ctypes.Structure):
    """``struct outlook_step`` of ``edge/native/outlook.h``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in SIZES),
        *((name, ctypes.c_double) for name in LIMITS),
        *((name, POINTERS[kind]) for name, kind in (TABLES | STATE).items()),
        ("newest_entry", POINTERS["i4"]),
        *((name, POINTERS[kind]) for name, (kind, _) in BATCH.items()),
    )
