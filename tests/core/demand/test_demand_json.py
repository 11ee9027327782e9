"""The documents of a batch as JSON equal single demands' documents, with and without the compiled library."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.billing.options import ActiveTimes, DemandOptions, SiteDemandOptions
from gapcast.core.billing.window_demands import INTEGERS
from gapcast.core.demand.demand import N_COLUMNS, NAMES, Demands
from gapcast.core.demand.documents.demand_json import DemandEncoder
from gapcast.core.demand.documents.document import demand_document
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import LATEST_MS, MINUTE_MS
from tests.core.demand.runs import MONDAY, demand_engine, process
from tests.support.examples import examples
from tests.support.library_choice import build
from tests.support.outlook_model import OutlookModel

COMPILED = pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.compiled)])
SITE = SiteDemandOptions(
    DemandOptions(by_month_peak=True, floor_kw=0.7),
    {
        "mill": DemandOptions(limit_kw=3.0, fuse_kw=4.0, active=ActiveTimes(hours=((0, 30),))),
        "x-1.l2": DemandOptions(limit_kw=0.3),
    },
)
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


def check(encoder: DemandEncoder, demands: Demands) -> None:
    """Check that both ways write the same bytes, and that these are the documents (where -0.0 becomes 0.0)."""
    encoded = encoder.encode(demands)
    assert encoded == build(DemandEncoder, compiled=False).encode(demands)
    assert [json.loads(one) for one in encoded] == [demand_document(one) for one in demands]


def one_row(**changed: float) -> list[float]:
    row = dict.fromkeys(NAMES, 1.0) | {"risk": 0.05} | changed
    values = [row[name] for name in NAMES]
    for first, begin in ((2, 28_000_005), (15, 28_000_020)):
        values[first : first + 4] = begin, begin + 15, 1, 1
        values[first + 10] = changed.get("sources", 1)
    values[0] = changed.get("observed", 28_000_005)
    return values


def test_payloads_equal_the_documents() -> None:
    engine = demand_engine(SITE)
    devices = ("home", "mill", "x-1.l2")
    readings = [
        Reading(device, MONDAY + i, 1 / 3 + (i * factor % 11) / 7 - 0.5 * (device == "x-1.l2"))
        for i in range(50)
        for device, factor in zip(devices, (3, 5, 7), strict=True)
    ]
    encoder, n = DemandEncoder(), 0
    for demands in process(engine, readings, 6):
        payloads = encoder.encode(demands)
        assert [json.loads(payload) for payload in payloads] == [demand_document(one) for one in demands]
        assert list(json.loads(payloads[0])) == list(demand_document(demands[0]))
        n += len(payloads)
    assert n == 3 * 49


@pytest.mark.long
@COMPILED
@examples(100)
@given(values=st.lists(rows(), max_size=5), issued_at_ms=st.integers(0, LATEST_MS))
def test_encoded_demands_are_their_documents(compiled: bool, values: list[list[float]], issued_at_ms: int) -> None:
    demands = demands_of(values, issued_at_ms)
    check(build(DemandEncoder, compiled=compiled), demands)


@COMPILED
@pytest.mark.parametrize(
    "changed",
    [{name: 1.1e9} for name in NAMES if name not in {*INTEGERS, "observed", "issued", "risk", "headroom_kw"}]
    + [{"risk": value} for value in (0.1 + 0.2, 1e-5, 1e-15)]
    + [{"headroom_kw": value} for value in (1.1e12, -1.1e12, -1e-4)],
)
def test_encoded_demands_with_unusual_numbers_are_their_documents(compiled: bool, changed: dict[str, float]) -> None:
    demands = demands_of([one_row(), one_row(**changed)])
    check(build(DemandEncoder, compiled=compiled), demands)


@COMPILED
def test_encoder_of_demands_accepts_batches_of_any_size_and_model(compiled: bool) -> None:
    encoder, row = build(DemandEncoder, compiled=compiled), one_row(**dict.fromkeys(NULLABLE, -123456789.123456))
    for n, version in ((2, "1"), (300, "1"), (0, "1"), (1, "100 %"), (3, "ü")):
        demands = Demands(OutlookModel(version=version), 7, ["d" * 64] * n, np.array([row] * n).reshape(-1, N_COLUMNS))
        check(encoder, demands)
