"""Every constant of the C files has the value of its Python original: a table of all of them."""

from __future__ import annotations

import ctypes
import functools
import re
from pathlib import Path

import pytest

import gapcast
from gapcast.compiled.library import load_library
from gapcast.core.demand.documents.demand_messages import DemandMessagesStruct
from gapcast.core.demand.step.demand_struct import DemandStruct
from gapcast.core.forecasts import forecast, forecast_range, json_rows, power_floor, published_powers
from gapcast.core.forecasts.outcomes import PERSISTENCE
from gapcast.core.learning.ensemble import (
    boa_weights,
    conformal_interval,
    ensemble_state,
    error_scale,
    mean_correction,
    median_calibration,
    median_threshold,
    pending_forecasts,
    situations,
    step_struct,
)
from gapcast.core.learning.online_model import (
    analog_features,
    daily_profile,
    packed_covariance,
    phase_table,
    random_features,
    rls_features,
    rls_model,
    step_features,
)
from gapcast.core.learning.scores import drift_state, score_sums
from gapcast.core.outlook import outlook
from gapcast.core.outlook.correction import (
    correction_features,
    correction_model,
    correction_shares,
    online_outlook,
    pending_outlooks,
)
from gapcast.core.outlook.scores import reference_forecasts, scores
from gapcast.core.outlook.step import outlook_struct
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows import window
from gapcast.mqtt.packets.compiled_packets import PacketsStruct
from gapcast.mqtt.packets.frames import AT_LEAST_ONCE
from tests.core.demand import native_constants as of_demands
from tests.mqtt import native_constants as of_packets

NATIVE = Path(gapcast.__file__).parents[1] / "native"


def bucket_numbers(period: int) -> list[int]:
    """Return length, number and first index of the buckets of a period."""
    return [int(a[period]) for a in (score_sums._LENGTHS_MIN, score_sums._N_BUCKETS_OF, score_sums._FIRST_BUCKET)]


#: Constants of the C files without a counterpart: the order of sums, the format of numbers, the width of processors'
#: loads, and values derived from other constants.
OF_C_ALONE = {
    "SUM_LANES", "SUM_BLOCK", "MAX_BLOCK", "WIDE", "EXPORT", "GAPCAST_SOURCES",
    "NUMBER_LIMIT", "WEIGHT_LIMIT", "INTEGER_LIMIT", "WITH_EXPONENT", "MAX_DIGITS", "MAX_HEAD", "MAX_REMAINING",
    "N_OF_MINUTE", "COURSE_MIN", "FLOATS_OF_LINE", "MAX_ROWS", "N_OF_LEAD", "N_GAINS", "N_CORNERS", "N_MEAN_ENTRIES",
    "N_AT_ONCE",
    "TREES_AT_ONCE",
} | of_packets.OF_C_ALONE  # fmt: skip
#: The Python value of each constant, by file and name.
ORIGINALS: dict[tuple[str, str], object] = {
    ("ensemble.h", "N_BINS"): rls_features.N_BINS,
    ("ensemble.h", "N_QUANTITIES"): situations.N_QUANTITIES,
    ("ensemble.h", "N_LEVELS"): situations.N_LEVELS,
    ("ensemble.h", "N_SITUATIONS"): situations.N_SITUATIONS,
    ("ensemble.h", "N_BLOCKS"): packed_covariance.N_BLOCKS,
    ("ensemble.h", "N_STORED"): packed_covariance.N_STORED,
    ("ensemble.h", "N_STEP_KW"): step_features.N_KW,
    ("ensemble.h", "N_STEP_TIMES"): step_features.N_TIMES,
    ("ensemble.h", "N_ANALOG_KW"): analog_features.N_KW,
    ("analogs.c", "LONGEST_MIN"): analog_features._LONGEST_MIN,
    ("analogs.c", "N_MEANS"): analog_features._N_MEANS,
    ("analogs.c", "MEAN_MIN"): analog_features._STEP_MIN,
    ("analogs.c", "DECAY"): analog_features._DECAY,
    ("analogs.c", "CLOSE_WIDTH"): analog_features.WIDTHS[0],
    ("analogs.c", "MIDDLE_WIDTH"): analog_features.WIDTHS[1],
    ("analogs.c", "DISTANT_WIDTH"): analog_features.WIDTHS[2],
    ("analogs.c", "LEAST_SCALES"): analog_features._LEAST_SCALES,
    ("analogs.c", "CHANGE_LIMIT"): analog_features._LIMIT,
    ("analogs.c", "NO_CHANGE"): analog_features._NO_CHANGE,
    ("ensemble.h", "N_AGES"): phase_table.N_AGES,
    ("ensemble.h", "N_LONGER"): phase_table.N_LONGER,
    ("ensemble.h", "N_CELLS"): phase_table.N_CELLS,
    ("phases.c", "LONGEST_MIN"): phase_table._LONGEST_MIN,
    ("phases.c", "LEAST_STEP_KW"): phase_table._LEAST_STEP_KW,
    ("phases.c", "RANK"): phase_table._RANK,
    ("phases.c", "PART"): phase_table._PART,
    ("phases.c", "N_STEPS"): phase_table._N_STEPS,
    ("phases.c", "N_SIDE"): phase_table._N_SIDE,
    ("phases.c", "RESOLUTION"): phase_table._RESOLUTION,
    ("phases.c", "LONGER_UNIT_MIN"): phase_table._LONGER_UNIT_MIN,
    ("phases.c", "PRIOR_N"): phase_table._PRIOR_N,
    ("phases.c", "WHOLE"): phase_table.WHOLE,
    ("phases.c", "MOST_N"): phase_table._MOST_N,
    ("ensemble.h", "N_HIDDEN_INPUTS"): random_features._N_INPUTS,
    ("ensemble.h", "MAX_MEMBERS"): step_struct.MAX_MEMBERS,
    ("ensemble.h", "MAX_WIDTH"): step_struct.MAX_WIDTH,
    ("ensemble.h", "RLS_LIMIT"): rls_model.LIMIT,
    ("ensemble.h", "N_KNOTS"): median_calibration.N_KNOTS,
    ("ensemble.h", "N_MEAN_KNOTS"): mean_correction.N_KNOTS,
    ("ensemble.h", "NEAR_MIN"): boa_weights.NEAR_MIN,
    ("mean_correction.c", "ACTIVITY"): situations.ACTIVITY,
    ("mean_correction.c", "RISE"): situations.RISE,
    ("mean_correction.c", "FIRST_CHANGE"): mean_correction._FIRST,
    ("mean_correction.c", "FACTOR"): mean_correction._FACTOR,
    ("mean_correction.c", "N_SIDE"): mean_correction._N_SIDE,
    ("mean_correction.c", "LARGEST_CHANGE"): mean_correction._LARGEST,
    ("mean_correction.c", "ENTRY_SOFT"): mean_correction._SOFT,
    ("mean_correction.c", "ENTRY_STEP"): mean_correction._STEP,
    ("mean_correction.c", "ERROR_LIMIT"): mean_correction._LIMIT,
    ("median_calibration.c", "FIRST_CHANGE"): median_calibration._FIRST,
    ("median_calibration.c", "PER_OCTAVE"): median_calibration._PER_OCTAVE,
    ("median_calibration.c", "N_SIDE"): median_calibration._N_SIDE,
    ("median_calibration.c", "LARGEST_CHANGE"): median_calibration._LARGEST,
    ("median_calibration.c", "KNOT_SOFT"): median_calibration._SOFT,
    ("median_calibration.c", "KNOT_STEP"): median_calibration._STEP,
    ("median_threshold.c", "THRESHOLD_GAIN"): median_threshold._GAIN,
    ("median_threshold.c", "THRESHOLD_SOFT"): median_threshold._SOFT,
    ("median_threshold.c", "THRESHOLD_STEP"): median_threshold._STEP,
    ("median_threshold.c", "LARGEST_THRESHOLD"): median_threshold._LARGEST,
    ("learn.c", "N_DUE_MORE"): pending_forecasts._N_MORE,
    ("features.c", "STEP_SCALES"): step_features._STEP_SCALES,
    ("features.c", "STEP_MIN"): step_features._STEP_MIN,
    ("features.c", "FADE_MIN"): step_features._FADE_MIN,
    ("features.c", "LONGER_UNIT_MIN"): step_features._LONGER_UNIT_MIN,
    ("features.c", "LONGER_LIMIT"): step_features._LONGER_LIMIT,
    ("gapcast.h", "FEEDS_IN_KW"): forecast_range.FEEDS_IN_KW,
    ("gapcast.h", "MIN_SPREAD_KW"): conformal_interval.MIN_SPREAD_KW,
    ("forecast.c", "LARGEST_SHARE"): forecast_range._LARGEST_SHARE,
    ("device_statistics.h", "FLOOR_BLOCK"): power_floor.BLOCK,
    ("device_statistics.h", "FLOOR_FIRST_DAY"): power_floor.FIRST_DAY,
    ("device_statistics.h", "UNKNOWN_KW"): power_floor.UNKNOWN_KW,
    ("device_statistics.h", "N_USUAL"): daily_profile._N,
    ("device_statistics.h", "SCALE_FIRST_N"): error_scale._FIRST_N,
    ("device_statistics.h", "SCALE_N"): error_scale._N,
    ("device_statistics.h", "SCALE_LIMIT"): error_scale._LIMIT,
    ("device_statistics.h", "FIRST_SCALE_KW"): error_scale.FIRST_KW,
    ("device_statistics.h", "SMALL_SCALE_KW"): error_scale._SMALL_KW,
    ("device_statistics.h", "MIN_SCALE_KW"): error_scale.MIN_KW,
    ("device_statistics.h", "MISSES"): conformal_interval._MISSES,
    ("device_statistics.h", "SMALLEST_STEP"): conformal_interval._STEP,
    ("device_statistics.h", "FIRST_STEP"): conformal_interval._FIRST_STEP,
    ("device_statistics.h", "SOFT"): conformal_interval._SOFT,
    ("device_statistics.h", "LOWEST_LOG_WIDTH"): conformal_interval.LOG_WIDTH_RANGE[0],
    ("device_statistics.h", "HIGHEST_LOG_WIDTH"): conformal_interval.LOG_WIDTH_RANGE[1],
    ("device_statistics.h", "HALF_LIFE_MIN"): boa_weights.HALF_LIFE_MIN,
    ("device_statistics.h", "SMALL_ERROR"): rls_model.SMALL_ERROR,
    ("device_statistics.h", "SHARE_N"): rls_model._SHARE_N,
    ("device_statistics.h", "SHARE_FIRST_N"): rls_model._SHARE_FIRST_N,
    ("device_statistics.h", "MIN_SHARE"): rls_model.MIN_SHARE,
    ("device_statistics.h", "MEDIAN_GAIN"): rls_model._MEDIAN_GAIN,
    ("device_statistics.h", "MEDIAN_GAIN_N"): rls_model._MEDIAN_GAIN_N,
    ("rls.c", "PRIOR"): rls_model.PRIOR,
    ("rls.c", "LARGEST_VARIANCE"): rls_model.PRIOR * rls_model.TOLERANCE,
    ("rls.c", "N_CHECKED"): rls_model._N_CHECKED,
    ("covariance.c", "RIDGE"): rls_model._RIDGE,
    ("weights.c", "N_ACTIVE_MIN"): situations._N_ACTIVE_MIN,
    ("weights.c", "N_RISE_MIN"): situations._N_RISE_MIN,
    ("weights.c", "TINY_LEVEL"): situations._TINY,
    ("weights.c", "ERROR_LIMIT"): boa_weights.LIMIT,
    ("weights.c", "ABSURD"): boa_weights._ABSURD,
    ("weights.c", "EVEN_SHARE"): boa_weights.SHARE,
    ("weights.c", "FIRST_RATE"): boa_weights._FIRST_RATE,
    ("weights.c", "TINY"): boa_weights._TINY,
    ("weights.c", "MAX_LOG"): boa_weights._MAX_LOG,
    ("weights.c", "LOWEST_LEVELS"): situations._LOWEST.tolist(),
    ("weights.c", "LEVEL_STEP"): situations._STEP,
    ("scores.c", "N_BUCKETS_OF_ROW"): score_sums.N_BUCKETS,
    ("scores.c", "LARGEST_KW"): float(score_sums._LARGEST_KW),
    ("scores.c", "DAY"): bucket_numbers(0),
    ("scores.c", "WEEK"): bucket_numbers(1),
    ("outlook.h", "MAX_LEADS"): outlook_struct.MAX_LEADS,
    ("outlook.h", "MAX_LEVELS"): outlook_struct.MAX_LEVELS,
    ("outlook.h", "N_KINDS"): len(reference_forecasts.KINDS),
    ("outlook.h", "N_STATISTICS"): len(range(outlook.N_COLUMNS)[outlook.CENTRES]),
    ("outlook.h", "N_INPUTS"): outlook_struct.N_INPUTS,
    ("outlook.h", "COLUMN_LIMIT"): correction_features.LIMIT,
    ("outlook.h", "LAST_READING"): len(correction_shares.SHARES),
    ("outlook.h", "N_CHOICES"): correction_shares.N_CHOICES,
    ("outlook.h", "N_SUMS"): len(scores.SUMS),
    ("outlook.h", "N_USUAL_BINS"): rls_features.N_BINS,
    ("outlook.h", "USUAL_BIN_MIN"): rls_features.BIN_MIN,
    ("outlook.h", "N_RECENT"): len(correction_features.RECENT_MIN),
    ("outlook.h", "N_QUARTERS"): correction_features._HOUR,
    ("outlook.h", "N_PENDING"): pending_outlooks._N_VALUES,
    ("outlook_alignment.c", "INTERVAL_KW"): forecast_range.INTERVAL_KW,
    ("outlook_columns.c", "N_STRETCHES"): len(correction_features._BEGINS),
    ("outlook_columns.c", "N_EDGES"): len(correction_features._STRETCHES),
    ("outlook_columns.c", "N_MODEL"): len(correction_features._POINTS_MIN + correction_features._MEANS_MIN),
    ("outlook_columns.c", "N_MODEL_MEANS"): len(correction_features._MEANS_MIN),
    ("outlook_columns.c", "N_USUAL_COLUMNS"): len(correction_features.USUAL_MIN),
    ("outlook_columns.c", "N_ANGLES"): correction_features.ON_CIRCLE.shape[1],
    ("outlook_columns.c", "BIAS"): correction_features._BIAS,
    ("outlook_columns.c", "STRETCHES"): list(correction_features._STRETCHES),
    ("outlook_columns.c", "USUAL_MIN"): list(correction_features.USUAL_MIN),
    ("outlook_columns.c", "DAY_MIN"): DAY_MIN,
    ("outlook_correction.c", "PRIOR"): correction_model.PRIOR,
    ("outlook_correction.c", "TOLERANCE"): rls_model.TOLERANCE,
    ("outlook_correction.c", "FORGETTING"): correction_model.FORGETTING,
    ("outlook_correction.c", "LAST_READING_MIN"): correction_shares.LAST_READING_MIN,
    ("outlook_correction.c", "DEVIATIONS"): correction_shares._DEVIATIONS.tolist(),
    ("outlook_correction.c", "SHARES"): correction_shares.SHARES.tolist(),
    ("outlook_scores.c", "KEPT"): scores._KEPT,
    ("outlook_scores.c", "LARGEST_KW"): scores._LARGEST_KW,
    ("outlook_scores.c", "LOWER_LEVEL"): forecast.LOWER,
    ("outlook_scores.c", "UPPER_LEVEL"): forecast.UPPER,
    ("outlook_learn.c", "SCALE_MIN"): online_outlook._SCALE_MIN,
    ("outlook_learn.c", "MAX_FILL_MIN"): window.MAX_FILL_MIN,
    ("outlook_learn.c", "MOST_RECENT"): online_outlook._MOST_RECENT,
    ("outlook_learn.c", "RECENT_MIN"): list(correction_features.RECENT_MIN),
    ("drift.c", "LARGEST_KW"): drift_state._LARGEST_KW,
    ("drift.c", "DAY_MIN"): DAY_MIN,
    ("published.c", "STEPS_PER_KW"): published_powers.STEPS_PER_KW,
    ("json_numbers.c", "NUMBER_SCALE"): 10.0**forecast.DECIMALS,
    ("json_numbers.c", "NUMBER_DECIMALS"): forecast.DECIMALS,
    ("json_numbers.c", "WEIGHT_SCALE"): 10.0**forecast.SHARE_DECIMALS,
    ("json_numbers.c", "WEIGHT_DECIMALS"): forecast.SHARE_DECIMALS,
    ("json_rows.c", "MAX_TEXTS"): json_rows.MAX_TEXTS,
    ("json_rows.h", "AT_LEAST_ONCE"): AT_LEAST_ONCE,
} | of_demands.ORIGINALS | of_packets.ORIGINALS  # fmt: skip
_DEFINE = re.compile(r"^#define +([A-Z_]+)(?: +(.+))?$", re.MULTILINE)
_STATIC = re.compile(r"^static const [^;]+;", re.MULTILINE)
_VALUE = re.compile(r"([A-Z_]+)(?:\[\w+\])? = (\{[^}]+\}|[^,;{]+)")


def value_of(text: str, names: dict[str, object]) -> object:
    """Return the value of a C expression of numbers, casts and other constants."""
    expression = re.sub(r"/\*.*?\*/|\((?:float|double)\)", "", text).replace("{", "[").replace("}", "]")
    expression = re.sub(r"\b(\d+(?:\.\d*)?(?:e-?\d+)?)f\b", r"\1", expression)
    return eval(expression, {}, dict(names))  # noqa: S307 - our own sources


@functools.cache
def constants() -> dict[tuple[str, str], object]:
    """Return all constants of the C files, by file and name."""
    found: dict[tuple[str, str], object] = {}
    for path in sorted(NATIVE.glob("*.[ch]")):
        text = path.read_text()
        values = [(name, value) for name, value in _DEFINE.findall(text) if value and name not in OF_C_ALONE]
        values += [match for one in _STATIC.findall(text) for match in _VALUE.findall(one)]
        names: dict[str, object] = {}
        for name, value in values:
            found[path.name, name] = names[name] = value_of(value, names)
    return found


def test_native_constants_are_all_compared() -> None:
    assert constants().keys() == ORIGINALS.keys()


@pytest.mark.parametrize(("file", "name"), ORIGINALS)
def test_native_constant_equals_python(file: str, name: str) -> None:
    assert constants()[file, name] == ORIGINALS[file, name]


def test_native_enums_are_the_indices_of_python() -> None:
    """Order of ``seen``, of the published values and of the sums of scores."""
    enums = re.findall(r"^enum \{ (.+?) \};", "\n".join(p.read_text() for p in sorted(NATIVE.glob("*.[ch]"))), re.M)
    assert sorted(enums) == sorted(
        [
            "SCALE, N_OUTCOMES, LOG_WIDTH, LOWEST, N_SEEN",
            "MEAN, MEDIAN, LOWER, UPPER, N_PUBLISHED",
            "TEXT, INTEGER, NUMBER, WEIGHT",
            "BIAS, BOUNDS_N, PINBALL, HITS, WIDTH, N_INTERVAL_SUMS",
            "PUBLISHED, PERSISTENCE, FIRST_MEMBER",
            "N, SQUARED, ABSOLUTE, N_SOURCE_SUMS",
            "NEWEST_BLOCK, BLOCK_BEFORE, BLOCK_READINGS, N_LOWEST",
            "OF_MEAN, OF_LOWER, OF_MEDIAN, OF_UPPER, N_OF_OUTLOOK",
            "SEEN_SCALE, SEEN_READINGS, SEEN_LOWEST, SEEN_NEWEST, N_OF_SEEN",
            *of_demands.ENUMS,
        ]
    )
    assert [ensemble_state.SCALE, ensemble_state.N_OUTCOMES] == [0, 1]
    assert [ensemble_state.LOG_WIDTH, ensemble_state.LOWEST] == [2, 3]
    columns = outlook.MEAN, outlook.LOWER, outlook.MEDIAN, outlook.UPPER, outlook.N_COLUMNS
    assert columns == (0, 1, 2, 3, 4)
    seen = ("_SCALE", "_N_READINGS", "_LOWEST", "_NEWEST")
    assert [getattr(online_outlook, name) for name in seen] == [0, 1, 2, 3]
    assert [kind.name for kind in json_rows.SlotKind] == ["TEXT", "INTEGER", "NUMBER", "WEIGHT"]
    assert score_sums.PUBLISHED_SUMS == ("bias", "bounds_n", "pinball", "hits", "width")
    assert score_sums.SOURCE_SUMS == ("n", "squared", "absolute")
    assert score_sums.ScoreSums(("lstm",), 1).sources == (score_sums.PUBLISHED, PERSISTENCE, "lstm")


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("function", "structure"),
    [
        ("gapcast_step_bytes", step_struct.StepStruct),
        ("gapcast_demand_step_bytes", DemandStruct),
        ("gapcast_demand_messages_bytes", DemandMessagesStruct),
        ("gapcast_outlook_step_bytes", outlook_struct.OutlookStruct),
        ("gapcast_json_rows_bytes", json_rows.JsonRowsStruct),
        ("gapcast_published_bytes", published_powers.PublishedStruct),
        ("gapcast_packets_bytes", PacketsStruct),
    ],
)
def test_struct_is_as_long_as_that_of_the_library(function: str, structure: type[ctypes.Structure]) -> None:
    library = load_library()
    assert library is not None
    n_bytes = library[function]
    n_bytes.restype = ctypes.c_int64
    assert n_bytes() == ctypes.sizeof(structure)
