"""A refit in a separate process: its result, its limits, and what stays out of the parent process."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC
from io import BytesIO
from typing import BinaryIO
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.core.errors import ModelError, StateError
from gapcast.core.learning.forests.forest_features import ForestFeatures
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.window import WindowSpec
from gapcast.refit.forest_file import RefitResult, Skills, decode_result, encode_arrays, encode_result
from gapcast.refit.minutes import RecordedMinutes
from gapcast.refit.worker import LIMITS, FitOptions, FormerForest, load_libraries, refit_confined, run_refit
from tests.core.learning.test_house_forests import constant_forest
from tests.refit.cycling import cycling_house, submetered_house

OPTIONS = FitOptions(5, WindowSpec(30, "zero"), UTC)
N = 2 * DAY_MIN


@pytest.mark.lightgbm
def test_child_fits_and_this_process_does_not_load_lightgbm() -> None:
    house, ballast = cycling_house(N), b"." * (700 << 20)
    result = refit_confined(house, replace(OPTIONS, zone=ZoneInfo("Europe/Paris")), niceness=1)
    del ballast  # of this process: its memory is not the child's
    assert result.forest is not None
    assert result.skills is not None
    assert result.skills.mse_skill > 0
    assert 0 < result.peak_mb < LIMITS.memory_bytes >> 20
    again = refit_confined(house, OPTIONS, FormerForest(result.forest, int(house.minutes[0])), niceness=0)
    assert again.former is not None


@pytest.mark.lightgbm
def test_child_sees_the_submeters() -> None:
    names = ("thermostat", "idle")
    result = refit_confined(submetered_house(N), replace(OPTIONS, submeters=names), niceness=0)
    assert result.forest is not None
    assert result.forest.features == ForestFeatures(OPTIONS.spec.context, OPTIONS.horizon_min, names).names


def confined_here(_task: str, scratch: BinaryIO, *_: object) -> bytes:
    """Run the child's part in this process."""
    scratch.seek(0)
    return run_refit(scratch)


@pytest.mark.lightgbm
def test_child_fits_what_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[RecordedMinutes, FitOptions, FormerForest]] = []

    def refit(house: RecordedMinutes, options: FitOptions, former: FormerForest, *, rests: bool) -> RefitResult:
        given.append((house, options, former))
        return RefitResult(None, "too few", 9, len(house), 0, None, None, float(rests))

    monkeypatch.setattr("gapcast.refit.fit.refit", refit)
    monkeypatch.setattr("gapcast.refit.worker.run_confined", confined_here)
    house = submetered_house(100)
    filled = np.arange(100) % 3 == 0
    repeated = np.concatenate((np.arange(100), [50]))  # the last one of a minute counts
    kw = {name: values[repeated] for name, values in house.submeters_kw.items()}
    asked = RecordedMinutes(house.minutes[repeated], house.gap_kw[repeated], filled[repeated], kw)
    options = FitOptions(9, WindowSpec(20, "zero"), ZoneInfo("Europe/Paris"), ("thermostat", "idle"))
    refit_confined(asked, options, FormerForest(constant_forest(("level", "hour")), 77), niceness=0)
    ((found, found_options, former),) = given
    newest = asked.newest()
    assert found_options == options
    assert (found.minutes.tolist(), found.is_filled.tolist()) == (newest.minutes.tolist(), newest.is_filled.tolist())
    np.testing.assert_array_equal(found.gap_kw, newest.gap_kw)
    assert list(found.submeters_kw) == ["thermostat", "idle"]
    for name, values in newest.with_submeters(options.submeters).submeters_kw.items():
        np.testing.assert_array_equal(found.submeters_kw[name], values)
    assert (former.fitted_at_min, former.forest.features) == (77, ("level", "hour"))


@pytest.mark.lightgbm
@pytest.mark.parametrize(("niceness", "rests"), [(19, True), (0, False)])
def test_child_that_may_not_lower_its_priority_throttles_itself(
    monkeypatch: pytest.MonkeyPatch, niceness: int, rests: bool
) -> None:
    """Systemd's unit is such a case: its filter of system calls does not permit it."""
    refused, asked = PermissionError("not permitted"), list[bool]()

    def nice(_niceness: int) -> None:
        raise refused

    def refit(house: RecordedMinutes, *_: object, rests: bool) -> RefitResult:
        asked.append(rests)
        return RefitResult(None, "too few", 5, len(house), 0, None, None, 0.0)

    monkeypatch.setattr("gapcast.refit.worker.os.nice", nice)
    monkeypatch.setattr("gapcast.refit.fit.refit", refit)
    monkeypatch.setattr("gapcast.refit.worker.run_confined", confined_here)
    assert refit_confined(cycling_house(100), OPTIONS, niceness=niceness).problem == "too few"
    assert asked == [rests]


@pytest.mark.lightgbm
def test_child_that_exceeds_its_memory_raises_model_error() -> None:
    with pytest.raises(ModelError, match=r"the refit (used more than 1 MB|ended)"):
        refit_confined(cycling_house(N), OPTIONS, limits=replace(LIMITS, memory_bytes=1 << 20), niceness=0)


def test_cancelled_refit_ends() -> None:
    with pytest.raises(ModelError, match="the refit was cancelled"):
        refit_confined(cycling_house(100), OPTIONS, is_cancelled=lambda: True)


def test_refit_without_lightgbm_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the child: the module that needs LightGBM cannot be imported, which loading the libraries tolerates."""
    monkeypatch.setitem(sys.modules, "gapcast.refit.fit", None)
    load_libraries()
    with pytest.raises(ModelError, match=r"LightGBM cannot be loaded .*extra 'refit'.*libgomp1"):
        run_refit(BytesIO())


def test_result_is_restored_from_its_bytes() -> None:
    result = RefitResult(
        constant_forest(("level", "hour")), "", 5, 4_000, 720, Skills(0.4, 0.2), None, 3.5, 21_476_160, 120.5, 4_010
    )
    restored = decode_result(encode_result(result))
    assert restored.forest is not None
    assert result.forest is not None
    assert restored.forest.predict(np.zeros((1, 2))).tolist() == result.forest.predict(np.zeros((1, 2))).tolist()
    assert replace(restored, forest=None) == replace(result, forest=None)
    refused = replace(result, forest=None, problem="too few")
    assert decode_result(encode_result(refused)) == refused


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "damaged"),
        (b"PK\x03\x04 half an archive", "damaged"),
        (encode_arrays({"about": np.array("[]")}), "description is damaged"),
        (encode_arrays({"about": np.array('{"version": 2}')}), "version 2, this gapcast reads version 1"),
        (encode_arrays({"minutes": np.zeros(3)}), "description is damaged"),
    ],
)
def test_damaged_result_is_refused(content: bytes, problem: str) -> None:
    with pytest.raises(StateError, match=problem):
        decode_result(content)
