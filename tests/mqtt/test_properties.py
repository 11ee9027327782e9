"""Properties of a PUBLISH written by paho are read correctly."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gapcast.mqtt.packets.frames import encode_properties
from gapcast.mqtt.packets.properties import (
    MAX_FORWARDED_BYTES,
    Property,
    content_type,
    forwarded_properties,
    properties_in,
    response_topic_in,
)

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "PayloadFormatIndicator": st.integers(0, 1),
        "MessageExpiryInterval": st.integers(0, 2**32 - 1),
        "TopicAlias": st.integers(1, 65_535),
        "ContentType": TEXT,
        "ResponseTopic": TEXT,
        "CorrelationData": st.binary(max_size=20),
        "SubscriptionIdentifier": st.integers(1, 268_435_455),
        "UserProperty": st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4),
    },
)


def written(values: dict[str, Any]) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def encoded(values: dict[str, Any]) -> bytes:
    """Return properties as in a :class:`Publication`: without their length."""
    packed: bytes = written(values).pack()
    n_length = 1 if packed[0] < 0x80 else 2
    return packed[n_length:]


def read_by_paho(extra: bytes) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)
    properties.unpack(encode_properties(None, extra))
    return properties


@given(VALUES)
def test_passed_on_keeps_correlation_and_user_properties(values: dict[str, Any]) -> None:
    kept = {name: value for name, value in values.items() if name in {"CorrelationData", "UserProperty"}}
    assert read_by_paho(forwarded_properties(encoded(values))).json() == written(kept).json()


@given(VALUES)
def test_response_topic_is_found_at_any_position(values: dict[str, Any]) -> None:
    assert response_topic_in(encoded(values)) == values.get("ResponseTopic")
    assert b"".join(one.raw for one in properties_in(encoded(values))) == encoded(values)


@given(st.binary(max_size=60))
def test_properties_any_bytes_raise_no_error(noise: bytes) -> None:
    found = list(properties_in(noise))
    assert noise.startswith(b"".join(one.raw for one in found))
    assert len(forwarded_properties(noise)) <= len(noise)
    response_topic_in(noise)


@given(VALUES, st.integers(0, 2**32 - 1))
def test_encode_properties_combines_expiry_and_others(values: dict[str, Any], expiry_s: int) -> None:
    properties: Any = Properties(PacketTypes.PUBLISH)  # its attributes are made at run time
    extra = forwarded_properties(encoded(values)) + content_type("application/json")
    properties.unpack(encode_properties(expiry_s, extra))
    assert (properties.MessageExpiryInterval, properties.ContentType) == (expiry_s, "application/json")


def test_passed_on_drops_properties_over_the_limit() -> None:
    pair = ("k" * 2_000, "v" * 2_000)
    assert len(forwarded_properties(encoded({"UserProperty": [pair]}))) <= MAX_FORWARDED_BYTES
    assert forwarded_properties(encoded({"UserProperty": [pair, pair]})) == b""


def test_response_topic_not_utf8_is_none() -> None:
    assert Property(8, b"\x08\x00\x01\xff").content == b"\xff"
    assert response_topic_in(b"\x08\x00\x01\xff") is None
