"""The document of a demand, and demands in columns."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.billing.options import LimitSource
from gapcast.core.billing.window_demands import SOURCES, WindowDemand, WindowDemands
from gapcast.core.demand.documents.document import DEMAND_FIELDS, WINDOW_FIELDS, demand_document
from gapcast.core.models.predictor import PublishedModel
from gapcast.core.windows.window import WindowSpec
from tests.support.demands import DEMAND
from tests.support.window_demands import demands_from_columns


def test_document_has_each_value_in_kw_and_headroom_in_w() -> None:
    assert demand_document(DEMAND) == {
        "v": 1, "device": "home", "observed_at": "2023-03-28T10:40:00Z", "issued_at": "2023-11-14T22:13:20.123Z",
        "model": "outlook", "model_version": "3",
        "window_start": "2023-03-28T10:30:00Z", "window_end": "2023-03-28T10:45:00Z", "elapsed_min": 11,
        "unmeasured_min": 0, "so_far_kw": 1.2, "expected_kw": 1.3, "lower_kw": 1.1, "median_kw": 1.25,
        "upper_kw": 1.9, "limit_kw": 2.5, "limit_source": "fixed", "p_exceed": 0.012346, "headroom_w": 1234,
        "risk": 0.05, "month_peak_kw": 3.4, "fuse_kw": 9.2, "p_fuse": 0.001, "valid_until": "2023-03-28T10:45:00Z",
        "next": {
            "window_start": "2023-03-28T10:45:00Z", "window_end": "2023-03-28T11:00:00Z", "expected_kw": 2.6,
            "lower_kw": 0.8, "median_kw": 2.4, "upper_kw": 4.0, "limit_kw": None, "limit_source": "none",
            "p_exceed": 0.0, "headroom_w": -101,
        },
    }  # fmt: skip


def test_demand_document_has_unmeasured_minutes() -> None:
    document = demand_document(replace(DEMAND, running=replace(DEMAND.running, n_known=4)))
    assert (document["elapsed_min"], document["unmeasured_min"]) == (11, 7)
    assert "unmeasured_min" not in document["next"]


def test_document_has_null_where_there_is_no_value() -> None:
    running = replace(DEMAND.running, so_far_kw=None)
    document = demand_document(replace(DEMAND, running=running, month_peak_kw=None, fuse_kw=None, p_fuse=None))
    nulls = [name for name, value in document.items() if value is None]
    assert nulls == ["so_far_kw", "month_peak_kw", "fuse_kw", "p_fuse"]
    assert json.loads(json.dumps(document)) == document
    assert list(document) == [*(field.name for field in DEMAND_FIELDS), "next"]
    assert list(document["next"]) == [field.name for field in WINDOW_FIELDS]


def columns_of(windows: list[WindowDemand]) -> WindowDemands:
    def column(name: str) -> NDArray[Any]:
        values = [getattr(window, name) for window in windows]
        return np.array([np.nan if value is None else value for value in values])

    singular = {"start_minutes": "start_minute", "end_minutes": "end_minute"}
    columns = {
        name: column(singular.get(name, name)) for name in WindowDemands.__dataclass_fields__ if name != "sources"
    }
    return WindowDemands(**columns, sources=np.array([SOURCES.index(window.limit_source) for window in windows]))


def test_demands_read_one_and_all_alike() -> None:
    other = replace(DEMAND, device="mill", month_peak_kw=None, fuse_kw=None, p_fuse=None, valid_until_minute=28_000_004)
    other = replace(other, observed_minute=27_999_999, running=replace(DEMAND.running, so_far_kw=None))
    both = [DEMAND, other]
    model = PublishedModel("outlook", "3", WindowSpec(60), (1, 60), None)
    demands = demands_from_columns(
        model, DEMAND.issued_at_ms, ["home", "mill"], np.array([28_000_000, 27_999_999]),
        columns_of([one.running for one in both]), columns_of([one.next for one in both]),
        (np.array([0.05, 0.05]), np.array([3.4, np.nan]), np.array([9.2, np.nan]), np.array([0.001, np.nan])),
    )  # fmt: skip
    assert len(demands) == 2
    assert list(demands) == both
    assert demands[1] == demands[-1] == other
    assert demands[0].next.limit_source is LimitSource.NONE
