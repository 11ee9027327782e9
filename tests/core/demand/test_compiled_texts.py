"""The texts that the compiled library writes are those of Python, byte for byte."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapcast.core.demand import compiled_texts as module
from gapcast.core.demand.compiled_texts import compiled_texts
from gapcast.core.demand.demand import N_COLUMNS, NAMES, Demands
from gapcast.core.demand.demand_json import demand_payloads, demand_texts, reference_texts
from gapcast.core.demand.document import demand_document
from gapcast.core.demand.window_demands import INTEGERS
from gapcast.core.grid import LATEST_MS, MINUTE_MS
from tests.support.outlook_model import OutlookModel

pytestmark = pytest.mark.compiled

LAST_MINUTE = LATEST_MS // MINUTE_MS
#: Numbers whose text is short, long, rounded to zero, negative, or with an exponent.
NUMBERS = st.one_of(
    st.sampled_from((np.nan, 0.0, -0.0, 1e-7, -1e-7, 5e-7, 1.5e-6, -1.2e-05, 9.9e-05, 1e-4, 0.1, 1.0, -1.0, 1e9, -1e9)),
    st.floats(-20, 20),
    st.floats(-1e9, 1e9),
    st.integers(-(10**7), 10**7).map(lambda n: n / 1e6),
)
FINITE = NUMBERS.filter(lambda value: not np.isnan(value))
RISKS = st.sampled_from((0.05, 0.001, 0.5, 0.123456789012345, 0.3, 1 / 8192)) | st.integers(1, 999).map(
    lambda n: n / 1000
)
NULLABLE = ("so_far_kw", "limit_kw", "month_peak_kw", "fuse_kw", "p_fuse")


@st.composite
def rows(draw: st.DrawFn) -> list[float]:
    start = draw(st.integers(0, LAST_MINUTE - 200))
    elapsed, length = draw(st.integers(0, 14)), draw(st.sampled_from((15, 20, 60)))
    found = [draw(NUMBERS if name in NULLABLE else FINITE) for name in NAMES]
    found[0] = start + elapsed - 1 if start + elapsed else 0
    for first, begin, end in ((2, start, start + length), (15, start + length, start + 2 * length)):
        found[first : first + 4] = begin, end, elapsed, elapsed
        found[first + 10] = draw(st.integers(0, 3))
    found[N_COLUMNS - 4] = draw(RISKS)
    return found


def demands_of(values: list[list[float]], issued_at_ms: int = 1_700_000_000_123) -> Demands:
    names = [f"x-{i}.l2" for i in range(len(values))]
    return Demands(OutlookModel(version='3 "b"'), issued_at_ms, names, np.array(values).reshape(-1, N_COLUMNS))


@settings(max_examples=100)
@given(st.lists(rows(), min_size=1, max_size=5), st.integers(0, LATEST_MS))
def test_compiled_texts_are_those_of_python(values: list[list[float]], issued_at_ms: int) -> None:
    demands = demands_of(values, issued_at_ms)
    found, expected = compiled_texts(demands), reference_texts(demands)
    assert found == expected
    assert [json.loads(one) for one in expected.documents] == [demand_document(one) for one in demands]


def one_row(**changed: float) -> list[float]:
    row = dict.fromkeys(NAMES, 1.0) | {"risk": 0.05} | changed
    values = [row[name] for name in NAMES]
    for first, begin in ((2, 28_000_005), (15, 28_000_020)):
        values[first : first + 4] = begin, begin + 15, 1, 1
        values[first + 10] = changed.get("sources", 1)
    values[0] = changed.get("observed", 28_000_005)
    return values


@pytest.mark.parametrize(
    "changed",
    [{name: 1.1e9} for name in NAMES if name not in {*INTEGERS, "observed", "issued", "risk", "headroom_kw"}]
    + [{"risk": value} for value in (0.1 + 0.2, 1e-5, 1e-15)]
    + [{"headroom_kw": 1.1e12}],
)
def test_compiled_texts_unusual_number_is_left_to_python(changed: dict[str, float]) -> None:
    demands = demands_of([one_row(), one_row(**changed)])
    assert compiled_texts(demands) is None
    assert demand_texts(demands) == reference_texts(demands)


@pytest.mark.parametrize("changed", [{"sources": 4}, {"sources": -1}, {"observed": -1}, {"observed": 5e9}])
def test_compiled_texts_impossible_demand_is_left_to_python(changed: dict[str, float]) -> None:
    assert compiled_texts(demands_of([one_row(**changed)])) is None


def test_compiled_texts_of_no_demand_are_empty() -> None:
    assert compiled_texts(demands_of([])) == ([], [], [])


def test_compiled_texts_of_many_long_names_fit() -> None:
    values = [one_row(**dict.fromkeys(NULLABLE, -123456789.123456))] * 300
    demands = Demands(OutlookModel(), 7, ["d" * 64] * 300, np.array(values))
    assert compiled_texts(demands) == reference_texts(demands)


def test_compiled_texts_of_several_threads_are_their_own() -> None:
    batches = [demands_of([one_row(expected_kw=float(i))] * 20) for i in range(8)]
    found: dict[int, bool] = {}

    def write(i: int) -> None:
        expected = reference_texts(batches[i])
        found[i] = all(compiled_texts(batches[i]) == expected for _ in range(20))

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(8), True)


def test_compiled_texts_without_a_library_are_those_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    demands = demands_of([one_row()])
    expected = demand_texts(demands)
    monkeypatch.setattr(module, "_function", lambda name: None)
    assert compiled_texts(demands) is None
    assert demand_texts(demands) == expected
    assert demand_payloads(demands) == expected.documents
