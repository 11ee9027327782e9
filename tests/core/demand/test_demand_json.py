"""The documents of a batch as JSON: the same as one by one."""

from __future__ import annotations

import json

from gapcast.core.demand.demand_json import demand_payloads
from gapcast.core.demand.document import demand_document
from gapcast.core.demand.options import ActiveTimes, DemandOptions, DemandPlan
from gapcast.core.reading import Reading
from tests.core.demand.runs import MONDAY, demand_engine, process

PLAN = DemandPlan(
    DemandOptions(by_month_peak=True, floor_kw=0.7),
    {
        "mill": DemandOptions(limit_kw=3.0, fuse_kw=4.0, active=ActiveTimes(hours=((0, 30),))),
        "x-1.l2": DemandOptions(limit_kw=0.3),
    },
)


def test_payloads_equal_the_documents() -> None:
    engine = demand_engine(PLAN)
    devices = ("home", "mill", "x-1.l2")
    readings = [
        Reading(device, MONDAY + i, 1 / 3 + (i * factor % 11) / 7 - 0.5 * (device == "x-1.l2"))
        for i in range(50)
        for device, factor in zip(devices, (3, 5, 7), strict=True)
    ]
    n = 0
    for demands in process(engine, readings, 6):
        payloads = demand_payloads(demands)
        assert [json.loads(payload) for payload in payloads] == [demand_document(one) for one in demands]
        assert list(json.loads(payloads[0])) == list(demand_document(demands[0]))
        n += len(payloads)
    assert n == 3 * 49
