"""The argument of the compiled demands: ``struct demand_step`` of ``edge/native/demand.h``."""

from __future__ import annotations

import ctypes
from typing import Final

from gapcast.compiled.functions import POINTERS
from gapcast.core.billing.device_windows import WindowState
from gapcast.core.demand.demand import N_COLUMNS
from gapcast.core.outlook.outlook import N_COLUMNS as POINT_COLUMNS

#: Largest numbers of lead times and of model quantiles that the library accepts.
MAX_LEADS, MAX_QUANTILES = 64, 32
#: Number of values of an entry: row, minute, last reading (kW), :func:`~gapcast.core.demand.headroom.fuse.z_of` and
#: :class:`WindowState`; and of a closed window: row, start, end, mean (kW) and local day.
N_ENTRY, N_CLOSED = 4 + len(WindowState._fields), 5
#: Number of values of the planned power in windows: in the distributions of the running and the next window, and in
#: their expected means.
N_PLANNED = 4
SIZES = ("context", "n_leads", "n_levels", "median", "n_spans", "n_sums", "n_minutes_ahead", "has_planned")
OPTIONS = ("highest_kw", "first_tail", "last_tail", "most_z", "highest_z", "one_kw_z", "z_bound")
#: Tables and arrays of the state, with the types of their values; arrays by their name in the state's rows.
TABLES = {
    "steps": "f8", "curve_log_odds": "f8", "to_nodes": "f8", "energy": "f8", "on_circle": "f8",
    "node_log_odds": "f8", "falls": "f8", "log_odds": "f8", "prior": "f8", "minute_weights": "f8", "spans": "i8",
}  # fmt: skip
POWER = {
    "coefficients": ("coefficients", "f8"), "information": ("information", "f4"),
    "newest_minute": ("newest_minute", "i8"), "due_minute": ("due_minute", "i8"), "n_minutes": ("n_minutes", "i8"),
    "due_kw": ("due_kw", "f8"), "due_features": ("due_features", "f4"), "stored_quantiles_kw": ("quantiles_kw", "f4"),
    "stored_floor_kw": ("floor_kw", "f4"),
}  # fmt: skip
NEWEST = {"newest": ("newest", "f8")}
LIVE = {"waiting": ("waiting", "f8"), "start": ("start", "i8"), "sums": ("sums", "f8")}
#: The batch's arrays: the type of their values, and the shape of an entry as numbers or names of sizes.
BATCH: Final[dict[str, tuple[str, tuple[int | str, ...]]]] = {
    "entries": ("f8", (N_ENTRY,)),
    "windows": ("f4", ("context",)),
    "quantiles_kw": ("f8", ("n_leads", "n_levels")),
    "floor_kw": ("f8", ()),
    "mean_kw": ("f8", ("n_leads",)),
    "point_kw": ("f8", ("n_leads", POINT_COLUMNS)),
    "planned_kw": ("f8", (N_PLANNED,)),
    "planned_minutes_kw": ("f8", ("n_minutes_ahead",)),
    "demands": ("f8", (N_COLUMNS,)),
}

_INPUTS = [name for name in BATCH if name != "demands"]


class DemandStruct(ctypes.Structure):
    """``struct demand_step`` of ``edge/native/demand.h``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in SIZES),
        *((name, ctypes.c_double) for name in OPTIONS),
        *((name, POINTERS[kind]) for name, kind in TABLES.items()),
        *((name, POINTERS[kind]) for name, (_, kind) in (POWER | NEWEST | LIVE).items()),
        ("newest_entry", POINTERS["i4"]),
        *((name, POINTERS[BATCH[name][0]]) for name in _INPUTS),
        ("closed", POINTERS["f8"]),
        ("n_closed", ctypes.c_int64),
        ("issued_at_ms", ctypes.c_double),
        ("demands", POINTERS["f8"]),
    )
