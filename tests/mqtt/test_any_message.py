"""Any message on any topic becomes a reading, a sample, a problem or nothing, but never an error."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.readings.reading import is_device_id
from gapcast.presets import presets
from tests.support.sources import EXTRAS, LONG_AGO_MS, SourceFeed

NAMES = sorted(presets())
numbers = st.integers() | st.floats() | st.sampled_from([0, 1.5, -250, 1e5, 10**400, "00.5", "nan", "unavailable", " "])
times = st.integers(1_600_000_000, 1_900_000_000) | st.sampled_from(
    ["2023-10-29T02:30:00", "2023-10-29T02:30:00Z", 1_672_531_500_000, 1.33, -1, 10**400, "x" * 9_000, " " * 9_000]
)
anything = st.recursive(
    st.none() | st.booleans() | numbers | times | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def documents(draw: st.DrawFn, name: str) -> Any:
    """Return JSON with a mostly plausible value at each path that the preset reads."""
    source = presets()[name]
    values = source.get("value", [])
    paths = [
        path.strip()
        for text in (values if isinstance(values, list) else [values])
        for path in text.replace(" - ", " + ").split(" + ")
    ]
    document: dict[str, Any] = {}
    for path in draw(st.lists(st.sampled_from([*paths, "voltage", "gap_kw", "ts"]))):
        _put(document, path, draw(numbers | anything))
    if "time" in source and draw(st.booleans()):
        _put(document, source["time"], draw(times | anything))
    return draw(st.just(document) | anything)


def _put(document: dict[str, Any], path: str, value: object) -> None:
    *keys, last = path.split(".")
    for key in keys:
        inner = document.setdefault(key, {})
        document = inner if isinstance(inner, dict) else {}
    document[last] = value


@given(st.data())
def test_source_any_message_raises_no_error(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    source = presets()[name]
    feed = SourceFeed({"preset": name}, site="Europe/Paris", extras=EXTRAS, max_devices=3)
    at_ms = LONG_AGO_MS
    for _ in range(data.draw(st.integers(1, 6))):
        level = data.draw(st.sampled_from(["a", "b", "em:0", "0", "1", "", "my meter", "actual_consumption", "x" * 65]))
        topic = source["topic"].replace("{device}", level).replace("{channel}", level).replace("{part}", level)
        is_text = data.draw(st.booleans())
        payload = str(data.draw(numbers)) if is_text else json.dumps(data.draw(documents(name)))
        at_ms += data.draw(st.integers(-400_000, 4_000_000))
        feed.send(topic, payload, at_ms, retained=data.draw(st.booleans()), again=data.draw(st.booleans()))
    feed.wait()
    for message in feed.incoming:
        assert message.reading is None or message.problem is None
        if message.problem is not None:
            assert len(message.problem.detail) < 300
    for reading in feed.readings:
        assert is_device_id(reading.device)
        assert -100 <= reading.gap_kw <= 100
