"""Each limit that ``edge/gapcast/text/json_input.py`` states of the one JSON decoder."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.text.json_input import JsonError, NonFiniteLiteralError, decode_json


@given(st.binary() | st.text())
def test_decoder_raises_nothing_but_json_error(document: bytes | str) -> None:
    with suppress(JsonError):
        decode_json(document)


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (b" {\n\t} \r", {}),
        (bytearray(b"[1]"), [1]),
        ("1.5", 1.5),
        (b'{"a": 1, "b": 2, "a": 3}', {"a": 3, "b": 2}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\u0000"', "\0"),
        (b"9" * 4_300, 10**4_300 - 1),
        (b"-" + b"9" * 4_299, 1 - 10**4_299),  # pydantic before 2.14.2 counts the sign
        (b"1e400", math.inf),
        (b"-1e400", -math.inf),
        (b"0." + b"1" * 60_000, 1 / 9),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, int) else "",
)
def test_decoder_reads_what_its_limits_allow(document: bytes | str, value: object) -> None:
    assert decode_json(document) == value


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"9" * 4_301, "number out of range"),
        (b"-" + b"9" * 4_301, "number out of range"),
        (b"9" * 65_536, "number out of range"),
        (b"1" * 4_301 + b".5", "number out of range"),
        (b'"\\ud800"', "unexpected end of hex escape"),
        (b'"\\ud800\\u0041"', "lone leading surrogate"),
        (b'"\xed\xa0\x80"', "invalid unicode"),
        (b'"\xff"', "invalid unicode"),
        ("\ud800", "Expected bytes"),
        (b'"a\x00"', "control character"),
        (b"1 2", "trailing characters"),
        (b"[1,]", "trailing comma"),
        (b"\xef\xbb\xbf1", "expected value"),
        (b"", "EOF"),
        (b"01", "invalid number"),
        (b"{1: 2}", "key must be a string"),
    ],
)
def test_decoder_rejects_what_is_beyond_its_limits(document: bytes | str, words: str) -> None:
    with pytest.raises(JsonError, match=words):
        decode_json(document)


@pytest.mark.parametrize(("opening", "closing", "n_deepest"), [(b"[", b"]", 201), (b'{"a":', b"}", 200)])
def test_decoder_nesting_ends_at_its_limit(opening: bytes, closing: bytes, n_deepest: int) -> None:
    inner = b"" if opening == b"[" else b"1"
    decode_json(opening * n_deepest + inner + closing * n_deepest)
    for n in (n_deepest + 1, 30_000):
        with pytest.raises(JsonError, match="recursion limit exceeded"):
            decode_json(opening * n + inner + closing * n)


@pytest.mark.parametrize("document", [b"NaN", b"Infinity", b"-Infinity", b'{"a": [1, NaN]}', "[-Infinity]"])
def test_decoder_names_a_literal_that_is_not_finite(document: bytes | str) -> None:
    with pytest.raises(NonFiniteLiteralError):
        decode_json(document)


@pytest.mark.parametrize("document", [b"NaN NaN", b'{"NaN": tru}', b"nan", b'"NaN'])
def test_decoder_error_beside_a_literal_is_a_json_error(document: bytes) -> None:
    with pytest.raises(JsonError) as raised:
        decode_json(document)
    assert type(raised.value) is JsonError
