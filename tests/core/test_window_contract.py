"""The window contract: a stream gives the same windows as the trainer cuts from the array."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.submeters import measured_name
from gapcast.core.streams.buffer import Buffers, ReadingStatus
from gapcast.core.windows.features import MEASURED
from gapcast.core.windows.window import MAX_FILL_MIN, WindowSpec, bridge, cut, pad
from gapcast.predictors.baselines import Persistence

POWER = st.floats(-100, 100, width=32)
VALUE = st.floats(-1000, 1000, width=32) | st.just(float("nan"))
CHANNELS = tuple(MEASURED)
SPECS = st.builds(WindowSpec, st.integers(2, 60), st.sampled_from(["oldest", "zero"]))


@st.composite
def series(draw: st.DrawFn) -> np.ndarray:
    """Return a morning with gaps of every relevant length."""
    runs = draw(
        st.lists(st.tuples(st.lists(POWER, min_size=1, max_size=12), st.integers(0, MAX_FILL_MIN + 3)), max_size=10)
    )
    minutes = [value for values, n_missing in runs for value in (*values, *[float("nan")] * n_missing)]
    return np.array(minutes, dtype=np.float32)


def stream(values: np.ndarray, device: str = "home") -> list[Reading]:
    return [Reading(device, minute, float(kw)) for minute, kw in enumerate(values) if not np.isnan(kw)]


def check_stream_equals_array(values: np.ndarray, spec: WindowSpec, readings: list[Reading]) -> None:
    buffers, windows, origins, observed = Buffers(spec, 1, CHANNELS[: values.shape[1]]), [], [], []
    for reading in readings:
        if buffers.accept(reading) is ReadingStatus.READY:
            out = np.empty(buffers.shape, dtype=np.float32)
            observed.append(buffers.copy_window("home", out))
            windows.append(out)
            origins.append(reading.minute)
    expected = cut(values[:, 0] if values.shape[1] == 1 else values, spec)
    assert origins == expected.origin.tolist()
    assert observed == expected.n_observed.tolist()
    assert np.array_equal(np.array(windows).reshape(-1, *buffers.shape), expected[:])


@given(series(), SPECS)
def test_stream_windows_equal_array_windows(values: np.ndarray, spec: WindowSpec) -> None:
    check_stream_equals_array(values[:, np.newaxis], spec, stream(values))


@pytest.mark.long
@given(series(), st.integers(2, len(CHANNELS)), st.data(), SPECS)
def test_stream_windows_of_several_channels_equal_array_windows(
    power: np.ndarray, n_channels: int, data: st.DataObject, spec: WindowSpec
) -> None:
    others = data.draw(st.lists(st.lists(VALUE, min_size=n_channels - 1, max_size=n_channels - 1),
                                min_size=len(power), max_size=len(power)))  # fmt: skip
    values = np.column_stack([power, np.array(others, dtype=np.float32).reshape(len(power), n_channels - 1)])
    readings = [
        Reading("home", minute, row[0], measured=dict(zip(CHANNELS[1:], row[1:], strict=False)))
        for minute, row in enumerate(values.tolist())
        if not np.isnan(row).any()
    ]
    check_stream_equals_array(values, spec, readings)


@pytest.mark.long
@given(series(), st.integers(1, 3), st.data(), SPECS)
def test_stream_windows_with_submeters_equal_array_windows(
    power: np.ndarray, n_submeters: int, data: st.DataObject, spec: WindowSpec
) -> None:
    """A minute without a submeter does not count as missing."""
    others = data.draw(st.lists(st.lists(VALUE, min_size=n_submeters, max_size=n_submeters),
                                min_size=len(power), max_size=len(power)))  # fmt: skip
    submeters_kw = np.array(others, dtype=np.float32).reshape(len(power), n_submeters)
    submeters_kw[np.isnan(power)] = np.nan
    names = tuple(map(str, range(n_submeters)))
    keys = tuple(map(measured_name, names))
    buffers, windows = Buffers(spec, 1, submeters={"home": names}), []
    for reading in stream(power):
        known = dict(zip(keys, submeters_kw[reading.minute].tolist(), strict=True))
        measured = {key: kw for key, kw in known.items() if not np.isnan(kw)}
        if buffers.accept(reading._replace(measured=measured)) is ReadingStatus.READY:
            windows.append(buffers.window("home"))
    expected = cut(np.column_stack([power, submeters_kw]), spec, n_required=1)
    assert np.array_equal(np.array(windows).reshape(-1, *buffers.shape), expected[:], equal_nan=True)


def test_minute_without_a_channel_is_missing() -> None:
    values = np.array([[1.0, 230.0], [9.0, np.nan], [3.0, 234.0]], dtype=np.float32)
    windows = cut(values, WindowSpec(4))
    assert windows[:].tolist() == [[[1.0, 230.0], [1.0, 230.0], [2.0, 232.0], [3.0, 234.0]]]
    assert windows.n_observed.tolist() == [2]


def test_zero_padding_applies_to_every_channel() -> None:
    values = np.array([[1.0, 230.0], [2.0, 231.0]], dtype=np.float32)
    expected = [[0.0, 0.0], [1.0, 230.0], [2.0, 231.0]]
    assert pad(values, WindowSpec(3, "zero")).tolist() == expected
    assert cut(values, WindowSpec(3, "zero"))[:].tolist() == [expected]


@pytest.mark.long
@given(st.lists(series(), min_size=1, max_size=4), SPECS, st.integers(1, 40))
def test_devices_in_one_batch_are_independent(houses: list[np.ndarray], spec: WindowSpec, batch_size: int) -> None:
    engine = Engine(Persistence(spec))
    readings = [reading for i, values in enumerate(houses) for reading in stream(values, f"house-{i}")]
    readings.sort(key=lambda reading: reading.minute)
    found: dict[str, list[np.ndarray]] = {f"house-{i}": [] for i in range(len(houses))}
    for first in range(0, len(readings), batch_size):
        accepted = engine.accept(readings[first : first + batch_size])
        for device, window in zip(accepted.devices, accepted.windows, strict=True):
            found[device].append(window)
    for i, values in enumerate(houses):
        windows = np.array(found[f"house-{i}"], dtype=np.float32).reshape(-1, spec.context)
        assert np.array_equal(windows, cut(values, spec)[:])


@given(st.lists(POWER, min_size=2, max_size=80), SPECS)
def test_padded_series_equals_the_stream_window(readings_kw: list[float], spec: WindowSpec) -> None:
    buffers = Buffers(spec, 1)
    for reading in stream(np.array(readings_kw, dtype=np.float32)):
        buffers.accept(reading)
    window = buffers.window("home")
    if len(readings_kw) <= spec.context or spec.padding == "oldest":
        assert np.array_equal(window[-len(readings_kw) :], np.array(readings_kw, dtype=np.float32)[-spec.context :])
    assert np.array_equal(window, pad(np.array(readings_kw), spec))


@pytest.mark.parametrize(("padding", "in_front"), [("oldest", 1.5), ("zero", 0.0)])
def test_window_is_padded_at_the_old_end(padding: Literal["oldest", "zero"], in_front: float) -> None:
    assert pad(np.array([1.5, 2.5]), WindowSpec(4, padding)).tolist() == [in_front, in_front, 1.5, 2.5]


@given(POWER, POWER, st.integers(1, MAX_FILL_MIN))
def test_filled_minute_is_between_its_neighbours(before_kw: float, after_kw: float, n_missing: int) -> None:
    filled = bridge(before_kw, after_kw, n_missing)
    assert filled.shape == (n_missing,)
    assert filled.min() >= min(before_kw, after_kw)
    assert filled.max() <= max(before_kw, after_kw)


def test_five_missing_minutes_are_filled_and_six_restart() -> None:
    five = cut(np.array([1.0, *[np.nan] * 5, 7.0], dtype=np.float32), WindowSpec(8))
    assert five[:].tolist() == [[1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]]
    assert five.n_observed.tolist() == [2]
    assert len(cut(np.array([1.0, *[np.nan] * 6, 7.0], dtype=np.float32), WindowSpec(8))) == 0


@pytest.mark.parametrize("values", [[], [np.nan], [1.0], [np.nan] * 3])
def test_series_of_one_reading_has_no_window(values: list[float]) -> None:
    windows = cut(np.array(values, dtype=np.float32), WindowSpec(4))
    assert len(windows) == 0
    assert windows[:].shape == (0, 4)


def test_context_below_two_is_rejected() -> None:
    with pytest.raises(ValueError, match="at least 2 minutes, not 1"):
        WindowSpec(1)
