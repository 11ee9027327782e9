"""Payload paths, sums of paths, and numbers as meters write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.errors import PayloadError
from gapcast.core.meters.values import look_up, number_of, parse_path, parse_sum

DOCUMENT = {"ENERGY": {"Power": [52, 5.5], "Total": 1}, "em:0": {"p": "12.5"}, "": {"x": -3}}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("ENERGY.Total", 1), ("ENERGY.Power", [52, 5.5]), ("ENERGY.Power.0", 52), ("ENERGY.Power.1", 5.5),
        ("em:0.p", "12.5"), (".x", -3), ("ENERGY.Power.2", None), ("ENERGY.Power.-1", None), ("ENERGY.Power.x", None),
        ("ENERGY.Total.x", None), ("energy", None), ("ENERGY.Power.00000", None), ("ENERGY.Power.¹", None),
    ],
)  # fmt: skip
def test_path_finds_the_value(path: str, found: object) -> None:
    assert look_up(DOCUMENT, parse_path(path)) == found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("16.7.0", "403"), ("1-0:1.7.0.value", 0.5), ("1-0:1.7.0.unit", None), ("data.2.7.0", 7), ("data.2.7", None),
        ("x.y.items.1", 4), ("x.y.items.2", None), ("x.y", {"items": [3, 4]}), ("x.z", None), ("16.7.0.1", None),
    ],
)  # fmt: skip
def test_path_finds_keys_with_dots(path: str, found: object) -> None:
    document = {"16.7.0": "403", "1-0:1.7.0": {"value": 0.5}, "data": {"2.7.0": 7}, "x.y": {"items": [3, 4]}}
    assert look_up(document, parse_path(path)) == found


@pytest.mark.parametrize(("path", "found"), [("a.b", 5), ("a.b.c", 7), ("a.b.c.d", 7), ("a.b.c.e", "absent")])
def test_path_finds_the_longer_of_keys_with_dots(path: str, found: object) -> None:
    document = {"a.b": 5, "a.b.c": {"d": 7} if path.count(".") > 2 else 7}
    assert look_up(document, parse_path(path), "absent") == found


@pytest.mark.parametrize("path", ["b", "c.1", "b.x.y", "d.x", "c.x"])
def test_path_without_a_value_is_absent_not_null(path: str) -> None:
    assert look_up({"a": None, "c": [None], "d": 1}, parse_path(path), absent="absent") == "absent"


@pytest.mark.parametrize("path", ["a", "a.x", "a.0", "c.0", "c.0.x.y", "1.7.0", "1.7.0.value"])
def test_path_below_null_is_null(path: str) -> None:
    assert look_up({"a": None, "c": [None], "1.7.0": None}, parse_path(path), absent="absent") is None


def test_path_below_null_prefers_a_longer_key_with_dots() -> None:
    assert look_up({"a.b": None, "a.b.c": 7}, parse_path("a.b.c"), absent="absent") == 7


@pytest.mark.parametrize("text", ["", " x", "x ", "a\nb", "{device}.power"])
def test_path_that_is_invalid_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a path: separate the keys by dots, as in ENERGY\.Power"):
        parse_path(text)


def test_path_with_a_plus_without_spaces_names_the_fix() -> None:
    with pytest.raises(ValueError, match=r"'P\.0\+P\.1' is not a path: .* a space on both sides of \+ and -"):
        parse_path("P.0+P.1")
    assert parse_path("+A.-R") == ("+A", "-R")


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("power", [("power", 1)]),
        ("a + b", [("a", 1), ("b", 1)]),
        ("delivered - returned", [("delivered", 1), ("returned", -1)]),
        ("- fed.in + drawn", [("fed.in", -1), ("drawn", 1)]),
        ("a-b", [("a-b", 1)]),
        ("0 + 1 + 2", [("0", 1), ("1", 1), ("2", 1)]),
    ],
)
def test_sum_is_paths_with_signs(text: str, terms: list[tuple[str, int]]) -> None:
    assert [(term.path, term.sign) for term in parse_sum(text)] == terms


@pytest.mark.parametrize("text", ["", "a + ", "a + a", " - "])
def test_sum_that_is_invalid_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a path|names a path twice"):
        parse_sum(text)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0), (-2.5, -2.5), ("1.5", 1.5), (" 00.227 ", 0.227), ("+3", 3.0), (".5", 0.5), ("1e3", 1000.0),
        ("-1250.5", -1250.5), (None, None), ("", None), ("NaN", None), ("unavailable", None), ("Unknown", None),
        (math.nan, None), ([], None),
    ],
)  # fmt: skip
def test_number_may_be_text_or_unknown(value: object, number: float | None) -> None:
    assert number_of(value, "power") == number


@pytest.mark.parametrize(
    ("value", "reason", "words"),
    [
        (True, "not_a_number", "not true"),
        ("on", "not_a_number", "power must be a number, not 'on'"),
        ("1,5", "not_a_number", "not '1,5': send the number alone, with a decimal point, as in 1.5"),
        ("1234.5 W", "not_a_number", "not '1234.5 W': send the number alone"),
        (" 8.160kWh", "not_a_number", "send the number alone"),
        ("12.5 apples", "not_a_number", "not '12.5 apples'$"),
        ("1_000", "not_a_number", "not '1_000'"),
        ("0x10", "not_a_number", "0x10"),
        ("١", "not_a_number", "١"),
        ("9" * 50, "not_a_number", "…"),
        (
            [52, 5],
            "not_a_number",
            r"it is a list; name one item \(power\.0\), or for a power a sum of items \(power\.0 \+ power\.1\)",
        ),
        ({"value": 1}, "not_a_number", "it is an object; name one of its keys"),
        pytest.param(10**5_000, "out_of_range", "many digits", id="5,000 digits"),
        (math.inf, "not_finite", "inf"),
        ("1e999", "not_finite", "inf"),
    ],
)
def test_number_that_is_invalid_is_rejected_with_a_fix(value: object, reason: str, words: str) -> None:
    with pytest.raises(PayloadError, match=words) as refused:
        number_of(value, "power")
    assert refused.value.reason == reason
    assert len(refused.value.detail) < 250


@given(json_values, st.lists(st.text(max_size=3) | st.integers(0, 3).map(str), min_size=1, max_size=4))
def test_any_document_gives_a_number_nothing_or_an_error(document: object, keys: list[str]) -> None:
    reason, found = None, None
    try:
        found = number_of(look_up(document, tuple(keys)), "power")
    except PayloadError as error:
        reason = error.reason
    assert reason in {None, "not_a_number", "not_finite", "out_of_range"}
    assert found is None or math.isfinite(found)
