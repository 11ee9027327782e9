"""AMS readers (amsleser.no), most of whose messages have the import alone, in each of their payload formats."""

from __future__ import annotations

import json

import pytest

from gapcast.setup.meters.preset_answers import MeterAnswer
from tests.setup.test_power_fields import only
from tests.setup.test_preset_recognition import found, recording_of
from tests.support.approximate import approx

META = '"lv":"AIDON_V0001","id":"7359992896383454","type":"6525"'
PHASES = '"I1":4.80,"I2":0.00,"I3":-2.80,"U1":240.70,"U2":240.30,"U3":239.90'
LIST1, LIST2 = '"P":1007', f'{META},"P":0,"Q":0,"PO":444,"QO":1026,{PHASES}'
REALTIME = '{"import":{"h":0.42,"d":26.0,"m":5},"export":{"h":0.1,"d":0,"m":1}}'
COUNTERS = '{"tPI":50560.12,"tPO":0.00,"tQI":350.83,"tQO":2944.86,"rtc":1661079600}'


@pytest.mark.parametrize(
    ("topics", "form"),
    [
        (("amsreader/power", "amsreader/power"), '{%s,"t":"2026-12-01T08:00:00Z"}'),
        (("amsreader", "amsreader"), '{"name":"ams","rssi":-63,%s,"rt_h":0.42,"rt_he":0.0,"peaks":[1.2,3.4]}'),
        (("amsreader", "amsreader"), '{"name":"ams","rssi":-63,"data":{%s},"realtime":{"h":0.42,"he":0.0}}'),
        (("amsreader/list1", "amsreader/list2"), '{"name":"ams","data":{%s},"realtime":{"h":0.42,"he":0.0}}'),
    ],
    ids=["home-assistant", "flat", "classic", "multi-topic"],
)
@pytest.mark.parametrize("order", [(LIST1, LIST1, LIST2, LIST1), (LIST2, LIST1, LIST1)])
def test_ams_reader_of_a_house_that_exports(topics: tuple[str, str], form: str, order: tuple[str, ...]) -> None:
    messages = [(topics[one is LIST2], form % one) for one in order]
    others = [("amsreader/realtime", REALTIME), ("amsreader/energy", COUNTERS)]
    chosen = only(recording_of(*messages, *others), MeterAnswer())
    assert (chosen.source["preset"], chosen.number) == ("amsreader", None)
    assert chosen.source.get("topic", "amsreader") == topics[1]
    assert [*chosen.devices.values()] == [approx(-0.444)]


def test_ams_reader_on_a_given_topic_needs_no_value() -> None:
    messages = [("ams/power", json.dumps({"P": 1007})), ("ams/power", f"{{{LIST2}}}")]
    for meter in (MeterAnswer("ams/power"), MeterAnswer("ams/power", unit="W"), MeterAnswer("ams/power", "amsreader")):
        assert [*only(recording_of(*messages), meter).devices.values()] == [approx(-0.444)]


@pytest.mark.parametrize(
    ("payload", "is_likely"), [('{"P": 1007}', False), (f"{{{LIST2}}}", True), ('{"P": 1007, "E_in": 12.3}', True)]
)
def test_letter_alone_is_not_likely_enough_to_stop_listening(payload: str, is_likely: bool) -> None:
    """The export may follow in a later message."""
    (first, *_) = found(recording_of(*[("ams/power", payload)] * 3), topic="ams/power")
    assert first.is_likely is is_likely
