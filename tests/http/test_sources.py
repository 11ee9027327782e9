"""GET /sources: the gateway's subscriptions, and the messages received before the first forecast."""

from __future__ import annotations

import json

from gapcast.core.readings.reading import Reading
from tests.http.conftest import Rest

#: Far from now, as in a replay.
FIRST = 21_476_160


def test_sources_route_lists_what_is_awaited(rest: Rest) -> None:
    empty = rest.client.get("/sources").json()
    assert empty["summary"] == "Listening to gap/+/reading at broker:1883: no message yet"
    assert (empty["topics"], empty["waiting"], empty["first_forecast_at"]) == (["gap/+/reading"], [], None)
    rest.push(Reading("home", FIRST, 1.0))
    (waiting,) = rest.client.get("/sources").json()["waiting"]
    assert waiting == {"device": "home", "n_samples": 0, "n_readings": 1, "first_forecast_at": None}
    rest.push(Reading("home", FIRST + 1, 1.0))
    after = rest.client.get("/sources").json()
    assert (after["waiting"], after["summary"]) == (
        [],
        "Listening to gap/+/reading at broker:1883: forecasts of 1 device",
    )
    json.dumps(after, allow_nan=False)
