"""The compiled library writes the messages of demands that Python writes, or leaves them to Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.demand.demand import HEADROOM, N_COLUMNS, NEXT, OBSERVED, RISK, RUNNING, Demands
from gapcast.core.demand.documents.demand_json import DemandEncoder
from gapcast.core.demand.documents.demand_messages import DemandMessages, DemandPackets
from gapcast.core.demand.documents.demand_template import DemandSlot, demand_template
from gapcast.core.demand.documents.max_power import headrooms_w, max_powers_w
from gapcast.core.time_grid import MINUTE_MS, minute_label
from gapcast.mqtt.packets.frames import PUBLISH, RETAIN, encode_properties, encode_publish
from tests.core.demand.test_demand_json import demands_of, one_row, rows
from tests.support.examples import examples
from tests.support.library_choice import build
from tests.support.outlook_model import OutlookModel

pytestmark = pytest.mark.compiled

TOPICS = [(b"gap/", b"/demand"), (b"gap/", b"/headroom_w"), (b"", b"")]
PACKETS = DemandPackets(TOPICS, PUBLISH | RETAIN, PUBLISH)


def messages_of(packets: DemandPackets | None = PACKETS) -> DemandMessages:
    found = DemandMessages.create_if_available(packets)
    assert found is not None
    return found


def written(writer: DemandMessages, demands: Demands, ids: list[int], *, has_properties: bool) -> bytes | None:
    found = writer.write(demands, has_properties=has_properties, packet_ids=ids)
    if found is None:
        return None
    for payload, (begin, end) in zip(
        payloads_of(demands), found.bounds.reshape(-1, 2)[found.bounds[..., 1].ravel() > 0].tolist(), strict=True
    ):
        assert bytes(found.content[begin:end]) == payload
    return bytes(found.content)


def is_late(demands: Demands) -> list[bool]:
    now_min = demands.issued_at_ms / MINUTE_MS
    return [until - now_min <= 0 for until in demands.valid_until_minutes.tolist()]


def payloads_of(demands: Demands) -> list[bytes]:
    """The payloads that Python sends."""
    columns = build(DemandEncoder, compiled=False).encode(demands), headrooms_w(demands), max_powers_w(demands)
    return [
        payload
        for late, document, *powers_w in zip(is_late(demands), *columns, strict=True)
        for payload in (document, *([] if late else [b"%d" % power for power in powers_w]))
    ]


def packets_of(demands: Demands, ids: list[int], *, has_properties: bool) -> bytes:
    """The packets that Python encodes."""
    packets, payloads, next_id = b"", iter(payloads_of(demands)), iter(ids)
    now_min = demands.issued_at_ms / MINUTE_MS
    columns = demands.devices, demands.valid_until_minutes.tolist(), is_late(demands)
    for device, until, late in zip(*columns, strict=True):
        left_min = until - now_min
        expiry_s = (int(left_min * 60) or 1) if 0 < left_min <= 5 else 300
        properties = encode_properties(expiry_s) if has_properties else None
        for i, (before, after) in enumerate(TOPICS[:1] if late else TOPICS):
            topic, packet_id = before + device.encode() + after, next(next_id) if ids else 0
            packets += encode_publish(topic, next(payloads), packet_id, retain=i == 0, properties=properties)
    return packets


@examples(150)
@given(
    values=st.lists(rows(), max_size=4),
    age_min=st.floats(-3, 8) | st.floats(-2e3, 2e3),
    has_ids=st.booleans(),
    has_properties=st.booleans(),
)
def test_packets_of_demands_equal_python(
    values: list[list[float]], age_min: float, has_ids: bool, has_properties: bool
) -> None:
    first_minute = int(values[0][OBSERVED]) if values else 0
    demands = demands_of(values, max(int((first_minute + age_min) * MINUTE_MS), 0))
    ids = list(range(0x8000, 0x8000 + 3 * len(values))) if has_ids else []
    found = written(messages_of(), demands, ids, has_properties=has_properties)
    if found is not None:
        assert found == packets_of(demands, ids, has_properties=has_properties)


@pytest.mark.parametrize("has_ids", [False, True])
def test_usual_demands_are_written_compiled_in_batches_of_any_size(has_ids: bool) -> None:
    writer = messages_of()
    for n, version in ((2, "1"), (300, "1"), (0, "1"), (1, "100 %"), (3, "ü")):
        columns = np.array([one_row()] * n).reshape(-1, N_COLUMNS)
        demands = Demands(OutlookModel(version=version), 28_000_006 * MINUTE_MS, ["d" * 64] * n, columns)
        ids = list(range(0x8000, 0x8000 + 3 * n)) if has_ids else []
        assert written(writer, demands, ids, has_properties=True) == packets_of(demands, ids, has_properties=True)
    demands = demands_of([one_row()], 28_000_006 * MINUTE_MS)
    assert written(writer, demands, [], has_properties=False) == packets_of(demands, [], has_properties=False)


@pytest.mark.parametrize("left_min", [5.0, 5.001, 0.0, 0.001, 1.0, 2.0, -1.0, -1_440.0, -1_441.0])
def test_messages_near_the_end_of_validity_equal_python(left_min: float) -> None:
    demands = demands_of([one_row()])
    until = int(demands.valid_until_minutes[0])
    demands = demands_of([one_row()], round((until - left_min) * MINUTE_MS))
    assert written(messages_of(), demands, [], has_properties=True) == packets_of(demands, [], has_properties=True)


@pytest.mark.parametrize("elapsed", [0, 1, 12, 13, 14])
@pytest.mark.parametrize("next_headroom_kw", [-5.0, 5.0])
@pytest.mark.parametrize("so_far_kw", [np.nan, 0.7])
def test_allowed_power_near_the_end_of_a_window_equals_python(
    elapsed: int, next_headroom_kw: float, so_far_kw: float
) -> None:
    row = one_row()
    begin = RUNNING.start
    row[OBSERVED], row[begin + 2], row[begin + 4] = row[begin] + elapsed - 1, elapsed, so_far_kw
    row[NEXT.start + HEADROOM - begin] = next_headroom_kw
    demands = demands_of([row], int(row[OBSERVED] + 1) * MINUTE_MS)
    assert written(messages_of(), demands, [], has_properties=True) == packets_of(demands, [], has_properties=True)


@pytest.mark.parametrize("minute", [0, 1, 59, 60, 1_439, 1_440, 84_959, 84_960, 15_863_039, 15_863_040, 52_594_559])
def test_times_of_demands_equal_python(minute: int) -> None:
    """First and last minutes of days, of Februaries with and without a 29th, and of 2069."""
    row = one_row()
    row[OBSERVED] = minute
    found = messages_of(None).write(demands_of([row], minute * MINUTE_MS + 59_999))
    assert found is not None
    document = bytes(found.content).decode()
    assert f'"observed_at":"{minute_label(minute)}"' in document
    assert f'"issued_at":"{minute_label(minute)[:-3]}59.999Z"' in document


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (OBSERVED, -1.0),
        (OBSERVED, 1e13),
        (RISK, 0.1 + 0.2),
        (HEADROOM, np.inf),
        (HEADROOM, np.nan),
        (RUNNING.start + 5, np.nan),
        (RUNNING.start + 10, 4.0),
        (RUNNING.start + 10, -1.0),
    ],
)
def test_unusual_demands_are_left_to_python(column: int, value: float) -> None:
    row = one_row()
    row[column] = value
    assert messages_of().write(demands_of([row])) is None


def test_topic_that_is_too_long_is_left_to_python() -> None:
    long = DemandPackets([(b"x" * 65_535, b""), *TOPICS[1:]], PUBLISH, PUBLISH)
    assert messages_of(long).write(demands_of([one_row()])) is None


def test_form_has_a_slot_of_each_kind() -> None:
    template = demand_template("lstm", "1")
    assert set(template.kinds) == set(DemandSlot)
    assert len(template.constants) == len(template.kinds) + 1 == len(template.columns) + 1
