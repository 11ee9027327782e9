"""The Python value of each constant of the demand's C files, by file and name; see test_native_constants.py."""

from __future__ import annotations

import math
from datetime import date

from gapcast.core.billing import window_demands
from gapcast.core.billing.device_windows import WindowState
from gapcast.core.demand import demand
from gapcast.core.demand.distributions import (
    distribution,
    exceedance_features,
    exceedance_model,
    exceedances,
    mean_shares,
    model_quantiles,
    remaining_power,
    window_forecasts,
)
from gapcast.core.demand.documents import demand_messages, demand_template, document, max_power
from gapcast.core.demand.headroom import fuse
from gapcast.core.demand.scores import score_sums, scores
from gapcast.core.demand.step import demand_struct, numpy_demands
from gapcast.core.forecasts.forecast import DECIMALS
from gapcast.core.time_grid import DAY_MIN, MINUTE_MS
from gapcast.core.windows.window import MAX_FILL_MIN
from gapcast.mqtt.publishers import demand_publisher

N_WAITING = scores.initial_demands().shape[1]
ORIGINALS: dict[tuple[str, str], object] = {
    ("demand.h", "N_LEVELS_OF_TABLE"): len(distribution.LEVELS),
    ("demand.h", "N_NODES"): len(model_quantiles.NODES),
    ("demand.h", "N_FEATURES"): exceedance_features.WIDTH,
    ("demand.h", "N_LINES"): exceedance_features.N_LINES,
    ("demand.h", "N_PARTS"): remaining_power._N_PARTS,
    ("demand.h", "LATER"): remaining_power._LATER,
    ("demand_learn.c", "MIDDLE_PART"): remaining_power._MIDDLE_PART,
    ("demand.h", "N_REGRESSIONS"): remaining_power._N_REGRESSIONS,
    ("demand.h", "N_DUE"): len(remaining_power._WEIGHTS),
    ("demand.h", "N_POWERS"): exceedance_features._N_POWERS,
    ("demand.h", "N_SINGLE_SPANS"): len(exceedance_features._SPANS),
    ("demand.h", "N_INFORMATION"): len(exceedance_model.initial_information()),
    ("demand.h", "MAX_LEADS"): demand_struct.MAX_LEADS,
    ("demand.h", "MAX_QUANTILES"): demand_struct.MAX_QUANTILES,
    ("demand.h", "FARTHEST_MIN"): mean_shares.FARTHEST_MIN,
    ("demand.h", "LONGEST_MIN"): scores.LONGEST_MIN,
    ("demand.h", "N_WAITING"): N_WAITING,
    ("demand.h", "N_DEMAND"): demand.N_COLUMNS,
    ("demand.h", "N_WINDOW"): len(window_demands.WINDOW_COLUMNS),
    ("demand.h", "N_ENTRY"): demand_struct.N_ENTRY,
    ("demand.h", "N_CLOSED"): demand_struct.N_CLOSED,
    ("demand.h", "N_PLANNED"): demand_struct.N_PLANNED,
    ("demand_features.c", "MIDDLE"): exceedance_features._MIDDLE,
    ("demand_features.c", "REACH"): exceedance_features._REACH,
    ("demand_features.c", "FARTHEST_BELOW"): exceedance_features._FARTHEST_BELOW,
    ("demand_features.c", "FARTHEST_ABOVE"): exceedance_features._FARTHEST_ABOVE,
    ("demand_features.c", "HINGE"): exceedance_features._HINGE,
    ("demand_features.c", "LIMIT_BELOW"): exceedance_features._LIMIT_BELOW,
    ("demand_features.c", "LIMIT_ABOVE"): exceedance_features._LIMIT_ABOVE,
    ("demand_features.c", "MINUTES_OF_DAY"): DAY_MIN,
    ("demand_features.c", "BEFORE_LAST_MIN"): exceedance_features._BEFORE_LAST_MIN,
    ("demand_features.c", "FARTHEST_BACK_MIN"): exceedance_features._HIGHEST_OF_MIN,
    ("demand_features.c", "PRIOR_INFORMATION"): exceedance_model._PRIOR_INFORMATION,
    ("demand_features.c", "KEPT"): exceedance_model._KEPT,
    ("demand_features.c", "MARGIN"): exceedance_model._MARGIN,
    ("demand_features.c", "MOST_COEFFICIENT"): exceedance_model._MOST_COEFFICIENT,
    ("demand_features.c", "MOST_LOG_ODDS"): exceedance_model._MOST_LOG_ODDS,
    ("demand_power.c", "BEND_KW"): distribution._BEND_KW,
    ("demand_power.c", "MOST_KW"): distribution._MOST_KW,
    ("demand_fuse.c", "EXTREMAL_INDEX"): exceedances.EXTREMAL_INDEX,
    ("demand_fuse.c", "BEYOND"): fuse._BEYOND,
    ("demand_fuse.c", "DECAY"): fuse._DECAY,
    ("demand_fuse.c", "MIN_WIDTH_KW"): fuse._MIN_WIDTH_KW,
    ("demand_fuse.c", "TAIL_P"): fuse._TAIL_P,
    ("demand_fuse.c", "FARTHEST_Z"): fuse._FARTHEST_Z,
    ("demand_fuse.c", "N_TAIL"): len(fuse._TAIL),
    ("demand_fuse.c", "TAIL"): list(fuse._TAIL),
    ("demand_fuse.c", "PI"): math.pi,
    ("demand_learn.c", "MAX_FILL_MIN"): MAX_FILL_MIN,
    ("demand_learn.c", "N_LIMITS"): len(remaining_power._LIMITS),
    ("demand_learn.c", "LIMIT_FACTORS"): remaining_power._LIMITS.tolist(),
    ("demand_learn.c", "OUTCOME_WEIGHTS"): remaining_power._WEIGHTS.tolist(),
    ("demand_windows.c", "MIN_STEP_KW"): distribution._MIN_STEP_KW,
    ("demand_windows.c", "LARGEST_KW"): numpy_demands._MOST_KW,
    ("demand_windows.c", "LARGEST_LOG_ODDS"): distribution._MOST_LOG_ODDS,
    ("demand.h", "LOWER_LEVEL"): window_forecasts._BOUNDS[0],
    ("demand.h", "MEDIAN_LEVEL"): window_forecasts._BOUNDS[1],
    ("demand.h", "UPPER_LEVEL"): window_forecasts._BOUNDS[2],
    ("demand_scores.c", "N_THIRDS"): scores.N_THIRDS,
    ("demand_scores.c", "N_RELIABILITY_BINS"): scores.N_BINS,
    ("demand_scores.c", "LEAST_P"): score_sums._LEAST_P,
    ("demand_scores.c", "ALARM_FROM"): scores.ALARM_FROM,
    ("demand_scores.c", "N_SOURCES"): len(scores.SOURCES),
    ("demand_scores.c", "N_ANNOUNCED"): len(scores.ANNOUNCED_MIN),
    ("demand_scores.c", "RELIABILITY"): scores.BINS,
    ("demand_scores.c", "N_OF_THIRD"): scores.N_OF_THIRD,
    ("demand_scores.c", "WINDOWS"): scores.WINDOWS,
    ("demand_scores.c", "ALARMS"): scores.ALARMS,
    ("demand_scores.c", "N_OF_ALARMS"): scores.N_OF_ALARMS,
    ("demand_scores.c", "ANNOUNCED_MIN"): list(scores.ANNOUNCED_MIN),
    ("demand_messages.c", "DECIMAL_SCALE"): 10.0**DECIMALS,
    ("demand_messages.c", "W_PER_KW"): document.W_PER_KW,
    ("demand_messages.c", "VALID_MIN"): demand.VALID_MIN,
    ("demand_messages.c", "HOLD_MIN"): max_power.HOLD_MIN,
    ("demand_messages.c", "LOWEST_W"): max_power.LOWEST_W,
    ("demand_messages.c", "N_MESSAGES"): demand_messages.N_MESSAGES,
    ("demand_messages.c", "N_LIMIT_SOURCES"): len(demand_template.SOURCE_NAMES),
    ("demand_times.h", "MINUTE_MS"): MINUTE_MS,
    ("demand_messages.c", "S_PER_MIN"): demand_publisher._S_PER_MIN,
    ("demand_times.c", "MAX_DAY"): (date.max - date(1970, 1, 1)).days,
}  # fmt: skip
#: The enums of the C files, one for each list of columns.
_ENUM_OF = {
    "sum_kw": "SUM", "start_minute": "START", "end_minute": "END", "next_end_minute": "NEXT_END", "limit_kw": "LIMIT",
    "next_limit_kw": "NEXT_LIMIT", "month_peak_kw": "PEAK", "fuse_kw": "FUSE",
    "least_kw": "LEAST",
}  # fmt: skip
_WINDOW = {
    "start_minutes": "STARTS", "end_minutes": "ENDS", "elapsed_min": "ELAPSED", "n_known": "KNOWN",
    "so_far_kw": "SO_FAR", "expected_kw": "EXPECTED", "lower_kw": "LOWER_KW", "median_kw": "MEDIAN_KW",
    "upper_kw": "UPPER_KW", "limit_kw": "LIMITS", "sources": "SOURCES", "p_exceed": "P_EXCEED",
    "headroom_kw": "HEADROOM",
}  # fmt: skip
_STATE = ", ".join(_ENUM_OF.get(name, name.upper()) for name in WindowState._fields)
ENUMS = [
    f"ROW, MINUTE, LAST_KW, FUSE_Z, {_STATE}",
    "POINT_MEAN, POINT_LOWER, POINT_MEDIAN, POINT_UPPER, N_POINT",
    "CLOSED_ROW, CLOSED_START, CLOSED_END, CLOSED_KW, CLOSED_DAY",
    "OBSERVED, ISSUED, FIRST_WINDOW",
    ", ".join(_WINDOW[name] for name in window_demands.WINDOW_COLUMNS),
    "THIRD_N, EVENTS, BRIER, LOG_SCORE, PERSISTENCE_BRIER, SO_FAR_N, SO_FAR_BRIER",
    ", ".join(f"{slot.name}_SLOT" for slot in demand_template.DemandSlot),
    "WAITS_P, WAITS_LIMIT, WAITS_PERSISTENCE, WAITS_SO_FAR",
]
