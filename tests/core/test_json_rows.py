"""The compiled library writes the bytes that Python writes, or leaves them to Python."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.compiled.functions import load_function
from gapcast.core.forecasts.forecast import DECIMALS, EnsembleWeights, Forecasts
from gapcast.core.forecasts.forecast_json import _N_TEMPLATES, ForecastEncoder
from gapcast.core.forecasts.json_rows import MAX_TEXTS, JsonDocuments, JsonRows, JsonTemplate, Packets, SlotKind
from gapcast.core.models.predictor import PublishedModel
from gapcast.core.windows.window import WindowSpec
from gapcast.mqtt.packets.frames import encode_properties, encode_publish
from tests.support.library_choice import build

pytestmark = pytest.mark.compiled

MODEL = PublishedModel('100 % "ü"', "1", WindowSpec(180), (1, 2, 5), (0.05, 0.5, 0.95))
NAMES = ("lstm-5-3", "%s", "ü")
#: Powers of all magnitudes as published, and others.
POWERS = st.one_of(st.floats(-2e6, 2e6), st.floats(-2e-4, 2e-4), st.integers(-300, 300).map(lambda n: n / 1e6)).map(
    lambda kw: float(np.float64(kw).round(DECIMALS))
)
WEIGHTS = st.one_of(st.floats(0, 1, width=32), st.integers(0, 2_000).map(lambda n: float(np.float32(n / 2_000))))
UNUSUAL = [np.nan, np.inf, -np.inf, 1e15, -3e15, 0.12345678]


def rows_of(kinds: tuple[SlotKind, ...], packets: Packets | None = None) -> JsonRows:
    function = load_function("gapcast_json_rows")
    assert function is not None
    return JsonRows(function, JsonTemplate(("",) * (len(kinds) + 1), kinds), packets)


def written(kind: SlotKind, value: float) -> str | None:
    rows = rows_of((kind,))
    rows.values(1)[0] = value
    found = rows.write([], 1)
    return None if found is None else bytes(found.content).decode()


@st.composite
def batches(draw: st.DrawFn) -> Forecasts:
    n = draw(st.integers(1, 5))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=n, max_size=n))

    has_bounds = draw(st.booleans())
    return Forecasts(
        MODEL,
        draw(st.integers(946_684_800_000, 4_102_444_799_999)),
        column(st.text("azAZ09_.-", min_size=1, max_size=64)),
        column(st.integers(15_778_080, 68_374_000)),
        column(st.integers(0, 180)),
        column(POWERS),
        column(POWERS),
        column(POWERS) if has_bounds else None,
        column(POWERS) if has_bounds else None,
        np.array(column(st.lists(POWERS, min_size=3, max_size=3))) if draw(st.booleans()) else None,
        EnsembleWeights(NAMES, np.array(column(st.lists(WEIGHTS, min_size=6, max_size=6)), dtype=np.float32))
        if draw(st.booleans())
        else None,
    )


def by_python(forecasts: Forecasts) -> list[bytes]:
    return list(build(ForecastEncoder, compiled=False).encode(forecasts))


@given(POWERS)
def test_number_is_written_as_repr(power_kw: float) -> None:
    assert written(SlotKind.NUMBER, power_kw) == repr(power_kw)


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-6, -1e-5, 1.2e-5, 9.9e-5, 1e-4, 0.1, -1.0, 10.0, 999_999_999.999999])
def test_number_at_an_edge_is_written_as_repr(value: float) -> None:
    assert written(SlotKind.NUMBER, value) == repr(value)


@given(WEIGHTS)
def test_weight_is_written_with_three_decimals(weight: float) -> None:
    assert written(SlotKind.WEIGHT, weight) == f"{weight:.3f}"


@given(st.integers(1 - 10**15, 10**15 - 1))
def test_integer_is_written_as_it_is(number: int) -> None:
    assert written(SlotKind.INTEGER, number) == str(number)


@pytest.mark.parametrize("value", UNUSUAL)
@pytest.mark.parametrize("kind", [SlotKind.INTEGER, SlotKind.NUMBER, SlotKind.WEIGHT])
def test_value_of_another_form_is_left_to_python(kind: SlotKind, value: float) -> None:
    assert written(kind, value) is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [(SlotKind.INTEGER, -0.5), (SlotKind.WEIGHT, -1.0), (SlotKind.WEIGHT, -0.5)],
)
def test_value_that_its_kind_lacks_is_left_to_python(kind: SlotKind, value: float) -> None:
    assert written(kind, value) is None


@pytest.mark.parametrize(("kind", "limit"), [(SlotKind.NUMBER, 1e9), (SlotKind.WEIGHT, 1e3)])
def test_value_beyond_its_limit_is_left_to_python(kind: SlotKind, limit: float) -> None:
    assert written(kind, limit) is None
    assert written(kind, limit - 1) is not None


@pytest.mark.parametrize("texts", [["a\0b"], ["a", "b"], []])
def test_texts_that_do_not_fit_are_left_to_python(texts: list[str]) -> None:
    assert rows_of((SlotKind.TEXT,)).write(texts, 1) is None


def test_more_texts_than_the_library_accepts_are_encoded_in_python() -> None:
    assert rows_of((SlotKind.TEXT,) * MAX_TEXTS).write(["a"] * MAX_TEXTS, 1) is not None
    assert rows_of((SlotKind.TEXT,) * (MAX_TEXTS + 1)).write(["a"] * (MAX_TEXTS + 1), 1) is None


@given(st.lists(batches(), min_size=1, max_size=3))
def test_encoder_writes_the_bytes_of_python(many: list[Forecasts]) -> None:
    encoder = ForecastEncoder()
    for forecasts in many:
        assert list(encoder.encode(forecasts)) == by_python(forecasts)


@given(batches(), st.booleans(), st.booleans(), st.lists(st.integers(1, 2**32 - 1), min_size=5, max_size=5))
def test_packets_equal_single_messages(
    forecasts: Forecasts, mqtt5: bool, confirmed: bool, expiries_s: list[int]
) -> None:
    n = len(forecasts)
    ids = list(range(0x8000, 0x8000 + n)) if confirmed else []
    encoder = ForecastEncoder(Packets(b"gap/", b"/forecast", 0x31))
    packets = encoder.write_packets(forecasts, expiries_s[:n] if mqtt5 else (), ids)
    assert packets is not None
    payloads = by_python(forecasts)
    assert bytes(packets.content) == b"".join(
        encode_publish(
            f"gap/{device}/forecast".encode(),
            payload,
            packet_id,
            retain=True,
            properties=encode_properties(expiry_s) if mqtt5 else None,
        )
        for device, payload, packet_id, expiry_s in zip(
            forecasts.devices, payloads, ids or [0] * n, expiries_s[:n], strict=True
        )
    )
    assert [bytes(packets.content[begin:end]) for begin, end in packets.bounds.tolist()] == payloads


def test_packets_beyond_a_length_byte_equal_single_messages() -> None:
    for n_bytes in (1, 126, 127, 128, 129, 16_384, 2_097_200):
        rows = rows_of((SlotKind.TEXT, SlotKind.TEXT), Packets(b"", b"", 0x30))
        packets = rows.write(["x", "y" * n_bytes], 1)
        assert packets is not None
        assert bytes(packets.content) == encode_publish(b"x", b"x" + b"y" * n_bytes, 0, retain=False, properties=None)


def test_packet_ids_are_written_only_in_their_batch() -> None:
    rows = rows_of((SlotKind.TEXT,), Packets(b"", b"", 0x30))
    rows.values(3)
    for n, ids in ((3, [7, 8, 9]), (1, []), (3, []), (2, [5, 6])):
        packets = rows.write(["x"] * n, n, packet_ids=ids)
        assert packets is not None
        single = (encode_publish(b"x", b"x", one, retain=False, properties=None) for one in ids or [0] * n)
        assert bytes(packets.content) == b"".join(single)


def test_packet_with_a_topic_that_mqtt_cannot_have_is_left_to_python() -> None:
    rows = rows_of((SlotKind.TEXT,), Packets(b"a" * 65_535, b"", 0x30))
    assert rows.write(["x"], 1) is None
    assert rows.write([""], 1) is not None


@given(st.data(), st.lists(st.sampled_from(SlotKind), min_size=1, max_size=8), st.integers(1, 4))
def test_form_is_filled_as_by_the_library(data: st.DataObject, kinds: list[SlotKind], n: int) -> None:
    strategies = {
        SlotKind.INTEGER: st.integers(-(10**14), 10**14), SlotKind.NUMBER: POWERS, SlotKind.WEIGHT: WEIGHTS,
    }  # fmt: skip
    constants = [f"{i} %" for i in range(len(kinds) + 1)]
    template = JsonTemplate(tuple(constants), tuple(kinds))
    texts = data.draw(st.lists(st.text("a%ü", max_size=3), min_size=(m := kinds.count(SlotKind.TEXT) * n), max_size=m))
    columns = [data.draw(st.lists(strategies[kind], min_size=n, max_size=n)) for kind in kinds if kind in strategies]
    documents = [JsonDocuments(template, function) for function in (None, load_function("gapcast_json_rows"))]
    made = []
    for one in documents:
        values = one.values(n)
        values[:] = np.array(columns, dtype=np.float64).reshape(len(columns), n).T
        made.append(one.write(texts, values))
    assert made[0] == made[1]
    assert len(made[0]) == n


@pytest.mark.parametrize("value", UNUSUAL)
def test_encoder_leaves_a_batch_with_another_number_to_python(value: float) -> None:
    forecasts = Forecasts(MODEL, 946_684_800_000, ["a", "b"], [1, 2], [3, 4], [1.5, value])
    assert list(ForecastEncoder().encode(forecasts)) == by_python(forecasts)
    assert ForecastEncoder(Packets(b"", b"", 0x30)).write_packets(forecasts, ()) is None


def test_encoder_leaves_forecasts_with_plans_to_python() -> None:
    forecasts = Forecasts(MODEL, 946_684_800_000, ["a", "b"], [1, 2], [3, 4], [1.5, 2.5])
    planned = replace(forecasts, planned_kw=[1.0, None], uncontrolled_kw=[0.5, None])
    encoder = ForecastEncoder(Packets(b"", b"", 0x30))
    assert encoder.write_packets(forecasts, ()) is not None
    assert encoder.write_packets(planned, ()) is None
    assert list(encoder.encode(planned)) == by_python(planned)
    assert list(encoder.encode(forecasts)) == by_python(forecasts)


def test_encoder_writes_nothing_for_no_forecasts() -> None:
    assert list(ForecastEncoder().encode(Forecasts(MODEL, 0, [], [], [], []))) == []


def test_encoder_holds_some_templates() -> None:
    """Forms of several horizons alternate."""
    forecasts = [
        Forecasts(replace(MODEL, version=str(i)), 946_684_800_000, ["a"], [1], [3], [1.5])
        for i in range(2 * _N_TEMPLATES)
    ]
    encoder, templates = ForecastEncoder(), []
    for one in (*forecasts, forecasts[-2], forecasts[0], forecasts[-2]):
        assert list(encoder.encode(one)) == by_python(one)
        templates.append(encoder._last)
    assert len(encoder._recent) == _N_TEMPLATES
    assert templates[-1] is templates[-3] is templates[2 * _N_TEMPLATES - 2]
    assert templates[-2] is not templates[0]


def test_encoder_writes_the_members_of_each_models_forecasts() -> None:
    encoder = ForecastEncoder()
    for names in (("a", "b"), ("a", "c"), ("a", "b")):
        model = PublishedModel("blend", "1", WindowSpec(180), (1, 5), (0.05, 0.5, 0.95))
        numbers = np.array([[2.5, 2.0, 1.0, 3.0, 1.5, 2.5, 0.25, 0.75, 0.5, 0.5]] * 2)
        mean_kw, median_kw, lower_kw, upper_kw = numbers[:, :4].T.tolist()
        columns = Forecasts(
            model, 946_684_800_000, ["x", "y"], [1, 2], [3, 4], mean_kw, median_kw, lower_kw, upper_kw,
            numbers[:, 4:6], EnsembleWeights(names, numbers[:, 6:]),
        )  # fmt: skip
        assert [*encoder.encode(replace(columns, numbers=numbers))] == [*ForecastEncoder().encode(columns)]
        one = Forecasts(
            model, 946_684_800_000, ["x"], [1], [3], mean_kw[:1], median_kw[:1], lower_kw[:1], upper_kw[:1],
            numbers[:1, 4:6], EnsembleWeights(names, numbers[:1, 6:]),
        )  # fmt: skip
        assert [*encoder.encode(replace(one, numbers=numbers[:1]))] == [*ForecastEncoder().encode(one)]
